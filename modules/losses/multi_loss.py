"""Multi-task losses: several losses, each on columns of one output and one target, summed with weights."""

import contextlib
import functools
from typing import Any

import numpy as np

from ..engine.entry_points import check_whole
from ..engine.stateful import collect_methods
from ..kernels.buffers import reuse, reuse_like
from ..layers.columns import ColumnNumbers, as_columns, copy_columns
from .loss import Loss, check_at_least, refuse_targets


class LossPart(Loss):
    """A loss of some columns of the output and of the target, times a weight.

        value                = weight loss(y[:, outputs], target[:, targets])
        grad_y[:, outputs]   = weight (the loss's own gradient), all others 0

    Shapes: y (N, M), target (N, T), sample_weight (N,) if the loss takes it.
    Args: loss: any loss; outputs, targets: columns as a list `[0, 2]`, as a range `"0:10"`, both giving (N, k), or as
        one number, which gives (N,): labels are one column of whole numbers; weight: at least 0, may be changed;
        name: of the part in figures, such as `digit` of `digit_accuracy`.
    Errors: ValueError for columns that are not there, and for what the loss itself refuses.
    Source: Caruana, Multitask Learning (1997); Goodfellow et al., Deep Learning, section 7.7.
    """

    def __init__(
        self, loss: Loss, outputs: ColumnNumbers, targets: ColumnNumbers, weight: float = 1.0, name: str | None = None
    ):
        super().__init__()
        if not isinstance(loss, Loss):
            raise TypeError(f"LossPart: loss is {loss!r}, expected a Loss")
        loss.check_reduction("LossPart")
        if name is not None and not name.isidentifier():
            raise ValueError(f"LossPart: name is {name!r}, expected a word")
        self.loss, self.outputs, self.targets, self._name = loss, outputs, targets, name
        self.weight = check_at_least("LossPart", "weight", weight, 0)
        self.takes_sample_weight = loss.takes_sample_weight
        self.jit = loss.jit
        self.output_columns = as_columns("LossPart", "outputs", outputs)
        self.target_columns = as_columns("LossPart", "targets", targets)
        self.one_output = "(N,)" if isinstance(outputs, int) else None  # strings and None are decided while compiling
        self.one_target = "(N,)" if isinstance(targets, int) else None
        self.labels = "(N,)" if self.one_target and 1 in loss.label_arguments else None
        self.y = self.target = self.grad_y = np.empty((0, 0))

    @property
    def name(self) -> str | None:
        """The name of the part in metrics."""
        return self._name

    def select_outputs(self, y: np.ndarray) -> np.ndarray:
        """Select the loss's outputs among all."""
        return y[:, self.output_columns[0]] if self.one_output else y[:, self.output_columns]

    def select_targets(self, target: np.ndarray) -> np.ndarray:
        """Select the loss's targets among all."""
        target = target[:, self.target_columns[0]] if self.one_target else target[:, self.target_columns]
        return as_labels(target) if self.labels else target

    def fprop(self, y, target, sample_weight=None):
        self.grad_y = reuse_like(self.grad_y, y)
        self.y = reuse(self.y, (y.shape[0], self.output_columns.size), y.dtype)
        self.target = reuse(self.target, (y.shape[0], self.target_columns.size), target.dtype)
        copy_columns(y, self.output_columns, self.y)
        copy_columns(target, self.target_columns, self.target)
        if sample_weight is None:
            return self.weight * self.loss.fprop(self.select_y(), self.select_target())
        return self.weight * self.loss.fprop(self.select_y(), self.select_target(), sample_weight)

    def select_y(self):
        """Select the loss's y: (N,) or (N, k)."""
        if self.one_output is not None:
            return self.y[:, 0].copy()
        return self.y

    def select_target(self):
        """Select the loss's target: labels (N,), (N,) or (N, k)."""
        if self.labels is not None:
            return as_labels(self.target[:, 0])
        if self.one_target is not None:
            return self.target[:, 0].copy()
        return self.target

    def bprop(self):
        grad_part = self.loss.bprop()
        rows = np.ascontiguousarray(grad_part).reshape(self.y.shape)
        self.grad_y[:] = 0
        for n in range(rows.shape[0]):
            for k in range(rows.shape[1]):
                self.grad_y[n, self.output_columns[k]] = self.weight * rows[n, k]
        return self.grad_y

    def hessian_times(self, y, target, v):
        """weight (the loss's own) of the part's columns, all others 0."""
        out, part = np.zeros(v.shape, v.dtype), np.empty(self.y.shape, v.dtype)
        copy_columns(v, self.output_columns, part)
        change = self.loss.hessian_times(self.select_y(), self.select_target(), part.reshape(self.select_y().shape))
        rows = change.reshape(part.shape)
        for n in range(part.shape[0]):
            for k in range(part.shape[1]):
                out[n, self.output_columns[k]] = self.weight * rows[n, k]
        return out

    def check_labels(self, target) -> None:
        target = np.asarray(target)
        if self.labels and target.ndim == 2 and target.shape[1] > self.target_columns[0]:
            check_whole(self, 1, target[:, self.target_columns[0]])

    def select_shapes(self, y_shape, target_shape):
        """Select the shapes of the loss's y and target; ValueError where a column is missing."""
        sides = ("y", y_shape, self.output_columns), ("target", target_shape, self.target_columns)
        for name, shape, columns in sides:
            if len(shape) != 2 or columns.max() >= shape[1]:
                raise ValueError(f"{self.label()}: {name} has shape {shape}, expected (N, {columns.max() + 1} or more)")
        y_part, target_part = (y_shape[0], self.output_columns.size), (target_shape[0], self.target_columns.size)
        return y_part[:1] if self.one_output else y_part, target_part[:1] if self.one_target else target_part

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        self.loss.check_arguments(*self.select_shapes(y_shape, target_shape))
        return ()

    def check_targets(self, target, output_shape) -> None:
        _, shape = output_shape, target.shape
        target = np.asarray(target)[:, self.target_columns]
        if self.one_target:
            target = target[:, 0]
        if self.labels:
            refuse_targets(self, target, target == np.floor(target), "a label, a whole number")
            target = target.astype(np.int64)
        self.loss.check_targets(target, self.select_shapes(output_shape, shape)[0])


