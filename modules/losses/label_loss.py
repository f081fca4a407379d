"""The base of losses against labels: class axis, class weights, ignored labels."""

import math

import numpy as np

from ..kernels.buffers import as_rows, flat, reuse, reuse_like
from ..kernels.class_axis import class_axis_of, copy_from_rows, copy_to_rows, drop_size
from ..kernels.sample_weights import multiply_parts, weight_of
from .loss import Loss, Reduction, as_class_weights, refuse_targets


def refuse_scores_without_classes(loss: Loss, y_shape) -> None:
    """Raise ValueError unless scores have a class axis beside the batch's."""
    if len(y_shape) < 2:
        raise ValueError(f"{loss.label()}: y has shape {tuple(y_shape)}, expected scores (N, ..., K)")


class LabelLoss(Loss):
    """Base of the losses of classifiers: y (N, ..., K) against labels (N, ...), whole numbers 0..K-1.

    A loss defines `fprop_rows(rows, target, samples, sample_weight, grad_rows) -> value`, which sees the scores as
    rows (R, K), the labels (R,), and writes grad_rows (R, K); and for products with a Hessian
    `hessian_rows(rows, target, v_rows, change)`.

    Shapes: y (N, ..., K), target (N, ...) of whole numbers, sample_weight (N,); values, without reduction, those of
        target.
    Args: class_weights: K numbers of at least 0; ignore_index: a label whose rows count nothing; class_axis: the axis
        of y that holds the scores, such as 1 for y (N, K, H, W) of a Conv2d and labels (N, H, W); None is the last,
        and refuses shapes that axis 1 fits as well; of y (N, K) it is always the last; reduction: mean, sum, or none,
        which gives a value for each label.
    Errors: ValueError for shapes that do not fit, for labels out of range, and for wrong settings.
    """

    label_arguments = (1,)
    takes_sample_weight = True
    has_values = True
    divides_by_class_weights = True  # whether a mean is over the weights of the labels' classes

    def __init__(
        self,
        class_weights: list[float] | None = None,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        class_axis: int | None = None,
    ):
        super().__init__(reduction)
        who = type(self).__name__
        self.class_weights = as_class_weights(who, "class_weights", class_weights)
        self.ignore_index = as_whole_number(who, "ignore_index", ignore_index)
        self.class_axis = as_whole_number(who, "class_axis", class_axis)
        if self.class_axis == 0:
            raise ValueError(f"{who}: class_axis is 0, the axis of the samples, expected another")
        self.axis = None if class_axis in (None, -1) else class_axis  # None: compiled without copies
        self.grad_y, self.scales = np.empty((0, 0)), np.empty(0)
        self.rows = self.grad_rows = self.target_rows = np.empty((0, 0))

    def fprop(self, y, target, sample_weight=None):
        self.grad_y = reuse_like(self.grad_y, y)
        if self.each is not None:
            return self.compute_values(y, target, sample_weight)
        if self.axis is None:
            rows, grad_rows = as_rows(y), as_rows(self.grad_y)
            if target.ndim == y.ndim:
                return self.fprop_rows(rows, as_rows(target), y.shape[0], sample_weight, grad_rows)
            return self.fprop_rows(rows, flat(target), y.shape[0], sample_weight, grad_rows)
        classes = y.shape[class_axis_of(self.axis, y.ndim)]
        self.rows = reuse(self.rows, (y.size // classes, classes), y.dtype)
        self.grad_rows = reuse_like(self.grad_rows, self.rows)
        copy_to_rows(y, classes, self.axis, self.rows)
        value = self.fprop_moved(y, target, sample_weight)
        copy_from_rows(self.grad_rows, self.axis, self.grad_y)
        return value

    def fprop_moved(self, y, target, sample_weight):
        """`fprop_rows` of scores that were copied to rows; distributions are copied likewise."""
        if target.ndim == y.ndim:
            self.target_rows = reuse(self.target_rows, self.rows.shape, target.dtype)
            copy_to_rows(target, self.rows.shape[1], self.axis, self.target_rows)
            return self.fprop_rows(self.rows, self.target_rows, y.shape[0], sample_weight, self.grad_rows)
        return self.fprop_rows(self.rows, flat(target), y.shape[0], sample_weight, self.grad_rows)

    def compute_values(self, y, target, sample_weight):
        """The value of each row, times its sample's weight; writes grad_y, and grad_rows where they lie otherwise."""
        samples = y.shape[0]
        if self.axis is None:
            rows, grad_rows = as_rows(y), as_rows(self.grad_y)
            if target.ndim == y.ndim:
                self.fill_rows(rows, as_rows(target), samples, sample_weight, grad_rows)
            else:
                self.fill_rows(rows, flat(target), samples, sample_weight, grad_rows)
        else:
            classes = y.shape[class_axis_of(self.axis, y.ndim)]
            self.rows = reuse(self.rows, (y.size // classes, classes), y.dtype)
            self.grad_rows = reuse_like(self.grad_rows, self.rows)
            copy_to_rows(y, classes, self.axis, self.rows)
            if target.ndim == y.ndim:
                self.target_rows = reuse(self.target_rows, self.rows.shape, target.dtype)
                copy_to_rows(target, classes, self.axis, self.target_rows)
                self.fill_rows(self.rows, self.target_rows, samples, sample_weight, self.grad_rows)
            else:
                self.fill_rows(self.rows, flat(target), samples, sample_weight, self.grad_rows)
            copy_from_rows(self.grad_rows, self.axis, self.grad_y)
        if target.ndim == y.ndim:
            return self.values.reshape(drop_size(y.shape, self.axis))
        return self.values.reshape(target.shape)

    def fill_rows(self, rows, target, samples, sample_weight, grad_rows):
        """Fill the values, row by row: each is the sum over one row."""
        self.values, count = reuse(self.values, (rows.shape[0],), rows.dtype), rows.shape[0] // samples
        for r in range(rows.shape[0]):
            weight = weight_of(sample_weight, r // count)
            self.values[r] = 0
            if weight == 0:
                grad_rows[r].fill(0)
            else:
                row = slice(r, r + 1)
                self.values[r] = weight * self.fprop_rows(rows[row], target[row], 1, None, grad_rows[row])
                for k in range(rows.shape[1]):
                    grad_rows[r, k] *= weight

    def bprop(self, grad_values=None):
        if grad_values is not None:
            self.grad_each = reuse_like(self.grad_each, self.grad_y)
            if self.axis is None:
                multiply_parts(self.grad_y, grad_values, self.grad_each)
            else:
                multiply_parts(self.grad_rows, grad_values, self.grad_rows)
                copy_from_rows(self.grad_rows, self.axis, self.grad_each)
            return self.grad_each
        return self.grad_y

    def hessian_times(self, y, target, v):
        """The change of grad_y along v, row by row, without weights."""
        out = np.zeros(v.shape, v.dtype)
        if self.axis is None:
            if target.ndim == y.ndim:
                self.hessian_rows(as_rows(y), as_rows(target), as_rows(v), as_rows(out))
            else:
                self.hessian_rows(as_rows(y), flat(target), as_rows(v), as_rows(out))
            return out
        v_rows, change = np.empty_like(self.rows), np.zeros_like(self.rows)
        copy_to_rows(v, self.rows.shape[1], self.axis, v_rows)
        if target.ndim == y.ndim:
            self.hessian_rows(self.rows, self.target_rows, v_rows, change)
        else:
            self.hessian_rows(self.rows, flat(target), v_rows, change)
        copy_from_rows(change, self.axis, out)
        return out

    # -- shapes and values, in plain Python --------------------------------------------------------------------------

    def find_class_axis(self, ndim: int) -> int:
        """Find the class axis of a y with this number of axes."""
        if self.class_axis is None or ndim == 2:
            return ndim - 1
        if not -ndim < self.class_axis < ndim:
            raise ValueError(f"{self.label()}: y has {ndim} axes, expected one more than class_axis at least")
        return self.class_axis % ndim

    def move_classes_last(self, y: np.ndarray) -> np.ndarray:
        if self.class_axis is None or np.ndim(y) < 3:
            return y
        return np.moveaxis(y, self.find_class_axis(np.ndim(y)), -1)

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        refuse_scores_without_classes(self, y_shape)
        self.check_label_shape(tuple(y_shape), tuple(target_shape))
        self.check_class_weights(y_shape)
        return ()

    def check_label_shape(self, y_shape, target_shape) -> None:
        """Raise ValueError unless the target has the shape of y without its class axis, and no other axis would fit."""
        ndim = len(y_shape)
        label_shape = drop_axis(y_shape, self.find_class_axis(ndim)) if ndim > 1 else ()
        both = self.class_axis is None and ndim > 2
        other = both and target_shape == drop_axis(y_shape, 1)
        if ndim > 1 and target_shape == label_shape and not other:
            return
        message = f"{self.label()}: y has shape {y_shape} and target {target_shape}"
        if other and target_shape == label_shape:
            choice = "class_axis=1 (as in PyTorch) or class_axis=-1"
            raise ValueError(f"{message}: axis 1 or the last one may hold the classes, expected {choice}")
        hint = "; class_axis=1 takes axis 1 for that of the classes" if other else ""
        raise ValueError(f"{message}, expected {self.describe_target(y_shape, label_shape)}{hint}")

    def describe_target(self, y_shape, label_shape) -> str:
        """Describe the targets that fit."""
        return f"target {label_shape} (labels)"

    def check_class_weights(self, y_shape) -> None:
        """Raise ValueError unless there is a class weight for each score."""
        classes = y_shape[self.find_class_axis(len(y_shape))]
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(f"{self.label()}: y has {classes} scores, class_weights {len(self.class_weights)}")

    def check_shapes(self, output_shape, target_shape, classes=None) -> None:
        self.check_arguments(output_shape, target_shape)
        outputs = output_shape[self.find_class_axis(len(output_shape))]
        tokens = len(target_shape) > 1  # not all of a vocabulary need occur
        fits = classes is None or outputs == classes or (tokens and outputs > classes)
        if len(target_shape) < len(output_shape) and not fits:
            raise ValueError(f"{self.label()}: the model has {outputs} outputs, the data {classes} classes")

    def check_targets(self, target, output_shape) -> None:
        if target.ndim == len(output_shape):
            return  # distributions over the classes
        classes = output_shape[self.find_class_axis(len(output_shape))]
        inside = (target >= 0) & (target < classes)
        if target.dtype.kind == "f":
            inside &= np.floor(target) == target
        if self.ignore_index is not None:
            inside |= target == self.ignore_index
        refuse_targets(self, target, inside, f"0..{classes - 1}", "label")

    def count_samples(self, target, sample_weight=None) -> float:
        if not self.averages or target.dtype.kind not in "iub":
            return super().count_samples(target, sample_weight)
        return float(self.count_each(target, sample_weight).sum())

    def count_each(self, target, sample_weight=None) -> np.ndarray:
        if not self.averages or target.dtype.kind not in "iub":
            return super().count_each(target, sample_weight)
        if self.class_weights is None and self.ignore_index is None:
            return super().count_each(target, sample_weight) * math.prod(target.shape[1:])
        counts = np.ones(target.shape)
        if self.class_weights is not None and self.divides_by_class_weights:
            counts = self.class_weights[np.clip(target, 0, len(self.class_weights) - 1)].astype(np.float64)
        if self.ignore_index is not None:
            counts[target == self.ignore_index] = 0
        counts = counts.reshape(len(counts), -1).sum(axis=1)
        return counts if sample_weight is None else counts * sample_weight.astype(np.float64)


def drop_axis(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """Drop an axis from a shape."""
    return (*shape[:axis], *shape[axis + 1 :])


def as_whole_number(who: str, name: str, value) -> int | None:
    """Convert a whole number to int, None stays; ValueError for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{who}: {name} is {value!r}, expected a whole number or None")
    return int(value)
