"""A custom module: an activation with a parameter, its backward pass written by hand.

Run by itself, it checks its gradients; `bprop train examples/digits_swish.yaml` trains a model with it.
"""

import numpy as np
from bprop.modules import Module, Parameter, check_gradients


class Swish(Module):
    """Swish with a learned slope for each feature.

        y           = x s,   s = 1 / (1 + exp(-slope x))
        grad_x      = grad_y (s + slope x s (1 - s))
        grad_slope += Σₙ grad_y x² s (1 - s)

    Shapes: x, y (N, features), slope (features,).
    Args: features: at least 1.
    Source: Ramachandran, Zoph and Le, Searching for activation functions (2017).
    """

    def __init__(self, features: int):
        super().__init__()
        self.slope = Parameter(np.ones(features))

    def fprop(self, x):
        self.x = x
        self.s = 1 / (1 + np.exp(-self.slope * x))
        return x * self.s

    def bprop(self, grad_y):
        x, s = self.x, self.s
        self.grad_slope += (grad_y * x * x * s * (1 - s)).sum(axis=0)
        return grad_y * (s + self.slope * x * s * (1 - s))


if __name__ == "__main__":
    print(check_gradients(Swish(5), np.random.default_rng(0).normal(size=(8, 5))))
