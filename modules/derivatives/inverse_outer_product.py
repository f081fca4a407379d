"""The inverse of the outer product approximation of a Hessian, built up sample by sample."""

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from ..engine.locks import locked
from ..losses.loss import Loss
from .curvature import Curvature
from .differences import Differences
from .jacobians import iterate_unit_vectors, jacobian, refuse_meeting_samples, run_rewound
from .supported import has_curvature

OUTER_PRODUCTS = ("gauss_newton", "fisher")


def inverse_outer_product(
    curvature: Curvature, damping: float, kind: Literal["gauss_newton", "fisher"] = "gauss_newton"
) -> np.ndarray:
    """(Σₙ bₙ bₙᵀ + damping I)⁻¹ (P, P), by one pass over the samples, without inverting a matrix.

        H₀⁻¹     = I / damping
        H_{L+1}⁻¹ = H_L⁻¹ - H_L⁻¹ b bᵀ H_L⁻¹ / (1 + bᵀ H_L⁻¹ b)

    With kind fisher, b is √(1/N) times a sample's gradient. With gauss_newton there is a b for each output: the columns
    of Jₙᵀ S, S the root of the loss's own Hessian H_L = S Sᵀ in that sample's output, so that the sum is
    Jᵀ H_L J; for squared errors of one output these are the book's ∂yₙ/∂w, with the factor of the loss.

    It costs N K P² operations for N samples and K outputs, and the memory of one matrix. Samples are taken one by one:
    a net with random numbers, such as dropout's, is meant in evaluation mode.

    Args: curvature: of any net and loss; damping: the multiple of I at the start, above 0, small beside the matrix.
    Errors: ValueError for a damping that is not above 0, for another kind, for a loss that is not convex in the
        output, and for a net whose samples see each other.
    Source: Hassibi and Stork, Second order derivatives for network pruning (1993), eq. 8 to 10; Bishop, Pattern
        Recognition and Machine Learning, eq. 5.86 to 5.89; Bishop and Bishop, Deep Learning, section 8.1.6 (the outer
        product, eq. 8.40).
    """
    if kind not in OUTER_PRODUCTS:
        raise ValueError(f"inverse_outer_product: kind is {kind!r}, expected one of {', '.join(OUTER_PRODUCTS)}")
    if not (np.isfinite(damping) and damping > 0):
        raise ValueError(f"inverse_outer_product: damping is {damping}, expected a number above 0")
    with locked(curvature.net):
        if kind == "gauss_newton":
            return invert_sum(list_factors(curvature), curvature.size, damping)
        return invert_sum(curvature.sample_gradients() / np.sqrt(len(curvature.x)), curvature.size, damping)


def invert_sum(vectors: Iterable[np.ndarray], size: int, damping: float) -> np.ndarray:
    """(Σ b bᵀ + damping I)⁻¹ of vectors b (size,), one after the other."""
    inverse = np.eye(size) / damping
    for b in vectors:
        along = inverse @ b
        inverse -= np.outer(along, along) / (1 + b @ along)
    return inverse


def list_factors(curvature: Curvature) -> Iterator[np.ndarray]:
    """Yield vectors b (P,) whose outer products b bᵀ add up to the Gauss-Newton matrix: K for each sample."""
    net, x, start = curvature.net, curvature.x, curvature._start
    refuse_meeting_samples(net, x, start)
    y = np.array(run_rewound(net, start, net.fprop, x))
    for n, matrix in enumerate(compute_output_hessians(curvature.loss, y, curvature.target)):
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        if values[0] < -1e-9 * max(1.0, abs(values[-1])):
            raise ValueError(f"inverse_outer_product: {curvature.loss.label()} is not convex in the output {n}")
        slopes = run_rewound(net, start, jacobian, net, x[n : n + 1], "parameters").reshape(matrix.shape[0], -1)
        for value, vector in zip(values, vectors.T, strict=True):
            if value > 0:
                yield np.sqrt(value) * (vector @ slopes)


def compute_output_hessians(loss: Loss, y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compute the Hessian of a loss in each sample's output (N, K, K), by K products."""
    product = loss if has_curvature(loss) else Differences(loss)
    loss.fprop(y, target)  # type: ignore[call-arg]
    loss.bprop()  # type: ignore[call-arg]
    columns = []
    for unit in iterate_unit_vectors(y.shape[1:], y.dtype):
        v = np.ascontiguousarray(np.broadcast_to(unit, y.shape))
        columns.append(np.array(product.hessian_times(y, target, v)).reshape(len(y), -1))  # type: ignore[attr-defined]
    return np.stack(columns, axis=2)
