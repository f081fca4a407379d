"""A layer of a sigmoid belief net: weights that recognise the input upwards, and weights that generate it downwards."""

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...core.shapes import check_matrix_shape, check_sizes
from ...initializers.initializers import Constant, Initializer, Normal
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.elementary_functions import sigmoid
from ...kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows


class SigmoidBelief(Module):
    """The probabilities of hidden units given x, by recognition weights; generative weights stand beside them.

        y           = σ(a),   a = x Wᵀ + b
        grad_a      = grad_y y (1 - y)
        grad_x      = grad_a W
        grad_weight += grad_aᵀ x
        grad_bias   += Σₙ grad_a[n]

    Downwards, p(x[i] = 1 | h) = σ(h G + g)[i], with the generative weights G and biases g. They take no part in y, so
    their gradient is 0, and backprop leaves them as they are. The callback GreedyPretraining gives them the values of W
    and of an RBM's visible bias, the rule UpDown learns them.

    Shapes: x (N, in), y (N, out), weight (out, in), bias (out,), generative_weight (out, in), generative_bias (in,).
    Args: in_features, out_features: sizes, at least 1; weight_init: of both weights, by default normal of deviation
        0.01; biases start at 0.
    Errors: ValueError for sizes below 1, and for an x of another shape.
    Source: Neal, Connectionist learning of belief networks (1992); Hinton, Osindero and Teh, A fast learning algorithm
        for deep belief nets (2006), sections 4 and 5; Géron, appendix E.
    """

    def __init__(self, in_features: int, out_features: int, *, weight_init: Initializer | None = None):
        super().__init__()
        check_sizes(self, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        weight = (weight_init or Normal(std=0.01)).sample((out_features, in_features))
        self.weight, self.generative_weight = Parameter(weight), Parameter(weight.copy())
        self.bias = Parameter(Constant(0.0).sample((out_features,)))
        self.generative_bias = Parameter(Constant(0.0).sample((in_features,)))
        self.y = self.grad_x = self.grad_a = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, (x.shape[0], self.out_features), x.dtype)
        matmul_into(x, self.weight.T, self.y, False)
        add_to_rows(self.y, self.bias)
        y = flat(self.y)
        for i in range(y.size):
            y[i] = sigmoid(y[i])
        return self.y

    def bprop(self, grad_y):
        self.grad_a = reuse_like(self.grad_a, self.y)
        y, grad_a, grad_y = flat(self.y), flat(self.grad_a), flat(grad_y)
        for i in range(y.size):
            grad_a[i] = grad_y[i] * y[i] * (1 - y[i])
        if self.needs_grad_parameters:
            matmul_into(self.grad_a.T, self.x, self.grad_weight, self.accumulate)
            sum_rows(self.grad_a, self.grad_bias, self.accumulate)
            if not self.accumulate:
                self.grad_generative_weight[...] = 0
                self.grad_generative_bias[...] = 0
        if self.needs_grad_x:
            self.grad_x = reuse_like(self.grad_x, self.x)
            matmul_into(self.grad_a, self.weight, self.grad_x, False)
        return self.grad_x

    def write_turn(self, v, turn):
        """turn = R{a} = v Wᵀ + x V_Wᵀ + v_b"""
        matmul_into(self.x, self.v_weight.T, turn, False)
        if self.needs_grad_x:  # else nothing before this layer is learned, and x stands still
            matmul_into(v, self.weight.T, turn, True)
        add_to_rows(turn, self.v_bias)

    def jvp(self, v):
        """y (1 - y) R{a}"""
        out = np.empty(self.y.shape, v.dtype)
        self.write_turn(v, out)
        y, turn = flat(self.y), flat(out)
        for i in range(y.size):
            turn[i] *= y[i] * (1 - y[i])
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_a} = y (1 - y) (r_grad_y + grad_y (1 - 2y) R{a}), and R of bprop's products"""
        turn, part, out = np.empty(self.y.shape, v.dtype), np.empty(self.y.shape, v.dtype), np.empty(v.shape, v.dtype)
        self.write_turn(v, turn)
        for n in range(turn.shape[0]):
            for j in range(turn.shape[1]):
                slope, bend = self.y[n, j] * (1 - self.y[n, j]), 1 - 2 * self.y[n, j]
                part[n, j] = slope * grad_y[n, j]
                turn[n, j] = slope * (r_grad_y[n, j] + grad_y[n, j] * bend * turn[n, j])
        matmul_into(turn.T, self.x, self.grad_weight, True)
        sum_rows(turn, self.grad_bias, True)
        if self.needs_grad_x:
            matmul_into(part.T, v, self.grad_weight, True)
            matmul_into(turn, self.weight, out, False)
            matmul_into(part, self.v_weight, out, True)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_matrix_shape(self, input_shape, self.in_features), self.out_features

    def extra_repr(self) -> str:
        return f"{self.in_features} -> {self.out_features}"
