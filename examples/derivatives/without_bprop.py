"""A module whose bprop is not written yet: the trace of its fprop stands in, and the model trains."""

import warnings

import numpy as np
from bprop.modules import Linear, MeanSquaredError, Module, Parameter, Sequential, check_gradients, manual_seed
from bprop.modules.autodiff import derived
from bprop.trainers import SGD


@derived  # take it away once there is a bprop
class Swish(Module):
    """y = x / (1 + exp(-slope x))"""

    def __init__(self, features: int):
        super().__init__()
        self.slope = Parameter(np.ones(features))

    def fprop(self, x):
        return x / (1 + np.exp(-self.slope * x))


warnings.filterwarnings("ignore", message=".*jit = False: it runs as Python")
manual_seed(0)
x = np.linspace(-3, 3, 32).reshape(32, 1)
model, loss, sgd = Sequential(Linear(1, 8), Swish(8), Linear(8, 1)), MeanSquaredError(), SGD(lr=0.1, momentum=0.9)
print(check_gradients(model[1], np.random.default_rng(0).normal(size=(4, 8))))
for step in range(150):
    model.zero_grad()
    value = loss.fprop(model.fprop(x), np.sin(x))
    if step % 50 == 0:
        print(f"step {step}: loss {value:.4f}")
    model.bprop(loss.bprop())
    sgd.update(model)
print(f"loss {loss.fprop(model.fprop(x), np.sin(x)):.4f}")
