"""Common mistakes in a bprop, recognised by a second run under another condition or by comparison with other sums.

Each function takes a wrong gradient beside the right one, and returns the end of a sentence about it, or nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..engine.stateful import collect_methods, plain_python
from .contract_checks import Trial
from .gradient_check import STREAM
from .gradient_patterns import is_close, max_abs
from .gradient_subject import Subject


@dataclass(frozen=True)
class WrongGradient:
    """A wrong gradient, of `x` or of a parameter, and the right one, for the grad_y of the check."""

    trial: Trial
    name: str
    actual: np.ndarray
    right: np.ndarray

    def subject(self) -> Subject:
        """Make a new subject, with the grad_y of the check."""
        subject = Subject(self.trial.module, self.trial.arguments, np.random.default_rng((STREAM, self.trial.seed)))
        with plain_python(), np.errstate(all="ignore"):
            subject.run()
            subject.rewind()
        subject.module.zero_grad()
        return subject

    def rerun_bprop(self, subject: Subject) -> np.ndarray:
        """Run bprop once more, after an fprop of the caller's; returns its gradient."""
        seeds = [subject.seed] if subject.module.takes_gradient else []
        grad_x = subject.module.bprop(*seeds)
        return np.asarray(grad_x if self.name in ("x", "y") else dict(subject.module.named_gradients())[self.name])


def find_mistake(wrong: WrongGradient) -> str:
    """Find the first mistake that explains the gradient."""
    with plain_python(), np.errstate(all="ignore"):
        for explain in (check_stale_values, check_transposed_weight, check_sum_axes):
            if text := explain(wrong):
                return text
    return ""


def check_stale_values(wrong: WrongGradient) -> str:
    """Whether the gradient is right once fprop has run twice: then bprop uses what the fprop before has stored."""
    subject = wrong.subject()
    for _ in range(2):
        subject.module.fprop(*subject.arguments)
    if not is_close(wrong.rerun_bprop(subject), wrong.right):
        return ""
    return "is that of an earlier fprop (stale): store what bprop needs after it is computed, in each fprop"


def check_transposed_weight(wrong: WrongGradient) -> str:
    """Whether the gradient is right with a square weight transposed between fprop and bprop."""
    for name, array in wrong.trial.module.named_parameters():
        if name == wrong.name or array.ndim < 2 or array.shape[0] != array.shape[1]:
            continue
        subject = wrong.subject()
        subject.module.fprop(*subject.arguments)
        weight = dict(subject.module.named_parameters())[name]
        weight[...] = weight.swapaxes(0, 1).copy()
        if is_close(wrong.rerun_bprop(subject), wrong.right):
            return f"has {name} transposed: exchange {name} and its transpose in bprop (grad_y @ W for y = x @ Wᵀ)"
    return ""


def check_sum_axes(wrong: WrongGradient) -> str:
    """Whether the gradient is a sum over some axes, where the right one is the sum over others."""
    for text, term in iterate_terms(wrong):
        sums = list(iterate_sums(term, wrong.right.shape))
        over = [axes for axes, total in sums if is_close(total, wrong.actual)]
        right_axes = [axes for axes, total in sums if is_close(total, wrong.right)]
        if over and right_axes:
            return f"is {text} summed over {format_axes(over[0])}, expected over {format_axes(right_axes[0])}"
        for factor_text, factor in iterate_factors(wrong):
            for mean in (False, True):
                for (axes, total), (others, expected) in iterate_pairs(compute_sums(term, wrong.right.shape, mean)):
                    missing = np.broadcast_to(factor * (expected - total), wrong.right.shape)
                    if max_abs(missing) and is_multiple(missing, wrong.actual - wrong.right):
                        what = f"{factor_text}{'the mean of' if mean else 'Σ'} {text}"
                        return f"has {what} over {format_axes(axes)}, expected over {format_axes(others)}"
    return ""


def is_multiple(term: np.ndarray, difference: np.ndarray) -> bool:
    """Whether two arrays are equal up to a factor: the sum may stand in a larger expression."""
    factor = float(np.vdot(term, difference) / np.vdot(term, term))
    return is_close(factor * term, difference)


