"""What losses against labels have in common: weights of classes, a label that counts nothing, checks."""

import numpy as np

from .loss import Loss, Reduction, refuse_targets, weights_of_classes


class LabelLoss(Loss):
    """Base of the losses of classifiers: y (N, ..., K) against labels (N, ...), whole numbers 0..K-1.

    Args: class_weights: K numbers of at least 0; ignore_index: a label whose rows count nothing; reduction: mean or
        sum.
    """

    label_arguments = (1,)
    takes_sample_weight = True

    def __init__(
        self,
        class_weights: list[float] | None = None,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        self.class_weights = weights_of_classes(type(self).__name__, "class_weights", class_weights)
        self.ignore_index = ignore_index
        self.grad_y, self.scales = np.empty((0, 0)), np.empty(0)

    def bprop(self):
        return self.grad_y

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        if len(y_shape) < 2 or tuple(target_shape) != tuple(y_shape[:-1]):
            wanted = f"target {tuple(y_shape[:-1])} (labels)"
            raise ValueError(f"{self.label()}: y has shape {y_shape} and target {target_shape}, expected {wanted}")
        self.check_class_weights(y_shape)
        return ()

    def check_class_weights(self, y_shape) -> None:
        """ValueError unless there is a class weight for each score."""
        if self.class_weights is not None and len(self.class_weights) != y_shape[-1]:
            raise ValueError(f"{self.label()}: y has {y_shape[-1]} scores, class_weights {len(self.class_weights)}")

    def check_shapes(self, output_shape, target_shape, classes=None) -> None:
        self.check_arguments(output_shape, target_shape)
        if classes is not None and output_shape[-1] != classes:
            raise ValueError(f"{self.label()}: the net has {output_shape[-1]} outputs, the data {classes} classes")

    def check_targets(self, target, output_shape) -> None:
        if target.dtype.kind in "iu":
            inside = (target >= 0) & (target < output_shape[-1])
            if self.ignore_index is not None:
                inside |= target == self.ignore_index
            refuse_targets(self, target, inside, f"0..{output_shape[-1] - 1}", "label")
