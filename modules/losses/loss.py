"""The base class of losses: modules of two arguments whose value is one number."""

import inspect
from typing import Literal

import numpy as np

from ..core.module import Module

Reduction = Literal["mean", "sum", "none"]


class Loss(Module):
    """A scalar function of a model's output and a target, averaged over the batch.

        fprop(y, target) -> float
        fprop(y, target, sample_weight) -> float, by losses that set `takes_sample_weight = True`
        bprop() -> grad_y

    With reduction "none", for losses that offer it, fprop returns the values, of elements or of samples and their
    labels, before any mean or sum, each times its sample's weight, and bprop takes their gradient:

        fprop(y, target) -> values
        bprop(grad_values) -> grad_y

    So a mean of one's own is one line of NumPy; a Trainer, which needs one number, refuses such a loss.

    A weighted mean is Σ w l / Σ w: weights (N,) need not sum to 1, and a sample of weight 0 is not looked at. A mean
    over nothing (all weights 0, all samples ignored) is 0, and so is its gradient.

    Subclasses define `check_arguments(y_shape, target_shape)`, so that nothing broadcasts silently.

    Shapes: as the leaves say: y (N, ...), target (N, ...), sample_weight (N,).
    Args: reduction: mean, or the sum, whose gradient grows with the batch, or none; for losses that offer it.
    Errors: ValueError for another reduction, for shapes that do not fit, and for weights that it does not take;
        RuntimeError for `bprop` without its `fprop`.
    """

    framework_base = True
    takes_gradient = False
    takes_sample_weight = False
    has_values = False  # whether it offers reduction "none"
    metrics: tuple[str, ...] = ()  # figures that a training with this loss reports by default

    def __init__(self, reduction: Reduction = "mean"):
        super().__init__()
        if reduction not in ("mean", "sum", *(("none",) if self.has_values else ())):
            expected = "'mean', 'sum' or 'none'" if self.has_values else "'mean' or 'sum'"
            raise ValueError(f"{type(self).__name__}: reduction is {reduction!r}, expected {expected}")
        self.averages = reduction == "mean"
        self.each = "each" if reduction == "none" else None  # None is decided while compiling
        if self.has_values:
            self.values = self.grad_each = np.empty((0, 0))
        if self.each:
            vars(self)["takes_gradient"] = True

    @property
    def reduction(self) -> str:
        """`mean`, `sum` or `none`."""
        return "none" if self.each else "mean" if self.averages else "sum"

    def check_reduction(self, who: str | None = None) -> None:
        """Raise ValueError unless the value is one number, which training, and a loss of losses, need."""
        if self.each:
            prefix = f"{who}: the loss {self.label()}" if who else self.label()
            raise ValueError(f"{prefix} gives many values, as its reduction is 'none', expected 'mean' or 'sum'")

    def __call__(self, y, target, sample_weight=None):
        """`fprop`."""
        return self.fprop(y, target) if sample_weight is None else self.fprop(y, target, sample_weight)

    def _enter_fprop(self, raw, y, target, sample_weight=None):
        weights = () if sample_weight is None else (sample_weight,)
        for each in weights:
            self.check_weights(np.shape(y), np.shape(each))
        try:
            return super()._enter_fprop(raw, y, target, *weights)
        except ValueError:
            self.check_labels(target)
            raise

    def _enter_bprop(self, raw, *grad_values):
        if self.each and not grad_values:
            raise TypeError(f"{self.label()}: bprop got nothing, expected the gradient of the values")
        return super()._enter_bprop(raw, *grad_values)

    def check_weights(self, y_shape, weight_shape) -> None:
        """Raise ValueError unless this loss takes weights, and these are one for each sample."""
        if not self.takes_sample_weight:
            raise ValueError(f"{self.label()}: takes no sample_weight")
        if tuple(weight_shape) != tuple(y_shape[:1]):
            raise ValueError(f"{self.label()}: sample_weight has shape {weight_shape}, expected {tuple(y_shape[:1])}")

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        """Raise ValueError unless output and target fit; by default they must have one shape."""
        if tuple(y_shape) != tuple(target_shape):
            raise ValueError(
                f"{self.label()}: y has shape {y_shape} and target {target_shape}, expected the same shape"
            )
        return ()

    def check_shapes(self, output_shape, target_shape, classes=None) -> None:
        """Raise ValueError unless a model's output fits a data set's targets; shapes with the batch axis."""
        self.check_arguments(output_shape, target_shape)

    def check_targets(self, target, output_shape) -> None:
        """Raise ValueError if a target's values are not allowed for outputs of this shape; names the first such row."""

    def check_labels(self, target) -> None:
        """Raise ValueError that names the first row of a label with a fraction, which compiled code cannot format."""

    def check_class_axis(self, target, output_shape) -> None:
        """Raise ValueError if the values of a target show that another axis than this loss takes is the class axis."""

    def count_samples(self, target: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """The weight of a minibatch in a mean over minibatches: its samples, or Σ w."""
        return len(target) if sample_weight is None else float(sample_weight.sum(dtype=np.float64))

    def count_each(self, target: np.ndarray, sample_weight: np.ndarray | None = None) -> np.ndarray:
        """The weight (N,) of each sample in a mean, float64; `count_samples` is their sum."""
        return np.ones(len(target)) if sample_weight is None else sample_weight.astype(np.float64)

    def move_classes_last(self, y: np.ndarray) -> np.ndarray:
        """Move the class axis of an output, or of a distribution like it, to the end."""
        return y

    def distribution(self, y):
        """The distribution of the target that an output y defines, where the loss is a negative log-likelihood."""
        raise ValueError(f"{self.label()}: is not the likelihood of a distribution")

    def extra_repr(self) -> str:
        settings = inspect.signature(type(self)).parameters.values()
        return ", ".join(
            f"{each.name}={format_value(value)}"
            for each in settings
            if each.kind is not each.VAR_POSITIONAL
            and (value := getattr(self, each.name, each.default)) is not each.default
            and not (np.ndim(value) == 0 and value == each.default)
        )


def format_value(value) -> str:
    """Format a setting briefly."""
    if isinstance(value, np.ndarray):
        return f"[{', '.join(f'{number:g}' for number in value)}]"
    if isinstance(value, list):
        return f"[{', '.join(map(format_value, value))}]"
    return value.label() if isinstance(value, Module) else repr(value)


def refuse_targets(loss: Loss, target: np.ndarray, allowed: np.ndarray, expected: str, name: str = "target") -> None:
    """Raise ValueError that names the first row of `target` with a value that is not allowed."""
    wrong = np.argwhere(~np.asarray(allowed))
    if wrong.size:
        first = tuple(wrong[0])
        value = np.asarray(target)[first]
        raise ValueError(f"{loss.label()}: {name} {value:g} in row {first[0] if first else 0}, expected {expected}")


def check_at_least(who: str, name: str, value: float, lowest: float, *, strictly: bool = False) -> float:
    """Convert a setting to float; ValueError if it is too small or not finite."""
    if not (np.isfinite(value) and (value > lowest or (value == lowest and not strictly))):
        expected = "a number above" if strictly else "a number of at least"
        raise ValueError(f"{who}: {name} is {value}, expected {expected} {lowest:g}")
    return float(value)


def as_class_weights(who: str, name: str, weights) -> np.ndarray | None:
    """Convert a list of weights to an array (K,), None stays; ValueError unless they are finite and not negative."""
    if weights is None:
        return None
    array = np.asarray(weights, np.float64)
    if array.ndim != 1 or not array.size or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{who}: {name} is {weights}, expected a list of numbers of at least 0")
    return array
