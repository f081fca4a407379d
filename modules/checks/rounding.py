"""Estimates of rounding error in gradients: the scale on which two right ones may differ.

The gradient of a bias before a normalisation is a sum of terms that cancel. What is left of them is rounding error, and
has no digit in common with what another order of the same sum leaves. How large it is, the sum does not show, but
its terms do: arguments and parameters are moved by less than their last digits, and the gradient is taken again.
"""

from functools import partial

import numpy as np

from ..core.module import Module
from ..engine.stateful import plain_python
from ..engine.tables import flatten_table, map_table, name_arrays, shape_of

EPS = float(np.finfo(np.float64).eps)
OTHERS = 4.0  # how much farther yet two results of another precision, layout or compiler may lie apart
RUNS = 4  # with numbers moved; each shows another rounding error
SPREADS = 100.0  # what a right gradient may be off by: it may sum in another order, and larger terms


def estimate_allowances(module: Module, arguments: tuple, grad_y, seed: int = 0) -> dict[str, float]:
    """Estimate the rounding error in float64 of `y`, `grad_x` (`grad_y` of a loss) and each parameter's gradient.

    The gradients are those of the evaluation trace of fprop, and of bprop itself where there is none: so a bprop that
    is worse conditioned than fprop is not excused. y has an allowance only where nothing but rounding error is in it.
    Args: module: in float64, untouched; arguments: of fprop; grad_y: the gradient of y, None for a loss.
    """
    random = np.random.default_rng((23, seed))
    runs = []
    for k in range(RUNS + 1):
        copy = module.copy()
        copy.flat_parameters[...] = perturb(copy.flat_parameters, random, k)
        nearby = (map_table(partial(perturb, random=random, run=k), arguments[0]), *arguments[1:])
        runs.append(compute_gradients(copy, nearby, grad_y))
    first, *others = runs
    allowances = {name: max(max_abs(other[name] - first[name]) for other in others) for name in first}
    size = np.linalg.norm(grad_y) * max_abs(first["y"]) if grad_y is not None else max_abs(first["y"])
    allowances = {name: SPREADS * max(spread, EPS * float(size)) for name, spread in allowances.items()}
    if allowances["y"] < max_abs(first["y"]):
        allowances["y"] = 0.0
    return allowances


def scale_to_precision(allowances: dict[str, float], dtype) -> dict[str, float]:
    """Scale the rounding errors of float64 to another floating-point type."""
    return {name: OTHERS * float(np.finfo(dtype).eps) / EPS * allowance for name, allowance in allowances.items()}


def perturb(array: np.ndarray, random: np.random.Generator, run: int) -> np.ndarray:
    """Perturb numbers in their last digits, in all runs but the first."""
    if run == 0 or array.dtype.kind != "f":
        return array.copy()
    return array * (1 + 4 * EPS * random.uniform(-1, 1, array.shape))


def compute_gradients(module: Module, arguments: tuple, grad_y) -> dict[str, np.ndarray]:
    """Compute y and all gradients as vectors, by the trace of fprop or, where that fails, by bprop."""
    from ..autodiff import derive

    with np.errstate(all="ignore"):
        try:
            derived = derive(module, *arguments)
            y, inputs = derived.y, derived.bprop(1.0 if grad_y is None else grad_y)
        except Exception:  # it cannot be traced
            return compute_by_bprop(module, arguments, grad_y)
    names = name_arrays("x" if module.takes_gradient else "y", arguments[0])
    of_x = [np.ravel(inputs.pop(name)) for name in names if name in inputs]
    results = {"y": as_vector(y), "grad_x": np.concatenate(of_x or [np.zeros(0)])}
    return results | {f"grad_{name}": np.ravel(gradient) for name, gradient in inputs.items()}


def compute_by_bprop(module: Module, arguments: tuple, grad_y) -> dict[str, np.ndarray]:
    """Compute y and all gradients of one run as plain Python."""
    module.zero_grad()
    with plain_python():
        y = module.fprop(*map_table(np.copy, arguments))
        y_copy = map_table(np.copy, y)
        grad_x = module.bprop(*([] if grad_y is None else [map_table(np.copy, grad_y)]))
    x = grad_x if shape_of(grad_x) else np.zeros(0)
    return {"y": as_vector(y_copy), "grad_x": as_vector(x)} | {
        f"grad_{n}": g.ravel() for n, g in module.named_gradients()
    }


def as_vector(value) -> np.ndarray:
    """Flatten an array or table into one vector."""
    return np.concatenate([np.ravel(each) for each in flatten_table(value)])


def max_abs(array: np.ndarray) -> float:
    """Compute the largest finite absolute value."""
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
