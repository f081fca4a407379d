"""Adafactor: Adam's squares of the gradient, kept as one number a row and one a column."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.operations import Operations
from .checks import check_not_negative
from .optimizer import Optimizer
from .vectors import compute_norm


class Adafactor(Optimizer):
    """Adaptive steps with a memory of A + B numbers for a matrix (A, B), relative to the size of each parameter.

        β        = 1 - t^beta2_decay,   ρ = min(lr, 1 / √t)                              (t = 1, 2, ...)
        α        = max(eps₂, RMS(W)) ρ
        rows     = β rows + (1 - β) mean of gradient² over columns
        columns  = β columns + (1 - β) mean of gradient² over rows
        V        = rows columnsᵀ / max(mean of rows, eps₁)
        U        = gradient / √max(V, eps₁²)
        W       -= α U / max(1, RMS(U) / d)

    with RMS(W) the root of the mean square of W. Of parameters of one axis V is an average as of Adam's; of more than
    two, the last two axes are rows and columns, of one matrix for each place of the others.

    Args: lr: the largest relative step, and what decoupled weight decay is multiplied by; beta2_decay: at most 0; eps:
        (eps₁, eps₂), at least 0, where None is the smallest number that 1 can be told from; d: at least 1; common: the
        settings of all optimizers (decoupled_weight_decay is on).
    Errors: ValueError for settings out of range.
    Source: Shazeer and Stern, Adafactor: Adaptive learning rates with sublinear memory cost (2018), algorithms 4 to 6;
        PyTorch's torch.optim.Adafactor, whose lr and eps₁ these are.
    """

    def __init__(
        self,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        *,
        decoupled_weight_decay: bool = True,
        **common: Any,
    ):
        super().__init__(decoupled_weight_decay=decoupled_weight_decay, **common)
        check_not_negative("Adafactor", lr=lr)
        if not -math.inf < beta2_decay <= 0:
            raise ValueError(f"Adafactor: beta2_decay is {beta2_decay}, expected at most 0")
        if len(eps) != 2 or eps[1] is None:
            raise ValueError(f"Adafactor: eps is {tuple(eps)}, expected two numbers, or None and a number")
        check_not_negative("Adafactor", **{"eps[0]": eps[0] or 0.0, "eps[1]": eps[1]})
        if not 1 <= d < math.inf:
            raise ValueError(f"Adafactor: d is {d}, expected at least 1")
        self.lr, self.beta2_decay, self.d = float(lr), float(beta2_decay), float(d)
        vars(self).update(_eps=(None if eps[0] is None else float(eps[0]), float(eps[1])))
        self.eps2 = float(eps[1])
        self.steps = 0

    @property
    def eps(self) -> tuple[float | None, float]:
        return self._eps

    def start(self, parameters: np.ndarray) -> None:
        self.steps = 0
        blocks, rows_at, columns_at, begin = [], 0, 0, 0
        for _, shape, _ in self._rules:
            size = math.prod(shape)
            rows, columns = (shape[-2], shape[-1]) if len(shape) > 1 else (0, size)
            count = size // (rows * columns) if rows else 1
            blocks.append((begin, count, rows, columns, rows_at, columns_at))
            begin, rows_at, columns_at = begin + size, rows_at + count * rows, columns_at + count * columns
        self.rows = np.zeros(rows_at, parameters.dtype)
        self.columns = np.zeros(columns_at, parameters.dtype)  # of parameters of one axis, their squares
        eps1 = float(np.finfo(parameters.dtype).eps) if self._eps[0] is None else self._eps[0]
        table, sizes = np.array(blocks, np.int64).reshape(-1, 6), np.zeros(len(blocks), parameters.dtype)
        steps = np.zeros(max((count * max(r, 1) * c for _, count, r, c, _, _ in blocks), default=0), parameters.dtype)
        for name, value in {"blocks": table, "sizes": sizes, "scaled": steps, "eps1": eps1}.items():
            setattr(self, name, value)  # what a method assigns is state, which is saved; this is not

    def write_update(
        self, operations: Operations, parameters: str, gradients: str, layers: Sequence[Module] = ()
    ) -> str:
        operations.call(self, "measure", parameters)  # before weight decay
        return super().write_update(operations, parameters, gradients, layers)

    def measure(self, parameters):
        """Compute the RMS of each parameter."""
        infinite = parameters.dtype.type(np.inf)
        for k in range(self.blocks.shape[0]):
            size = self.blocks[k, 1] * max(self.blocks[k, 2], 1) * self.blocks[k, 3]
            part = parameters[self.blocks[k, 0] : self.blocks[k, 0] + size]
            self.sizes[k] = compute_norm(part, infinite) / np.sqrt(parameters.dtype.type(size))

    def update(self, parameters, gradients):
        self.steps += 1
        share = np.float64(self.steps) ** self.beta2_decay
        rho = min(self.lr, 1 / np.sqrt(np.float64(self.steps)))
        for k in range(self.blocks.shape[0]):
            begin, count, rows, columns = self.blocks[k, 0], self.blocks[k, 1], self.blocks[k, 2], self.blocks[k, 3]
            size = count * max(rows, 1) * columns
            if begin + size <= parameters.size:  # a trial of the step has a part of the parameters
                p, g, scaled = parameters[begin : begin + size], gradients[begin : begin + size], self.scaled[:size]
                self.scale(k, g, parameters.dtype.type(share), scaled)
                norm = compute_norm(scaled, parameters.dtype.type(np.inf))
                root = norm / np.sqrt(parameters.dtype.type(size))
                alpha = max(self.eps2, self.sizes[k]) * rho
                rate = parameters.dtype.type(alpha / max(1.0, root / self.d))
                for i in range(size):
                    p[i] -= rate * scaled[i]

    def scale(self, k, g, share, scaled):
        """scaled = U of parameter k; its averages move on."""
        count, rows, columns = self.blocks[k, 1], self.blocks[k, 2], self.blocks[k, 3]
        eps = g.dtype.type(self.eps1)
        if rows == 0:
            square = self.columns[self.blocks[k, 5] : self.blocks[k, 5] + columns]
            for i in range(columns):
                square[i] += share * (g[i] * g[i] - square[i])
                scaled[i] = g[i] / max(np.sqrt(square[i]), eps)
            return
        for m in range(count):
            at = m * rows * columns
            matrix = g[at : at + rows * columns].reshape((rows, columns))
            out = scaled[at : at + rows * columns].reshape((rows, columns))
            by_rows = self.rows[self.blocks[k, 4] + m * rows : self.blocks[k, 4] + (m + 1) * rows]
            by_columns = self.columns[self.blocks[k, 5] + m * columns : self.blocks[k, 5] + (m + 1) * columns]
            scale_matrix(matrix, share, by_rows, by_columns, eps, out)


def scale_matrix(g, share, rows, columns, eps, out):
    """out = U of a matrix; the averages of its squares by rows and by columns move on."""
    height, width = g.shape
    zero = g.dtype.type(0)
    sums, total = out[height - 1], zero  # the last row is scratch until it is written
    sums[:] = 0
    for r in range(height):
        part = zero
        for c in range(width):
            square = g[r, c] * g[r, c]
            part += square
            sums[c] += square
        rows[r] += share * (part / g.dtype.type(width) - rows[r])
        total += rows[r]
    for c in range(width):
        columns[c] += share * (sums[c] / g.dtype.type(height) - columns[c])
        sums[c] = np.sqrt(columns[c])  # roots, of which no product overflows
    mean = max(total / g.dtype.type(height), eps)
    for r in range(height):
        root = np.sqrt(rows[r] / mean)
        for c in range(width):
            out[r, c] = g[r, c] / max(root * sums[c], eps)
