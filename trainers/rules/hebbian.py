"""Hebbian rules: a layer learns from its own input and output alone."""

from typing import Literal

import numpy as np

from ...modules.kernels.buffers import as_rows, flat, reuse_like
from ...modules.kernels.matmul.gemm import matmul_into
from .rule import Rule

RULES = ("hebb", "oja", "sanger")


class Hebbian(Rule):
    """Hebbian learning: units that fire together wire together. Nothing goes backward.

        hebb     ΔW = yᵀ x / N
        oja      ΔW = (yᵀ x - diag(Σ y²) W) / N        the rows of W become unit vectors; one row: the first component
        sanger   ΔW = (yᵀ x - lower(yᵀ y) W) / N       row k becomes principal component k of the inputs

    x are a layer's inputs (N, in), y its outputs (N, out) before the unit after it; the optimizer gets -ΔW as the
    gradient, and biases do not change. The last layer learns the targets by the gradient of the loss, unless `last`.

    Args: kind: hebb, oja or sanger; last: whether the last layer learns by the rule, too: then the loss is only told.
    Errors: ValueError for another kind, and for a layer whose weight is no matrix of (out, in).
    Source: Hebb, The organization of behavior (1949); Oja, A simplified neuron model as a principal component analyzer
        (1982); Sanger, Optimal unsupervised learning in a single-layer linear feedforward neural network (1989).
    """

    def __init__(self, kind: Literal["hebb", "oja", "sanger"] = "oja", last: bool = False):
        super().__init__()
        if kind not in RULES:
            raise ValueError(f"Hebbian: kind is {kind!r}, expected one of {', '.join(RULES)}")
        self.kind, self.last = kind, last
        self.grad_x, self.squares = np.empty((0, 0)), np.empty((0, 0))

    def make_copies(self, net, x_shape) -> None:
        super().make_copies(net, x_shape)
        if self._copies and not self.last:
            del self._copies[list(self._copies)[-1]]

    def start(self, layer, input_shape, output_shape, outputs) -> None:
        if self.weight.ndim != 2 or input_shape[-1] != self.weight.shape[1]:
            shape = self.weight.shape
            raise ValueError(f"{self.label()}: {layer.path()} has a weight of shape {shape}, expected one of a Linear")
        self.squares = np.zeros((len(self.weight),) * 2)
        self.grad_x = np.zeros((0,) * (len(input_shape) + 1))

    def bprop(self, layer, x, y):
        self.gradients[:] = 0
        rows, outputs, weight, grad = as_rows(x), as_rows(y), self.weight, self.grad_weight
        matmul_into(outputs.T, rows, grad, False)
        if self.kind != "hebb":
            matmul_into(outputs.T, outputs, self.squares, False)
            for j in range(len(weight)):
                for k in range(len(weight)):
                    if k > j or (self.kind == "oja" and k < j):
                        self.squares[j, k] = 0
                    else:
                        self.squares[j, k] = -self.squares[j, k]
            matmul_into(self.squares, weight, grad, True)
        scale = -1 / len(rows)
        change = flat(grad)
        for i in range(change.size):
            change[i] = scale * change[i]
        self.grad_x = reuse_like(self.grad_x, x)
        if self.needs_grad_x:
            self.grad_x[:] = 0
        return self.grad_x