class MultiLoss(Loss):
    """The sum of several losses of one output and one target; most often each is a LossPart.

        value  = Σᵢ lossᵢ(y, target)
        grad_y = Σᵢ ∂lossᵢ/∂y

    Shapes: those that all parts take; sample_weight (N,) if all take it.
    Args: parts: at least one loss; `loss.parts` are they.
    Errors: ValueError for no parts, for parts of which some want labels where others want numbers, and for what a part
        refuses.
    Source: Goodfellow et al., Deep Learning, section 7.7.
    """

    def __init__(self, parts: list[Loss]):
        super().__init__()
        if not parts:
            raise ValueError("MultiLoss: parts is empty, expected at least one loss")
        for i, part in enumerate(parts):
            if not isinstance(part, Loss):
                raise TypeError(f"MultiLoss: parts[{i}] is {part!r}, expected a Loss")
            part.check_reduction("MultiLoss")
            self._add_module(f"part{i}", part)
        names = [part.name for part in parts if isinstance(part, LossPart) and part.name is not None]
        if len(set(names)) < len(names):
            raise ValueError(f"MultiLoss: parts are called {', '.join(names)}, expected different names")
        kinds = {part.label_arguments for part in parts}
        if len(kinds) > 1:
            raise ValueError("MultiLoss: some parts want labels, others numbers, expected a LossPart for each")
        self.label_arguments = parts[0].label_arguments
        self.takes_distributions = all(part.takes_distributions for part in parts)
        self.takes_sample_weight = all(part.takes_sample_weight for part in parts)
        self.jit = all(part.jit for part in parts)
        self.grad_y = np.empty((0, 0))

    @property
    def metrics(self) -> tuple[str, ...]:  # type: ignore[override]
        """The metrics of the named parts, with the name in front: `digit_accuracy`."""
        return tuple(f"{name}_{metric}" for name, part in self.named_parts().items() for metric in part.loss.metrics)

    def named_parts(self) -> dict[str, LossPart]:
        """The parts that have a name."""
        return {part.name: part for part in self.parts if isinstance(part, LossPart) and part.name is not None}

    @property
    def parts(self) -> list[Loss]:
        """The losses of the sum."""
        return list(self.children().values())  # type: ignore[arg-type]

    def distribution(self, y) -> dict[str, Any]:
        """The distribution that each part reads into its outputs, by the parts' names; likelihoods alone have one."""
        distributions = {}
        for name, part in self.named_parts().items():
            with contextlib.suppress(ValueError):
                distributions[name] = part.loss.distribution(part.select_outputs(y))
        if not distributions:
            raise ValueError(f"{self.label()}: no part with a name is the likelihood of a distribution")
        return distributions

    def fprop(self, y, target, sample_weight=None):
        self.grad_y = reuse_like(self.grad_y, y)
        return self.sum_parts(y, target, sample_weight)

    def bprop(self):
        self.grad_y[:] = 0
        self.add_gradients(self.grad_y)
        return self.grad_y

    def hessian_times(self, y, target, v):
        """Σᵢ that of each part."""
        out = np.zeros(v.shape, v.dtype)
        self.add_changes(y, target, v, out)
        return out

    def sum_parts(self, y, target, sample_weight):
        """Sum the parts' values; `list_compiled_methods` has it without a loop."""
        return make_sum_chain(tuple(self.children()))(self, y, target, sample_weight)

    def add_gradients(self, grad_y):
        """Add each part's gradient to grad_y."""
        make_gradient_chain(tuple(self.children()))(self, grad_y)

    def add_changes(self, y, target, v, change):
        """Add the change of each part's gradient along v."""
        make_hessian_chain(tuple(self.children()))(self, y, target, v, change)

    def list_compiled_methods(self):
        names = tuple(self.children())
        chains = {
            "sum_parts": make_sum_chain(names),
            "add_gradients": make_gradient_chain(names),
            "add_changes": make_hessian_chain(names),
        }
        return {**collect_methods(type(self)), **chains}

    def check_labels(self, target) -> None:
        self._ask_parts(lambda part: part.check_labels(target))

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        self._ask_parts(lambda part: part.check_arguments(y_shape, target_shape))
        return ()

    def check_shapes(self, output_shape, target_shape, classes=None) -> None:
        self._ask_parts(lambda part: part.check_shapes(output_shape, target_shape))

    def check_targets(self, target, output_shape) -> None:
        self._ask_parts(lambda part: part.check_targets(target, output_shape))

    def extra_repr(self) -> str:
        return f"{len(self.parts)} parts"

    def _ask_parts(self, question) -> None:
        for i, part in enumerate(self.parts):
            try:
                question(part)
            except ValueError as error:
                error.add_note(f"in parts[{i}]")
                raise


