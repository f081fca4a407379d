"""Adam, AdamW and the base of their relatives: running averages of the gradient and of its square, both corrected for
their start at zero."""

from typing import Any

import numpy as np

from ...modules.kernels.threads import parallel_for
from .checks import check_fractions, check_not_negative
from .slices import SliceOptimizer
from .vectors import BLOCK, count_blocks, weigh_sharing


class MomentOptimizer(SliceOptimizer):
    """Family base of Adam, Adamax, NAdam and RAdam: lr, two decay rates, eps, and the number of steps so far.

    A leaf defines `update_slice`, and `start` if it keeps other arrays than `mean` and `square`: all of it, since the
    names of the state are read from its text.
    """

    def __init__(self, lr: float, betas: tuple[float, float], eps: float, **common: Any):
        super().__init__(**common)
        check_not_negative(type(self).__name__, lr=lr, eps=eps)
        check_fractions(type(self).__name__, betas=betas)
        self.lr, self.eps = float(lr), float(eps)
        self.beta1, self.beta2 = map(float, betas)
        self.steps = 0

    @property
    def betas(self) -> tuple[float, float]:
        return self.beta1, self.beta2

    def start(self, parameters: np.ndarray) -> None:
        self.steps = 0
        self.mean, self.square = np.zeros_like(parameters), np.zeros_like(parameters)

    def count_step(self):
        self.steps += 1


class Adam(MomentOptimizer):
    """Adaptive moments.

        mean       = β₁ mean + (1 - β₁) gradient
        square     = β₂ square + (1 - β₂) gradient²
        parameter -= lr mean / (1 - β₁ᵗ) / (√(square / (1 - β₂ᵗ)) + eps)      (t = 1, 2, ...)

    With amsgrad, the largest `square` so far stands in its place in the last line.

    Args: lr: learning rate; betas: (β₁, β₂), 0 to below 1; eps: at least 0; amsgrad: see above; common: the settings
        of all optimizers.
    Errors: ValueError for settings out of range.
    Source: Goodfellow et al., Deep Learning, algorithm 8.7; Kingma & Ba 2015; Reddi et al. 2018 (amsgrad);
        PyTorch's torch.optim.Adam.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        amsgrad: bool = False,
        **common: Any,
    ):
        super().__init__(lr, betas, eps, **common)
        self.amsgrad = amsgrad

    def start(self, parameters: np.ndarray) -> None:
        self.steps = 0
        self.mean, self.square = np.zeros_like(parameters), np.zeros_like(parameters)
        self.largest = np.zeros(parameters.size if self.amsgrad else 0, parameters.dtype)

    def update_slice(self, parameters, gradients, begin, end):
        parameters, gradients = parameters[begin:end], gradients[begin:end]
        mean, square, beta1, beta2, eps = self.mean[begin:end], self.square[begin:end], self.beta1, self.beta2, self.eps
        blocks, cost = count_blocks(parameters), weigh_sharing(parameters)
        step = self.lr / (1 - np.float64(beta1) ** self.steps)
        root = 1 / np.sqrt(1 - np.float64(beta2) ** self.steps)
        if self.amsgrad:
            parallel_for(
                adapt_by_largest, blocks, cost, parameters, gradients, mean, square, self.largest[begin:end], beta1,
                beta2, step, root, eps,
            )  # fmt: skip
        else:
            parallel_for(adapt, blocks, cost, parameters, gradients, mean, square, beta1, beta2, step, root, eps)


def adapt(first, last, parameters, gradients, mean, square, beta1, beta2, step, root, eps):
    """Update some blocks."""
    begin, end = first * BLOCK, last * BLOCK
    parameters, gradients, mean = parameters[begin:end], gradients[begin:end], mean[begin:end]
    square = square[begin:end]
    for i in range(parameters.size):
        mean[i] = beta1 * mean[i] + (1 - beta1) * gradients[i]
        square[i] = beta2 * square[i] + (1 - beta2) * gradients[i] * gradients[i]
        parameters[i] -= step * mean[i] / (root * np.sqrt(square[i]) + eps)


def adapt_by_largest(first, last, parameters, gradients, mean, square, largest, beta1, beta2, step, root, eps):
    """Update some blocks with the largest squares so far."""
    begin, end = first * BLOCK, last * BLOCK
    parameters, gradients, mean = parameters[begin:end], gradients[begin:end], mean[begin:end]
    square, largest = square[begin:end], largest[begin:end]
    for i in range(parameters.size):
        square[i] = beta2 * square[i] + (1 - beta2) * gradients[i] * gradients[i]
        largest[i] = max(largest[i], square[i])
    for i in range(parameters.size):
        mean[i] = beta1 * mean[i] + (1 - beta1) * gradients[i]
        parameters[i] -= step * mean[i] / (root * np.sqrt(largest[i]) + eps)


class AdamW(Adam):
    """Adam whose weight decay does not pass through the averages.

        parameter -= lr weight_decay parameter      before Adam's update

    Args: as of Adam; weight_decay, decoupled_weight_decay: on.
    Source: Loshchilov & Hutter 2019, algorithm 2; PyTorch's torch.optim.AdamW.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        amsgrad: bool = False,
        *,
        weight_decay: float = 0.01,
        decoupled_weight_decay: bool = True,
        **common: Any,
    ):
        decay = {"weight_decay": weight_decay, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(lr, betas, eps, amsgrad, **decay, **common)
