"""Examples of bprop.modules.layers.activations, for the reference."""

import numpy as np
from bprop.modules import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Abs,
    Clamp,
    Exp,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    LeakyReLU,
    Log,
    LogSigmoid,
    LogSoftmax,
    Mish,
    Power,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    Sqrt,
    Square,
    Step,
    SwiGLU,
    Tanh,
    Tanhshrink,
    Threshold,
)

# %% bprop.modules.Abs
layer = Abs()
x = np.array([[2.0, -2.6, 0.4, -0.6], [-0.2, -2.0, -0.2, -0.9]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.CELU
layer = CELU(alpha=1)
x = np.array([[-0.7, -0.2, 1.7, 0.7], [-0.0, -0.6, 0.1, -1.6]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Clamp
layer = Clamp(min=-0.5, max=1)
x = np.array([[-2.4, -4.0, -0.7, 1.3], [0.3, -1.7, -2.4, 2.2]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.ELU
layer = ELU(alpha=1)
x = np.array([[2.0, -2.6, 0.4, -0.6], [-0.2, -2.0, -0.2, -0.9]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Exp
layer = Exp()
x = np.array([[2.0, -2.6, 0.4, -0.6], [-0.2, -2.0, -0.2, -0.9]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.GELU
layer = GELU(approximate="none")
x = np.array([[-0.7, -0.2, 1.7, 0.7], [-0.0, -0.6, 0.1, -1.6]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.GLU
layer = GLU()
x = np.array([[2.0, -2.6, 0.4, -0.6, -0.5, -0.2], [-2.0, -0.2, -0.9, 3.3, 0.2, -0.4]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))

# %% bprop.modules.Hardshrink
layer = Hardshrink(lambd=0.5)
x = np.array([[-1.1, -0.7, -0.8, 0.3], [0.1, 0.8, 0.9, 0.5]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Hardsigmoid
layer = Hardsigmoid()
x = np.array([[0.1, 4.1, 3.7, -1.5], [-1.6, 1.7, -0.2, 2.2]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Hardswish
layer = Hardswish()
x = np.array([[-2.4, 0.7, -5.0, 2.0], [-1.4, 1.3, 0.8, -1.2]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Hardtanh
layer = Hardtanh(min_val=-1, max_val=1)
x = np.array([[-5.2, -4.0, -4.1, -1.1], [-0.6, -2.9, 2.7, 2.9]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Identity
layer = Identity()
x = np.array([[-1.7, -1.3, -1.4], [-0.4, -2.3, -0.2]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.LeakyReLU
layer = LeakyReLU(negative_slope=0.01)
x = np.array([[-0.8, 0.2, -1.7, 0.7], [-0.5, 0.4, 0.3, -0.4]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Log
layer = Log()
x = np.array([[2.1, 2.7, 0.5, 0.7], [0.3, 2.1, 0.3, 1.0]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.LogSigmoid
layer = LogSigmoid()
x = np.array([[-1.1, -0.7, -0.8, 0.3], [0.1, 0.8, 0.9, 0.5]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.LogSoftmax
layer = LogSoftmax()
x = np.array([[-1.1, -0.7, -0.8], [0.3, -0.2, 0.1]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Mish
layer = Mish()
x = np.array([[-0.7, -0.2, 1.7, 0.7], [-0.0, -0.6, 0.1, -1.6]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Power
layer = Power(3)
x = np.array([[-0.8, -1.3, -0.2, 0.4], [0.1, -0.6, -0.8, 0.7]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.PReLU
layer = PReLU(1)
x = np.array([[-0.8, -1.3, -0.2], [0.4, 1.1, 0.1]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.ReLU
layer = ReLU()
x = np.array([[-0.7, -0.2, 1.7], [0.7, -1.6, -0.0]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.ReLU6
layer = ReLU6()
x = np.array([[-4.8, -7.9, -1.5, 2.5], [0.7, -3.3, -4.7, 4.5]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.SELU
layer = SELU()
x = np.array([[-0.7, -0.2, 1.7, 0.7], [-0.0, -0.6, 0.1, -1.6]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Sigmoid
layer = Sigmoid()
x = np.array([[0.0, 0.3, -0.3], [-0.9, -0.5, -1.0]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.SiLU
layer = SiLU()
x = np.array([[-0.7, -0.2, 1.7, 0.7], [-0.0, -0.6, 0.1, -1.6]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Softmax
layer = Softmax()
x = np.array([[0.0, 0.3, -0.3], [-0.9, -0.5, -1.0]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Softmin
layer = Softmin()
x = np.array([[0.0, 0.3, -0.3], [-0.9, -0.5, -1.0]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Softplus
layer = Softplus(beta=1, threshold=20)
x = np.array([[-1.7, -1.3, -1.4, -0.4], [-0.2, -1.0, 0.9, 1.0]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Softshrink
layer = Softshrink(lambd=0.5)
x = np.array([[-1.1, -0.7, -0.8, 0.3], [0.1, 0.8, 0.9, 0.5]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Softsign
layer = Softsign()
x = np.array([[-1.7, -1.3, -1.4, -0.4], [-0.2, -1.0, 0.9, 1.0]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Sqrt
layer = Sqrt()
x = np.array([[0.8, 0.3, 1.8, 0.8], [0.1, 0.7, 0.2, 1.7]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Square
layer = Square()
x = np.array([[1.1, 1.8, -2.6, -0.1], [1.4, 0.7, 1.5, 0.3]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Step
layer = Step(low=0, high=1)
x = np.array([[-0.7, -0.2, 1.7, 0.7], [-0.0, -0.6, 0.1, -1.6]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.SwiGLU
layer = SwiGLU()
x = np.array([[1.1, 1.8, -2.6, -0.1, 1.0, 1.4], [0.7, 1.5, 0.3, 0.6, 0.2, -1.1]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))

# %% bprop.modules.Tanh
layer = Tanh()
x = np.array([[-0.7, -0.2, 1.7], [0.7, -1.6, -0.0]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Tanhshrink
layer = Tanhshrink()
x = np.array([[-1.1, -0.7, -0.8, 0.3], [0.1, 0.8, 0.9, 0.5]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Threshold
layer = Threshold(threshold=0.3, value=-2)
x = np.array([[-0.8, 0.2, -1.7, 0.7], [-0.5, 0.4, 0.3, -0.4]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))
