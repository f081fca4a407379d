"""Muon: matrices take orthogonal steps, all other parameters those of AdamW."""

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np

from ...modules.kernels.matmul.gemm import matmul_into
from .checks import check_count, check_fraction, check_fractions, check_not_negative
from .optimizer import Optimizer
from .vectors import compute_norm

AdjustLr = Literal["original", "match_rms_adamw"]


class Muon(Optimizer):
    """Momentum of matrices, made orthogonal by Newton-Schulz iterations; AdamW for all other parameters.

    For each parameter W of two axes (A, B):

        momentum = μ momentum + (1 - μ) gradient
        U        = μ momentum + (1 - μ) gradient           with nesterov, else momentum
        X        = U / max(|U|, eps)
        X        = a X + (b G + c G²) X,   G = X Xᵀ        ns_steps times: all singular values come near 1
        W       -= lr √max(1, A / B) X                     original, or lr 0.2 √max(A, B) X: match_rms_adamw

    All others, biases and kernels of convolutions, and those that `adamw` names, move as by AdamW with the learning
    rate adamw_factor lr. With decoupled_weight_decay: parameter -= lr weight_decay parameter.

    Args: lr: learning rate; momentum: μ, 0 to below 1; nesterov: see above; ns_coefficients: a, b and c; eps: the least
        |U|, at least 0; ns_steps: 0 to 99; adjust_lr: see above; adamw: patterns of names, such as `0.weight`, of
        matrices that AdamW is to move: embeddings and the last layer's weights; adamw_factor: at least 0; betas,
        adamw_eps: AdamW's; common: the settings of all optimizers.
    Errors: ValueError for settings out of range, and for a pattern that matches no parameter of the model.
    Numerics: the iterations run in the model's own precision (PyTorch's in bfloat16), with the smaller of X Xᵀ and
        Xᵀ X as G.
    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024); Liu et al., Muon is scalable
        for LLM training (2025), the second learning rate; PyTorch's torch.optim.Muon, which takes matrices alone.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr: AdjustLr = "original",
        adamw: Sequence[str] = (),
        adamw_factor: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
        *,
        weight_decay: float = 0.1,
        decoupled_weight_decay: bool = True,
        **common: Any,
    ):
        super().__init__(weight_decay=weight_decay, decoupled_weight_decay=decoupled_weight_decay, **common)
        check_not_negative("Muon", lr=lr, eps=eps, adamw_factor=adamw_factor, adamw_eps=adamw_eps)
        check_fraction("Muon", momentum=momentum)
        check_fractions("Muon", betas=betas)
        check_count("Muon", 0, ns_steps=ns_steps)
        if ns_steps > 99:
            raise ValueError(f"Muon: ns_steps is {ns_steps}, expected at most 99")
        if len(ns_coefficients) != 3:
            raise ValueError(f"Muon: ns_coefficients is {tuple(ns_coefficients)}, expected three numbers")
        if adjust_lr not in ("original", "match_rms_adamw"):
            raise ValueError(f"Muon: adjust_lr is {adjust_lr!r}, expected 'original' or 'match_rms_adamw'")
        if isinstance(adamw, str):
            raise TypeError(f"Muon: adamw is {adamw!r}, expected a list of patterns")
        self.lr, self.momentum, self.nesterov = float(lr), float(momentum), bool(nesterov)
        self.a, self.b, self.c = map(float, ns_coefficients)
        self.eps, self.ns_steps = float(eps), ns_steps
        vars(self).update(_adjust_lr=adjust_lr, _adamw=tuple(adamw))
        self.adamw_factor, self.adamw_eps = float(adamw_factor), float(adamw_eps)
        self.beta1, self.beta2 = map(float, betas)
        self.steps = 0

    @property
    def betas(self) -> tuple[float, float]:
        return self.beta1, self.beta2

    @property
    def ns_coefficients(self) -> tuple[float, float, float]:
        return self.a, self.b, self.c

    @property
    def adjust_lr(self) -> str:
        return self._adjust_lr

    @property
    def adamw(self) -> tuple[str, ...]:
        return self._adamw

    def start(self, parameters: np.ndarray) -> None:
        self.steps = 0
        self.mean = np.zeros_like(parameters)
        matrices, others = self.divide()
        self.square = np.zeros(sum(end - begin for begin, end, _ in others), parameters.dtype)
        largest = max((rows * columns for _, rows, columns in matrices), default=0)
        least = max((min(rows, columns) for _, rows, columns in matrices), default=0)
        scratch = {name: np.empty(largest, parameters.dtype) for name in ("turned", "change")}
        scratch |= {name: np.empty(least * least, parameters.dtype) for name in ("gram", "polynomial")}
        tables = {"matrices": np.array(matrices, np.int64), "others": np.array(others, np.int64)}
        tables = {name: table.reshape(-1, 3) for name, table in tables.items()}
        tables["lr_factors"] = np.array([self.scale_of(rows, columns) for _, rows, columns in matrices], np.float64)
        for name, array in (*scratch.items(), *tables.items()):
            setattr(self, name, array)  # what a method assigns is state, which is saved; this is not

    def divide(self) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """(begin, rows, columns) of each matrix, and (begin, end, where in self.square) of all others."""
        names = [name for name, _, _ in self._rules]
        for pattern in self._adamw:
            if not any(fnmatchcase(name, pattern) for name in names):
                known = ", ".join(names[:8])
                raise ValueError(f"Muon: adamw names {pattern!r}, which is no parameter of the model, expected {known}")
        matrices, others, begin, at = [], [], 0, 0
        for name, shape, _ in self._rules:
            end = begin + math.prod(shape)
            if len(shape) == 2 and not any(fnmatchcase(name, pattern) for pattern in self._adamw):
                matrices.append((begin, *shape))
            else:
                others.append((begin, end, at))
                at += end - begin
            begin = end
        return matrices, others

    def scale_of(self, rows: int, columns: int) -> float:
        """What multiplies the learning rate of a matrix."""
        if self._adjust_lr == "original":
            return math.sqrt(max(1.0, rows / columns))
        return 0.2 * math.sqrt(max(rows, columns))

    def update(self, parameters, gradients):
        self.steps += 1
        step = self.adamw_factor * self.lr / (1 - np.float64(self.beta1) ** self.steps)
        root = 1 / np.sqrt(1 - np.float64(self.beta2) ** self.steps)
        beta1, beta2, eps = self.beta1, self.beta2, self.adamw_eps
        for k in range(self.others.shape[0]):
            begin, end, at = self.others[k, 0], self.others[k, 1], self.others[k, 2]
            p, g, mean, square = parameters[begin:end], gradients[begin:end], self.mean[begin:end], self.square[at:]
            for i in range(p.size):
                mean[i] = beta1 * mean[i] + (1 - beta1) * g[i]
                square[i] = beta2 * square[i] + (1 - beta2) * g[i] * g[i]
                p[i] -= step * mean[i] / (root * np.sqrt(square[i]) + eps)
        for k in range(self.matrices.shape[0]):
            begin, rows, columns = self.matrices[k, 0], self.matrices[k, 1], self.matrices[k, 2]
            end = begin + rows * columns
            if end <= parameters.size:  # a trial of the step has a part of the parameters
                x = self.orthogonalize(gradients[begin:end], self.mean[begin:end], rows, columns)
                p, rate = parameters[begin:end], as_number(parameters, self.lr * self.lr_factors[k])
                for i in range(p.size):
                    p[i] -= rate * x[i]

    def orthogonalize(self, g, momentum, rows, columns):
        """Compute X of a matrix, as a vector; its momentum moves on."""
        size = rows * columns
        x, change, mu = self.turned[:size], self.change[:size], self.momentum
        for i in range(size):
            momentum[i] = mu * momentum[i] + (1 - mu) * g[i]
            x[i] = mu * momentum[i] + (1 - mu) * g[i] if self.nesterov else momentum[i]
        norm = max(compute_norm(x, x.dtype.type(np.inf)), x.dtype.type(self.eps))
        for i in range(size):
            x[i] = x[i] / norm if norm > 0 else 0 * x[i]
        least = min(rows, columns)
        matrix, product = x.reshape((rows, columns)), change.reshape((rows, columns))
        gram = self.gram[: least * least].reshape((least, least))
        polynomial = self.polynomial[: least * least].reshape((least, least))
        a, b, c = as_number(x, self.a), as_number(x, self.b), as_number(x, self.c)
        for _ in range(self.ns_steps):
            if rows <= columns:
                matmul_into(matrix, matrix.T, gram, False)
            else:
                matmul_into(matrix.T, matrix, gram, False)
            matmul_into(gram, gram, polynomial, False)
            for i in range(least):
                for j in range(least):
                    polynomial[i, j] = b * gram[i, j] + c * polynomial[i, j]
            if rows <= columns:
                matmul_into(polynomial, matrix, product, False)
            else:
                matmul_into(matrix, polynomial, product, False)
            for i in range(size):
                x[i] = a * x[i] + change[i]
        return x


def as_number(vector, number):
    """Convert a number to the type of a vector's elements."""
    return vector.dtype.type(number)
