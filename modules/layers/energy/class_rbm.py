"""A restricted Boltzmann machine of inputs and class labels, which classifies by its free energies."""

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...core.shapes import check_matrix_shape, check_sizes
from ...initializers.initializers import Constant, Initializer, Normal
from ...kernels.buffers import reuse, reuse_like
from ...kernels.elementary_functions import sigmoid, softplus
from ...kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows
from ...kernels.sums import as_double, sum_of


class ClassRBM(Module):
    """The score of each class k: how much less free energy (x, k) has, up to what all classes have in common.

        y[k]        = -F(x, k) - v x = d[k] + Σⱼ softplus(a[j] + U[j, k]),   a = W x + c
        p(k | x)    = softmax(y)[k], so SoftmaxCrossEntropy is the negative log-likelihood of the label given x
        grad_a[j]   = Σₖ grad_y[k] s[j, k],   s[j, k] = σ(a[j] + U[j, k])
        grad_x      = grad_a W
        grad_weight += Σₙ grad_a xᵀ,   grad_hidden_bias += Σₙ grad_a
        grad_label_weight[j, k] += Σₙ grad_y[k] s[j, k],   grad_label_bias += Σₙ grad_y

    By backprop it is a discriminative RBM. The rule UpDown learns the joint distribution of x and labels by contrastive
    divergence, for which the visible bias v is there; the scores do not depend on it, so its gradient is 0.

    Shapes: x (N, V), y (N, K), weight (H, V), label_weight (H, K), biases (H,), (V,) and (K,).
    Args: visible, classes, hidden: V, K and H, at least 1; weight_init: of both weights, by default normal of deviation
        0.01; biases start at 0.
    Errors: ValueError for sizes below 1, and for an x of another shape.
    Source: Hinton, Osindero and Teh, A fast learning algorithm for deep belief nets (2006), section 6; Larochelle and
        Bengio, Classification using discriminative restricted Boltzmann machines (2008), equations 2 and 4.
    """

    def __init__(self, visible: int, classes: int, hidden: int, *, weight_init: Initializer | None = None):
        super().__init__()
        check_sizes(self, visible=visible, classes=classes, hidden=hidden)
        self.visible, self.classes, self.hidden = visible, classes, hidden
        init = weight_init or Normal(std=0.01)
        self.weight, self.label_weight = (
            Parameter(init.sample((hidden, visible))),
            Parameter(init.sample((hidden, classes))),
        )
        self.hidden_bias = Parameter(Constant(0.0).sample((hidden,)))
        self.visible_bias = Parameter(Constant(0.0).sample((visible,)))
        self.label_bias = Parameter(Constant(0.0).sample((classes,)))
        self.y = self.a = self.grad_x = self.grad_a = self.rows = self.grad_rows = np.empty((0, 0))
        self.part = np.empty(0)

    def fprop(self, x):
        self.x = x
        self.a = reuse(self.a, (x.shape[0], self.hidden), x.dtype)
        self.y = reuse(self.y, (x.shape[0], self.classes), x.dtype)
        matmul_into(x, self.weight.T, self.a, False)
        add_to_rows(self.a, self.hidden_bias)
        self.rows, self.part = (
            reuse(self.rows, self.label_weight.T.shape, x.dtype),
            reuse_like(self.part, self.hidden_bias),
        )
        self.rows[...] = self.label_weight.T
        part = self.part
        for n in range(x.shape[0]):
            a = self.a[n]
            for k in range(self.classes):
                row = self.rows[k]
                for j in range(part.size):
                    part[j] = softplus(a[j] + row[j])
                self.y[n, k] = as_double(self.label_bias[k]) + sum_of(part)
        return self.y

    def bprop(self, grad_y):
        self.grad_a = reuse_like(self.grad_a, self.a)
        self.grad_rows = reuse_like(self.grad_rows, self.rows)
        self.grad_rows[...] = 0
        for n in range(self.a.shape[0]):
            a, grad_a = self.a[n], self.grad_a[n]
            grad_a[:] = 0
            for k in range(self.classes):
                row, grad_row, factor = self.rows[k], self.grad_rows[k], grad_y[n, k]
                for j in range(a.size):
                    part = factor * sigmoid(a[j] + row[j])
                    grad_row[j] += part
                    grad_a[j] += part
        if self.needs_grad_parameters:
            if not self.accumulate:
                self.grad_label_weight[...] = 0
                self.grad_visible_bias[...] = 0
            self.grad_label_weight += self.grad_rows.T
            sum_rows(grad_y, self.grad_label_bias, self.accumulate)
            sum_rows(self.grad_a, self.grad_hidden_bias, self.accumulate)
            matmul_into(self.grad_a.T, self.x, self.grad_weight, self.accumulate)
        if self.needs_grad_x:
            self.grad_x = reuse_like(self.grad_x, self.x)
            matmul_into(self.grad_a, self.weight, self.grad_x, False)
        return self.grad_x

    def write_turn(self, v, turn):
        """turn = R{a} = W v + V_W x + v_c"""
        matmul_into(self.x, self.v_weight.T, turn, False)
        if self.needs_grad_x:  # else nothing before this layer is learned, and x stands still
            matmul_into(v, self.weight.T, turn, True)
        add_to_rows(turn, self.v_hidden_bias)

    def jvp(self, v):
        """v_d[k] + Σⱼ s[j, k] (R{a}[j] + V_U[j, k])"""
        turn, out = np.empty(self.a.shape, v.dtype), np.empty(self.y.shape, v.dtype)
        self.write_turn(v, turn)
        for n in range(out.shape[0]):
            for k in range(self.classes):
                total = as_double(self.v_label_bias[k])
                for j in range(self.hidden):
                    s = sigmoid(self.a[n, j] + self.label_weight[j, k])
                    total += as_double(s) * as_double(turn[n, j] + self.v_label_weight[j, k])
                out[n, k] = total
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R of bprop's sums, with R{s} = s (1 - s) (R{a} + V_U)"""
        turn, part, out = np.empty(self.a.shape, v.dtype), np.empty(self.a.shape, v.dtype), np.empty(v.shape, v.dtype)
        self.write_turn(v, turn)
        for n in range(self.a.shape[0]):
            for j in range(self.hidden):
                total, change = 0 * turn[n, j], 0 * turn[n, j]
                for k in range(self.classes):
                    s = sigmoid(self.a[n, j] + self.label_weight[j, k])
                    r_s = s * (1 - s) * (turn[n, j] + self.v_label_weight[j, k])
                    r_part = r_grad_y[n, k] * s + grad_y[n, k] * r_s
                    self.grad_label_weight[j, k] += r_part
                    total += grad_y[n, k] * s
                    change += r_part
                part[n, j], turn[n, j] = total, change
        sum_rows(r_grad_y, self.grad_label_bias, True)
        sum_rows(turn, self.grad_hidden_bias, True)
        matmul_into(turn.T, self.x, self.grad_weight, True)
        if self.needs_grad_x:
            matmul_into(part.T, v, self.grad_weight, True)
            matmul_into(turn, self.weight, out, False)
            matmul_into(part, self.v_weight, out, True)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_matrix_shape(self, input_shape, self.visible), self.classes

    def extra_repr(self) -> str:
        return f"{self.visible} and {self.classes} classes -> {self.hidden}"
