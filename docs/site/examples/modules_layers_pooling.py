"""Examples of bprop.modules.layers.pooling, for the reference."""

import numpy as np
from bprop.modules import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)

# %% bprop.modules.AdaptiveAvgPool1d
layer = AdaptiveAvgPool1d(3)
x = np.random.default_rng(0).standard_normal((4, 2, 7))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.AdaptiveAvgPool2d
layer = AdaptiveAvgPool2d((2, 3))
x = np.random.default_rng(0).standard_normal((4, 2, 5, 7))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.AdaptiveMaxPool1d
layer = AdaptiveMaxPool1d(3)
x = np.random.default_rng(0).standard_normal((4, 2, 7))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.AdaptiveMaxPool2d
layer = AdaptiveMaxPool2d((2, 3))
x = np.random.default_rng(0).standard_normal((4, 2, 5, 7))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.AvgPool1d
layer = AvgPool1d(kernel_size=3, stride=2, padding=1)
x = np.random.default_rng(0).standard_normal((4, 2, 8))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.AvgPool2d
layer = AvgPool2d(kernel_size=2)
x = np.random.default_rng(0).standard_normal((4, 3, 6, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.AvgPool3d
layer = AvgPool3d(kernel_size=2)
x = np.random.default_rng(0).standard_normal((3, 2, 3, 4, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.GlobalAvgPool
layer = GlobalAvgPool()
x = np.random.default_rng(0).standard_normal((4, 3, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.GlobalMaxPool
layer = GlobalMaxPool()
x = np.random.default_rng(0).standard_normal((4, 3, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.MaxPool1d
layer = MaxPool1d(kernel_size=3, stride=2, padding=1)
x = np.random.default_rng(0).standard_normal((4, 2, 8))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.MaxPool2d
layer = MaxPool2d(kernel_size=2)
x = np.random.default_rng(0).standard_normal((4, 3, 6, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.MaxPool3d
layer = MaxPool3d(kernel_size=2)
x = np.random.default_rng(0).standard_normal((3, 2, 3, 4, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)