def check_skipped_path(wrong: WrongGradient) -> str:
    """Whether the gradient lacks grad_y (a skipped residual path), or is grad_y alone."""
    grad_y = wrong.subject().grad_y
    differing = ~np.isclose(wrong.actual, wrong.right, 1e-6, 0)
    if wrong.name != "x" or grad_y.shape != wrong.right.shape or differing.mean() < 0.9:
        return ""
    if is_close(wrong.actual, grad_y):
        return "is grad_y alone: is the path through what is added to x forgotten?"
    missing = wrong.right - wrong.actual
    factor = float(np.vdot(missing, grad_y) / max(np.vdot(grad_y, grad_y), 1e-300))
    if abs(factor) > 1e-6 and is_close(missing, factor * grad_y):
        times = "" if np.isclose(factor, 1, rtol=1e-4) else f"{factor:.4g} times "
        return f"lacks {times}grad_y: is a path on which x is added to y (a residual) forgotten?"
    return ""


# -- candidate sums ---------------------------------------------------------------------------------------------


def iterate_terms(wrong: WrongGradient) -> Iterator[tuple[str, np.ndarray]]:
    """Iterate over terms that a gradient may be a sum of, with their names."""
    subject = wrong.subject()
    grad_y, x, y = subject.grad_y, np.asarray(subject.arguments[0]), np.asarray(subject.made)
    if grad_y.ndim < 2:
        return
    yield "grad_y", grad_y
    if x.shape == grad_y.shape:
        yield "grad_y x", grad_y * x
    if y.shape == grad_y.shape:
        yield "grad_y y", grad_y * y


def iterate_factors(wrong: WrongGradient) -> Iterator[tuple[str, np.ndarray | float]]:
    """Iterate over factors of a sum in a gradient of x, with their names."""
    subject = wrong.subject()
    x, y = np.asarray(subject.arguments[0]), np.asarray(subject.made)
    if wrong.name == "x" and x.shape == wrong.right.shape:
        yield "", 1.0
        yield "x ", x
        if y.shape == x.shape:
            yield "y ", y


def iterate_axes(ndim: int) -> Iterator[tuple[int, ...]]:
    """Iterate over all choices of axes."""
    for count in range(1, ndim + 1):
        yield from combinations(range(ndim), count)


def iterate_sums(term: np.ndarray, shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Iterate over the sums of a term over axes that leave this shape."""
    for axes in iterate_axes(term.ndim):
        total = term.sum(axis=axes)
        if total.size == np.prod(shape):
            yield axes, total.reshape(shape)


def compute_sums(term: np.ndarray, shape: tuple[int, ...], mean: bool) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """Compute the sums or means of a term over each choice of axes, with keepdims."""
    if term.shape != shape:
        return []
    reduce = np.mean if mean else np.sum
    return [(axes, reduce(term, axis=axes, keepdims=True)) for axes in iterate_axes(term.ndim)]


def iterate_pairs(sums: list) -> Iterator[tuple]:
    """Iterate over all ordered pairs of two sums over different axes."""
    return ((a, b) for a in sums for b in sums if a[0] != b[0])


def format_axes(axes: tuple[int, ...]) -> str:
    """Format axes: `axis 1`, `axes 0 and 2`."""
    return f"ax{'i' if len(axes) == 1 else 'e'}s {' and '.join(map(str, axes))}"


# -- state outside of the module --------------------------------------------------------------------------------


def find_changed_globals(trial: Trial) -> list[str]:
    """Find the globals, closure variables and class attributes that a run of the module changes."""
    module = trial.copy()
    before = read_outside_values(module)
    with plain_python(), np.errstate(all="ignore"):
        trial.run(module)
    after = read_outside_values(module)
    return sorted(name for name in before if before[name] != after.get(name))


def read_outside_values(module) -> dict[str, str]:
    """Format the values that a module's methods can reach outside of it."""
    texts: dict[str, str] = {}
    for inside in module.all_modules():
        for method in collect_methods(type(inside)).values():
            values = {name: method.__globals__.get(name) for name in method.__code__.co_names}
            cells = zip(method.__code__.co_freevars, method.__closure__ or (), strict=True)
            values |= {name: cell.cell_contents for name, cell in cells}
            texts |= {name: format_value(value) for name, value in values.items() if is_state(value)}
        for cls in type(inside).__mro__:
            own = {} if vars(cls).get("framework_base", False) else vars(cls)
            texts |= {f"{cls.__name__}.{name}": format_value(value) for name, value in own.items() if is_state(value)}
    return texts


def is_state(value) -> bool:
    """Whether a value is data that a run may change."""
    return isinstance(value, bool | int | float | list | dict | set | np.ndarray | np.random.Generator)


def format_value(value) -> str:
    """Format a value so that different values have different texts."""
    if isinstance(value, np.ndarray):
        return f"{value.shape} {hash(value.tobytes())}"
    return repr(value.bit_generator.state if isinstance(value, np.random.Generator) else value)
