"""Jacobians of models, and propagation of input errors through them.

A Jacobian is made of its columns, by forward mode, or of its rows, by backward mode: whichever are fewer.
"""

from typing import Literal

import numpy as np

from ..core.module import Module
from ..engine.locks import exclusive
from .tangent import check_direction, jvp, prepare_input, vjp

Of = Literal["x", "parameters"]


@exclusive
def jacobian(net: Module, x, of: Of = "x") -> np.ndarray:
    """Compute ∂y/∂x, or ∂y/∂w, of all numbers of a minibatch: for a few samples of a small model.

        J[..., i] = J eᵢ (forward mode), or J[k] = Jᵀ eₖ (backward mode), whichever takes fewer passes

    Shapes: y's axes and then those of x, or y's axes and then (P,).
    Args: of: x, or the parameters.
    Errors: ValueError for another `of`, and for an x that the model refuses.
    Numerics: in the model's dtype; exact to rounding, see jvp.
    Source: Bishop and Bishop, Deep Learning, section 8.1.5 (eq. 8.26 to 8.35).
    """
    if of not in ("x", "parameters"):
        raise ValueError(f"{net.label()}: of is {of!r}, expected 'x' or 'parameters'")
    x, start = prepare_input(net, x), net.counters()
    y = run_rewound(net, start, net.fprop, x)
    inputs = x.shape if of == "x" else (net.flat_parameters.size,)
    matrix = np.empty((y.size, int(np.prod(inputs))), net.dtype)
    if matrix.shape[1] <= matrix.shape[0]:
        for i, unit in enumerate(iterate_unit_vectors(inputs, net.dtype)):
            directions = (unit, None) if of == "x" else (None, unit)
            matrix[:, i] = run_rewound(net, start, jvp, net, x, *directions).ravel()
    else:
        for k, unit in enumerate(iterate_unit_vectors(y.shape, net.dtype)):
            grad_x, gradient = run_rewound(net, start, vjp, net, x, unit)
            matrix[k] = grad_x.ravel() if of == "x" else gradient
    return matrix.reshape(y.shape + inputs)


@exclusive
def sample_jacobians(net: Module, x) -> np.ndarray:
    """Compute ∂y[n]/∂x[n] of each sample, all at once: as many passes as one sample has inputs, or outputs.

    Shapes: x (N, ...), the result (N, ...of y, ...of x).
    Errors: ValueError for a model whose samples see each other, as with batch normalisation in training.
    """
    x, start = prepare_input(net, x), net.counters()
    y = run_rewound(net, start, net.fprop, x)
    refuse_meeting_samples(net, x, start)
    samples, inside, outside = len(x), x.shape[1:], y.shape[1:]
    matrix = np.empty((samples, int(np.prod(outside)), int(np.prod(inside))), net.dtype)
    if matrix.shape[2] <= matrix.shape[1]:
        for i, unit in enumerate(iterate_unit_vectors(inside, net.dtype)):
            change = run_rewound(net, start, jvp, net, x, np.broadcast_to(unit, x.shape))
            matrix[:, :, i] = change.reshape(samples, -1)
    else:
        for k, unit in enumerate(iterate_unit_vectors(outside, net.dtype)):
            matrix[:, k] = run_rewound(net, start, vjp, net, x, np.broadcast_to(unit, y.shape))[0].reshape(samples, -1)
    return matrix.reshape(samples, *outside, *inside)


def output_variance(net: Module, x, variance) -> np.ndarray:
    """Compute the variance of y that small independent errors of x cause.

        var y[n, k] = Σᵢ (∂y[n, k]/∂x[n, i])² variance[n, i]

    Shapes: x (N, ...); variance as x, or one number for all; the result is as y.
    Errors: ValueError for another shape, for a negative variance, and as of `sample_jacobians`.
    Source: Bishop and Bishop, Deep Learning, section 8.1.5 (eq. 8.28: Δy = Σ ∂y/∂xᵢ Δxᵢ).
    """
    x = prepare_input(net, x)
    variances = np.full(x.shape, variance) if np.ndim(variance) == 0 else variance
    sizes = check_direction(net, "variance", variances, x.shape)
    if (sizes < 0).any():
        raise ValueError(f"{net.label()}: variance has a negative number, expected at least 0")
    squares = sample_jacobians(net, x) ** 2
    outside = squares.shape[1 : squares.ndim - x.ndim + 1]
    rows = squares.reshape(len(x), -1, x[0].size)
    return np.einsum("nki,ni->nk", rows, sizes.reshape(len(x), -1)).reshape(len(x), *outside)


def refuse_meeting_samples(net: Module, x: np.ndarray, start) -> None:
    """Raise ValueError if the first sample's x changes another sample's y."""
    v = np.zeros_like(x)
    v[0] = np.random.default_rng(0).standard_normal(x.shape[1:])
    if np.any(run_rewound(net, start, jvp, net, x, v)[1:]):
        raise ValueError(
            f"{net.label()}: its samples see each other, expected a net (in eval mode) that keeps them apart"
        )


def iterate_unit_vectors(shape: tuple[int, ...], dtype):
    """Iterate over the unit vectors of a space of arrays, in the same memory."""
    unit = np.zeros(shape, dtype)
    for place in np.ndindex(shape):
        unit[place] = 1
        yield unit
        unit[place] = 0


def run_rewound(net: Module, start, function, *arguments):
    """Run a function with the random numbers of the first pass."""
    net.load_counters(start)
    return function(*arguments)
