"""Checks of a module's own jvp and rbprop, and of a loss's hessian_times, against bprop or differences of it."""

import numpy as np

from ..core.module import Module
from ..engine.stateful import plain_python
from ..losses.loss import Loss
from .differences import SHORT, Differences, evaluate, max_abs
from .supported import has_curvature, has_method
from .tangent import jvp, place_direction, vjp


def check_jvp_and_rbprop(module: Module, x: np.ndarray, seed: int = 0) -> str:
    """Check a module's jvp and rbprop at x, in float64; describes what is wrong, or ""."""
    if module.children() or not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return ""
    random = np.random.default_rng((17, seed))
    v, direction = random.standard_normal(x.shape), random.standard_normal(module.flat_parameters.size)
    with plain_python(), np.errstate(all="ignore"):
        if has_method(type(module), "jvp") and not is_transposed(module, x, v, direction, random):
            return "jvp is not the transpose of bprop: <grad_y, J v> differs from <Jᵀ grad_y, v>"
        if has_method(type(module), "rbprop") and not is_change_of_bprop(module, x, v, direction, random):
            return "rbprop is not the change of bprop along v, v_<parameter> and r_grad_y"
    return ""


def is_transposed(module: Module, x, v, direction, random) -> bool:
    """Whether <grad_y, J v> = <Jᵀ grad_y, v>, to 1e-9 of the terms."""
    start = module.counters()
    change = jvp(module, x, v, direction)
    grad_y = random.standard_normal(change.shape)
    module.load_counters(start)
    grad_x, gradient = vjp(module, x, grad_y)
    terms = [grad_y * change, -grad_x * v, -gradient * direction]
    size = max(float(np.abs(term).sum()) for term in terms)
    return not np.isfinite(size) or abs(sum(float(term.sum()) for term in terms)) <= 1e-9 * size


def is_change_of_bprop(module: Module, x, v, direction, random) -> bool:
    """Whether rbprop gives what differences do, to 1e-5, wherever these agree with longer ones: not at kinks."""
    place_direction(module, direction)
    references = [Differences(module.copy(), stretch) for stretch in (1.0, 2.0)]
    for each in references:
        place_direction(each.subject, direction)
        each.prepare()
    grad_y, r_grad_y = random.standard_normal((2, *np.shape(module.fprop(x))))
    module.bprop(grad_y)
    module.zero_grad()
    change = np.ravel(module.rbprop(v, grad_y, r_grad_y))  # type: ignore[attr-defined]
    analytic, estimates = np.concatenate([module.flat_gradients, change]), []
    for each in references:
        each.subject.zero_grad()
        change = np.ravel(each.rbprop(x, v, grad_y, r_grad_y))
        estimates.append(np.concatenate([each.subject.flat_gradients, change]))
    size, first = max_abs(estimates[0]), references[0]
    smooth = np.abs(estimates[0] - estimates[1]) <= 1e-6 * size
    step = SHORT / (first.size((x,), (v,)) or 1)
    smooth &= find_smooth(lambda h: first.run((x,), (v,), h, grad_y)[1], step)
    return not np.isfinite(size) or bool((np.abs(analytic - estimates[0])[smooth] <= 1e-5 * size).all())


def check_hessian_times(loss: Loss, y, target, seed: int = 0) -> str:
    """Check a loss's hessian_times at y, in float64; describes what is wrong, or ""."""
    if loss.estimates or not has_curvature(loss):
        return ""
    v = np.random.default_rng((17, seed)).standard_normal(y.shape)
    with plain_python(), np.errstate(all="ignore"):
        loss.fprop(y, target)  # type: ignore[call-arg]
        loss.bprop()  # type: ignore[call-arg]
        analytic = loss.hessian_times(y, target, v)  # type: ignore[attr-defined]
        numeric = Differences(loss.copy()).hessian_times(y, target, v)
        step = SHORT * (1 + max_abs(y)) / max_abs(v)
        smooth = find_smooth(lambda h: evaluate(loss, (y + h * v, target), True)[1], step)
    size, error = max_abs(numeric), np.ravel(np.abs(analytic - numeric))
    if not np.isfinite(size) or (error[smooth] <= 1e-5 * size + 1e-12).all():
        return ""
    return "hessian_times is not the change of grad_y along v"


def find_smooth(function, step: float) -> np.ndarray:
    """Find where a function's one-sided derivatives at 0 agree: at a kink, a central difference is their mean."""
    below, here, above = (function(h) for h in (-step, 0.0, step))
    change = np.abs(above - below)
    return np.abs(above - 2 * here + below) <= 1e-3 * change + 1e-6 * max_abs(change)
