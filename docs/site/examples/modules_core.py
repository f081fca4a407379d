"""Examples of bprop.modules: core, checks, engine and kernels, for the reference."""

import numpy as np
from bprop.modules import (
    Buffer,
    Counter,
    GradientError,
    GradientReport,
    HeNormal,
    Linear,
    MeanSquaredError,
    Module,
    ModuleReport,
    Parameter,
    ReLU,
    Sequential,
    check_gradients,
    check_module,
    erf,
    initialize,
    num_threads,
    sigmoid,
    softplus,
)


# %% bprop.modules.Buffer
class Center(Module):
    """y = x - mean, the mean kept from minibatch to minibatch."""

    def __init__(self, size: int):
        super().__init__()
        self.mean = Buffer(np.zeros(size))

    def fprop(self, x):
        if self.training:
            self.mean += 0.1 * (x.sum(0) / x.shape[0] - self.mean)
        return x - self.mean

    def bprop(self, grad_y):
        return grad_y


layer = Center(2)
layer.fprop(np.array([[1.0, 2.0], [3.0, 4.0]]))
print(layer.mean)


# %% bprop.modules.Counter
class Every(Module):
    """Counts its runs."""

    def __init__(self):
        super().__init__()
        self.runs = Counter()

    def fprop(self, x):
        self.runs += 1
        return x * 1

    def bprop(self, grad_y):
        return grad_y


layer = Every()
for _ in range(3):
    layer.fprop(np.ones(2))
print(int(layer.runs))

# %% bprop.modules.initialize
net = initialize(Sequential(Linear(400, 300), ReLU(), Linear(300, 10)), only=Linear, weight=HeNormal())
print(net[0].weight.std(), np.sqrt(2 / 400))


# %% bprop.modules.Module
class Scale(Module):
    """y = w x, grad_x = w grad_y, grad_w += Σ grad_y x."""

    def __init__(self, size: int):
        super().__init__()
        self.w = Parameter(np.ones(size))

    def fprop(self, x):
        self.x = x
        return x * self.w

    def bprop(self, grad_y):
        self.grad_w += (grad_y * self.x).sum(0)
        return grad_y * self.w


layer = Scale(2)
print(layer.fprop(np.array([[1.0, 2.0]])), layer.bprop(np.array([[1.0, 1.0]])), layer.grad_w)


# %% bprop.modules.Parameter
class Shift(Module):
    """y = x + b."""

    def __init__(self, size: int):
        super().__init__()
        self.b = Parameter(np.zeros(size))

    def fprop(self, x):
        return x + self.b

    def bprop(self, grad_y):
        self.grad_b += grad_y.sum(0)
        return grad_y


layer = Shift(2)
layer.fprop(np.zeros((1, 2)))
layer.bprop(np.array([[1.0, 2.0]]))
print(layer.b, layer.grad_b)

# %% bprop.modules.check_gradients
print(check_gradients(Linear(3, 2), np.random.default_rng(0).standard_normal((4, 3))))


# %% bprop.modules.check_module
class Cube(Module):
    """y = x³, with a mistake."""

    def fprop(self, x):
        self.x = x
        return x * x * x

    def bprop(self, grad_y):
        return grad_y * 2 * self.x * self.x


print(check_module(Cube(), np.random.default_rng(0).standard_normal((3, 5))))


# %% bprop.modules.GradientError
class Wrong(Module):
    """y = 2 x, with a mistake."""

    def fprop(self, x):
        return 2 * x

    def bprop(self, grad_y):
        return -2 * grad_y


try:
    check_module(Wrong(), np.ones((3, 4))).raise_if_wrong()
except GradientError as error:
    print(str(error).splitlines()[0])

# %% bprop.modules.GradientReport
report = check_gradients(MeanSquaredError(), np.ones((3, 2)), np.zeros((3, 2)))
print(isinstance(report, GradientReport), report.ok)

# %% bprop.modules.ModuleReport
report = check_module(ReLU(), np.array([[1.0, -2.0, 0.5], [0.2, 3.0, -1.0], [2.0, 1.0, -0.1]]))
print(isinstance(report, ModuleReport), report.ok)

# %% bprop.modules.num_threads
net = Linear(784, 500)
with num_threads(2):
    y = net.fprop(np.ones((256, 784), np.float32))
print(y.shape)

# %% bprop.modules.erf
print([round(erf(x), 4) for x in (0.0, 0.5, 1.0)])

# %% bprop.modules.sigmoid
print([round(sigmoid(x), 4) for x in (-1.0, 0.0, 1.0)])

# %% bprop.modules.softplus
print([round(softplus(x), 4) for x in (-1.0, 0.0, 1.0)])
