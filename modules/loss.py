"""The base class of losses: modules of two arguments whose value is one number."""

from .module import Module


class Loss(Module):
    """A scalar function of a net's output and a target, averaged over the batch.

        fprop(y, target) -> float
        bprop() -> grad_y

    Subclasses define `check_arguments(y_shape, target_shape)`, so that nothing broadcasts silently.
    """

    framework_base = True
    takes_gradient = False
    metrics: tuple[str, ...] = ()  # figures that a training with this loss reports by default

    def __call__(self, y, target):
        """`fprop`."""
        return self.fprop(y, target)

    def check_arguments(self, y_shape, target_shape):
        """ValueError unless output and target fit; by default they must have one shape."""
        if tuple(y_shape) != tuple(target_shape):
            raise ValueError(
                f"{self.label()}: y has shape {y_shape} and target {target_shape}, expected the same shape"
            )
        return ()

    def check_shapes(self, output_shape, target_shape, classes=None) -> None:
        """ValueError unless a net's output fits a data set's targets; shapes with the batch axis."""
        self.check_arguments(output_shape, target_shape)

    def check_targets(self, target, output_shape) -> None:
        """ValueError if a target's values are not allowed for outputs of this shape; names the first such row."""
