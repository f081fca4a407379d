"""Examples of bprop.modules.layers.energy, for the reference."""

import numpy as np
from bprop.modules import Hopfield

# %% bprop.modules.Hopfield
layer = Hopfield(3)
x = np.array([[-1.7, -1.3, -1.4], [-0.4, -2.3, -0.2]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))
