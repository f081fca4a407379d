"""Examples of bprop.modules.layers.normalization, for the reference."""

import numpy as np
from bprop.modules import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    LocalResponseNorm,
    Normalize,
    RMSNorm,
)

# %% bprop.modules.BatchNorm1d
layer = BatchNorm1d(3, eps=1e-05, momentum=0.1)
x = np.array([[0.0, 1.4, 1.2], [-0.5, -0.3, -0.5]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.BatchNorm2d
layer = BatchNorm2d(3, eps=1e-05, momentum=0.1)
x = np.random.default_rng(0).standard_normal((4, 3, 2, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.BatchNorm3d
layer = BatchNorm3d(3, eps=1e-05, momentum=0.1)
x = np.random.default_rng(0).standard_normal((4, 3, 2, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.GroupNorm
layer = GroupNorm(2, 4, eps=1e-05)
x = np.random.default_rng(0).standard_normal((4, 4, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.InstanceNorm1d
layer = InstanceNorm1d(3, eps=1e-05, affine=True)
x = np.random.default_rng(0).standard_normal((4, 3, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.InstanceNorm2d
layer = InstanceNorm2d(3, eps=1e-05, affine=True)
x = np.random.default_rng(0).standard_normal((4, 3, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.InstanceNorm3d
layer = InstanceNorm3d(3, eps=0.1)
x = np.random.default_rng(0).standard_normal((4, 3, 2, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.LayerNorm
layer = LayerNorm((5,), eps=1e-05)
x = np.array([[-0.8, 0.2, -1.7, 0.7, 1.1], [-0.5, 0.4, 0.3, -0.4, -0.9]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))

# %% bprop.modules.LocalResponseNorm
layer = LocalResponseNorm(3, alpha=0.5, beta=0.75, k=2)
x = np.random.default_rng(0).standard_normal((4, 5, 2, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.Normalize
layer = Normalize(p=1)
x = np.array([[0.6, 0.2, -0.1], [-2.3, 0.4, -2.1]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.RMSNorm
layer = RMSNorm((5,))
x = np.array([[0.0, 0.3, -0.3, -0.9, -0.5], [-1.0, 0.1, 1.3, -0.5, -0.6]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))
