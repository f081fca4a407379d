"""Examples of bprop.modules.layers.convolution, for the reference."""

import numpy as np
from bprop.modules import Fold, Unfold

# %% bprop.modules.Fold
layer = Fold(output_size=(3, 4), kernel_size=2)
x = np.random.default_rng(0).standard_normal((4, 8, 6))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.Unfold
layer = Unfold(kernel_size=2)
x = np.random.default_rng(0).standard_normal((4, 2, 3, 4))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)