def as_labels(column):
    """Convert numbers (N,) to labels; ValueError for one with a fraction."""
    labels = column.astype(np.int64)
    for n in range(column.size):
        if labels[n] != column[n]:
            raise ValueError("a label is not a whole number")
    return labels


def call_fprop(loss, y, target, sample_weight):
    """Compute the value of a loss, with weights if there are any."""
    if sample_weight is None:
        return loss.fprop(y, target)
    return loss.fprop(y, target, sample_weight)


@functools.cache
def make_sum_chain(names: tuple[str, ...]):
    """Make the function (self, y, target, sample_weight) that sums the values of the children of these names."""
    last = names[-1]
    if len(names) == 1:
        return lambda self, y, target, weight: call_fprop(getattr(self, last), y, target, weight)
    before = make_sum_chain(names[:-1])
    return lambda self, y, target, weight: (
        before(self, y, target, weight) + call_fprop(getattr(self, last), y, target, weight)
    )


@functools.cache
def make_gradient_chain(names: tuple[str, ...]):
    """Make the function (self, grad_y) that adds the gradients of the children of these names to grad_y."""
    last = names[-1]
    if len(names) == 1:
        return lambda self, grad_y: add_gradient(getattr(self, last).bprop(), grad_y)
    before = make_gradient_chain(names[:-1])

    def both(self, grad_y):
        before(self, grad_y)
        add_gradient(getattr(self, last).bprop(), grad_y)

    return both


@functools.cache
def make_hessian_chain(names: tuple[str, ...]):
    """The function (self, y, target, v, change) that adds the changes of the gradients of the children to `change`."""
    last = names[-1]
    if len(names) == 1:
        return lambda self, y, target, v, change: add_gradient(getattr(self, last).hessian_times(y, target, v), change)
    before = make_hessian_chain(names[:-1])

    def both(self, y, target, v, change):
        before(self, y, target, v, change)
        add_gradient(getattr(self, last).hessian_times(y, target, v), change)

    return both


def add_gradient(part, grad_y):
    """grad_y += part, of any shape."""
    a, b = part.reshape(part.size), grad_y.reshape(grad_y.size)
    for i in range(b.size):
        b[i] += a[i]
