"""Examples of bprop.modules.layers.padding, for the reference."""

import numpy as np
from bprop.modules import (
    CircularPad1d,
    CircularPad2d,
    CircularPad3d,
    ConstantPad1d,
    ConstantPad2d,
    ConstantPad3d,
    ReflectionPad1d,
    ReflectionPad2d,
    ReflectionPad3d,
    ReplicationPad1d,
    ReplicationPad2d,
    ReplicationPad3d,
    ZeroPad1d,
    ZeroPad2d,
    ZeroPad3d,
)

# %% bprop.modules.CircularPad1d
layer = CircularPad1d((2, 1))
x = np.random.default_rng(0).standard_normal((4, 2, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.CircularPad2d
layer = CircularPad2d((1, 0, 2, 1))
x = np.random.default_rng(0).standard_normal((4, 2, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ConstantPad1d
layer = ConstantPad1d(2, value=0.5)
x = np.random.default_rng(0).standard_normal((4, 2, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ConstantPad2d
layer = ConstantPad2d((0, 2, 1, 0), value=-1.5)
x = np.random.default_rng(0).standard_normal((4, 2, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ReflectionPad1d
layer = ReflectionPad1d((2, 1))
x = np.random.default_rng(0).standard_normal((4, 2, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ReflectionPad2d
layer = ReflectionPad2d((1, 0, 2, 1))
x = np.random.default_rng(0).standard_normal((4, 2, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ReplicationPad1d
layer = ReplicationPad1d((2, 1))
x = np.random.default_rng(0).standard_normal((4, 2, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ReplicationPad2d
layer = ReplicationPad2d((1, 0, 2, 1))
x = np.random.default_rng(0).standard_normal((4, 2, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ZeroPad1d
layer = ZeroPad1d((2, 1))
x = np.random.default_rng(0).standard_normal((4, 2, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ZeroPad2d
layer = ZeroPad2d((1, 0, 2, 3))
x = np.random.default_rng(0).standard_normal((4, 2, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.CircularPad3d
layer = CircularPad3d(1)
x = np.random.default_rng(0).standard_normal((2, 1, 3, 4, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ConstantPad3d
layer = ConstantPad3d(1, value=2.0)
x = np.random.default_rng(0).standard_normal((2, 1, 3, 4, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ReflectionPad3d
layer = ReflectionPad3d(1)
x = np.random.default_rng(0).standard_normal((2, 1, 3, 4, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ReplicationPad3d
layer = ReplicationPad3d(1)
x = np.random.default_rng(0).standard_normal((2, 1, 3, 4, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ZeroPad3d
layer = ZeroPad3d(1)
x = np.random.default_rng(0).standard_normal((2, 1, 3, 4, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)
