"""Gradients from two evaluations of a function, whatever the number of its arguments."""

from collections.abc import Callable

import numpy as np

from ..core.module import Module
from ..engine.entry_points import convert_input
from ..losses.loss import Loss
from .tangent import check_direction, prepare_input


def make_loss_function(net: Module, loss: Loss, x, target) -> Callable[[np.ndarray], float]:
    """Make the loss on given samples as a function of the parameters (P,), by forward passes alone.

    It works on copies in float64. Random numbers, such as dropout's masks, are the same in each call.

    Errors: ValueError for an x or target that does not fit, and in a call for parameters of another shape.
    """
    net, loss = net.copy().to("float64"), loss.copy().to("float64")
    x, start = prepare_input(net, x), net.counters()
    shape = net.output_shape(x.shape)
    target = convert_input(loss, 1, target, len(shape))
    loss.check_arguments(shape, target.shape)

    def compute_loss(parameters) -> float:
        net.flat_parameters[...] = check_direction(net, "parameters", parameters, net.flat_parameters.shape)
        net.load_counters(start)
        return float(loss(net.fprop(x), target))

    return compute_loss


def spsa_gradient(
    function: Callable[[np.ndarray], float], w, step: float, random: np.random.Generator, pairs: int = 1
) -> np.ndarray:
    """Estimate a gradient by simultaneous perturbation: all arguments move at once, by random signs.

        g[i] = (f(w + step Δ) - f(w - step Δ)) / (2 step Δ[i]),   Δ of random signs,   averaged over `pairs`

    Each pair takes two evaluations, where differences take two for each argument. For a quadratic f the mean of g is
    the gradient; for others it is off by O(step²). The variance is that of the other arguments' slopes:
    var g[i] = Σ_{k≠i} (∂f/∂w[k])² / pairs, to lowest order.

    `make_loss_function` makes such a function of a net and a loss, also of a net that has no gradient.

    Shapes: w of any shape, the result likewise, float64.
    Args: function: of an array like w; step: above 0; random: of the signs; pairs: at least 1.
    Errors: ValueError for a step or pairs out of range.
    Source: Spall, Multivariate stochastic approximation using a simultaneous perturbation gradient approximation
        (1992), eq. 2.1 and 2.2; in the place of the differences of Bishop and Bishop, Deep Learning, eq. 8.25, one
        argument at a time.
    """
    if not (np.isfinite(step) and step > 0):
        raise ValueError(f"spsa_gradient: step is {step}, expected a number above 0")
    if pairs < 1:
        raise ValueError(f"spsa_gradient: pairs is {pairs}, expected at least 1")
    w, total = np.asarray(w, np.float64), np.zeros(np.shape(w))
    for _ in range(pairs):
        signs = random.choice([-1.0, 1.0], w.shape)
        total += (function(w + step * signs) - function(w - step * signs)) / (2 * step) * signs  # 1 / Δ = Δ
    return total / pairs
