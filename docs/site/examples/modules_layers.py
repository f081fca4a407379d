"""Examples of bprop.modules.layers, for the reference."""

import numpy as np
from bprop.modules import (
    Add,
    AlphaDropout,
    CMul,
    Columns,
    Dropout,
    Dropout2d,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GaussianSample,
    MaxoutChannels,
    Mul,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    Reshape,
    RReLU,
    Transpose,
    Upsample,
    ZeroScore,
)

# %% bprop.modules.Add
layer = Add((3,))
x = np.array([[2.0, -2.6, 0.4], [-0.6, -0.5, -0.2]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.AlphaDropout
layer = AlphaDropout(p=0.3)
x = np.array([[-0.0, 1.0, 0.7], [0.7, 1.6, -1.2]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.CMul
layer = CMul((2, 3))
x = np.random.default_rng(0).standard_normal((4, 2, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.Columns
layer = Columns([2, 0])
x = np.array([[0.0, 0.3, -0.3], [-0.9, -0.5, -1.0]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))

# %% bprop.modules.Dropout
layer = Dropout(p=0.3)
x = np.array([[0.0, 0.3, -0.3], [-0.9, -0.5, -1.0]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Dropout2d
layer = Dropout2d(p=0.4)
x = np.random.default_rng(0).standard_normal((4, 3, 2, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.Flatten
layer = Flatten()
x = np.random.default_rng(0).standard_normal((4, 2, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.GaussianDropout
layer = GaussianDropout(p=0.3)
x = np.array([[-1.4, -0.9, 0.4, -0.5], [0.8, -1.4, 1.0, -0.6]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.GaussianNoise
layer = GaussianNoise(std=0.5)
x = np.random.default_rng(0).standard_normal((3, 3, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.GaussianSample
layer = GaussianSample()
x = np.array([[0.7, -1.0, -1.6, -2.9, -0.4, 1.2], [0.0, 0.5, 1.0, -0.9, 2.7, -0.9]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))

# %% bprop.modules.MaxoutChannels
layer = MaxoutChannels(pieces=3)
x = np.random.default_rng(0).standard_normal((4, 6, 2, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.Mul
layer = Mul()
x = np.random.default_rng(0).standard_normal((4, 2, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.Permute
layer = Permute((0, 2, 3, 1))
x = np.random.default_rng(0).standard_normal((4, 2, 3, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.PixelShuffle
layer = PixelShuffle(2)
x = np.random.default_rng(0).standard_normal((4, 8, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.PixelUnshuffle
layer = PixelUnshuffle(2)
x = np.random.default_rng(0).standard_normal((4, 3, 4, 6))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.Reshape
layer = Reshape((2, 3))
x = np.random.default_rng(0).standard_normal((4, 3, 2))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.RReLU
layer = RReLU(lower=0.125, upper=0.3333)
x = np.array([[-0.8, -1.3, -0.2], [0.4, 1.1, 0.1]])
print(layer.fprop(x))
print(layer.bprop(np.ones_like(x)))

# %% bprop.modules.Transpose
layer = Transpose(1, -1)
x = np.random.default_rng(0).standard_normal((4, 2, 3, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.Upsample
layer = Upsample(scale_factor=2.0)
x = np.random.default_rng(0).standard_normal((4, 2, 3, 4))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.ZeroScore
layer = ZeroScore()
x = np.array([[-0.8, 0.2, -1.7], [0.7, 1.1, -0.5]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))
