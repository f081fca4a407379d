"""Examples of bprop.modules.layers.convolution, for the reference."""

import numpy as np
from bprop.modules import Fold, TemporalBlock, TemporalConvNet, Unfold

# %% bprop.modules.Fold
layer = Fold(output_size=(3, 4), kernel_size=2)
x = np.random.default_rng(0).standard_normal((4, 8, 6))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.TemporalBlock
block = TemporalBlock(2, 4, kernel_size=3, dilation=2, norm="batch")
x = np.random.default_rng(0).standard_normal((4, 2, 20))
y = block.fprop(x)
print(y.shape, block.bprop(np.ones_like(y)).shape, block.receptive_field)

# %% bprop.modules.TemporalConvNet
net = TemporalConvNet(2, [4, 4, 4], kernel_size=3)
x = np.random.default_rng(0).standard_normal((4, 2, 20))
y = net.fprop(x)
print(y.shape, net.bprop(np.ones_like(y)).shape, net.receptive_field)

# %% bprop.modules.Unfold
layer = Unfold(kernel_size=2)
x = np.random.default_rng(0).standard_normal((4, 2, 3, 4))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)
