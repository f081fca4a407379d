"""Rules that send the error backward through other matrices than the weights of the forward pass."""

import numpy as np

from ...modules.kernels.buffers import flat, reuse_like
from ...modules.kernels.matmul.gemm import matmul_into
from .checks import check_scale
from .gradients import compute_grad_x, compute_parameter_gradients
from .rule import Rule


class FeedbackAlignment(Rule):
    """Feedback alignment: the error goes backward through fixed random matrices.

        grad_x      = (dy/dx)ᵀ grad_y with B in the place of the weight W      of Linear: grad_y B
        grad_weight = as in backprop                                           of Linear: grad_yᵀ x

    B has independent normal numbers of standard deviation scale / √n, n the inputs of a unit. The forward weights
    come to agree with B, so that the updates come within 90° of the gradient.

    Args: scale: of B; seed: of its numbers.
    Errors: ValueError for a scale that is not positive, and for a layer with several matrices.
    Source: Lillicrap, Cownden, Tweed and Akerman, Random synaptic feedback weights support error backpropagation for
        deep learning, Nature Communications 7 (2016).
    """

    def __init__(self, scale: float = 1.0, seed: int = 0):
        super().__init__(seed)
        self.scale = check_scale("FeedbackAlignment", scale)
        self.matrix = np.empty((0, 0))

    def start(self, layer, input_shape, output_shape, outputs) -> None:
        self.matrix = self.random().normal(0, self.scale / np.sqrt(count_inputs(self.weight)), self.weight.shape)

    def bprop(self, layer, grad_y):
        grad_x = compute_parameter_gradients(layer, grad_y)
        if self.needs_grad_x:
            grad_x = compute_grad_x(self, layer, grad_y, self.matrix)
        return grad_x


class SignSymmetry(Rule):
    """Sign symmetry: the error goes backward through the signs of the weights.

        grad_x = (dy/dx)ᵀ grad_y with sign(W) scale / √n in the place of the weight W, n the inputs of a unit

    Args: scale: of the matrix.
    Errors: as of FeedbackAlignment.
    Source: Liao, Leibo and Poggio, How important is weight symmetry in backpropagation? (2016), the rule uSF; Xiao,
        Chen, Liao and Poggio (2018).
    """

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = check_scale("SignSymmetry", scale)
        self.matrix = np.empty((0, 0))

    def start(self, layer, input_shape, output_shape, outputs) -> None:
        self.matrix = np.zeros(self.weight.shape)
        self.size = float(self.scale / np.sqrt(count_inputs(self.weight)))

    def bprop(self, layer, grad_y):
        grad_x = compute_parameter_gradients(layer, grad_y)
        if self.needs_grad_x:
            weight, matrix = flat(self.weight), flat(self.matrix)
            for i in range(weight.size):
                matrix[i] = self.size * np.sign(weight[i])
            grad_x = compute_grad_x(self, layer, grad_y, self.matrix)
        return grad_x


class DirectFeedbackAlignment(Rule):
    """Direct feedback alignment: each layer gets the error of the output, through a fixed random matrix of its own.

        grad_x      = error B      error: the gradient of the loss by the net's output, as rows (N, outputs)
        grad_weight = as in backprop

    B (outputs, n) has independent normal numbers of standard deviation scale / √outputs, n the inputs of a sample. No
    layer waits for another one, so grad_y is what the layer's unit makes of the error alone.

    Args: scale: of B; seed: of its numbers.
    Errors: as of FeedbackAlignment.
    Source: Nøkland, Direct feedback alignment provides learning in deep neural networks (2016), eq. 5.
    """

    def __init__(self, scale: float = 1.0, seed: int = 0):
        super().__init__(seed)
        self.scale = check_scale("DirectFeedbackAlignment", scale)
        self.matrix = self.grad_x = np.empty((0, 0))

    def start(self, layer, input_shape, output_shape, outputs) -> None:
        shape = (outputs, int(np.prod(input_shape)))
        self.matrix = self.random().normal(0, self.scale / np.sqrt(outputs), shape)
        self.grad_x = np.zeros((0,) * (len(input_shape) + 1))

    def bprop(self, layer, x, grad_y, error):
        compute_parameter_gradients(layer, grad_y)
        if self.needs_grad_x:
            self.grad_x = reuse_like(self.grad_x, x)
            n = error.shape[0]
            rows = flat(error).reshape((n, error.size // n))
            matmul_into(rows, self.matrix, flat(self.grad_x).reshape((n, self.matrix.shape[1])), False)
        return self.grad_x


def count_inputs(weight: np.ndarray) -> int:
    """The number of inputs of a unit: of (out, in) and of (out, in, rows, columns)."""
    return max(1, weight.size // len(weight))
