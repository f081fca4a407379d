"""Examples of bprop.modules.layers.recurrent, for the reference."""

import numpy as np
from bprop.modules import LastStep, MaxOverTime, MeanOverTime

# %% bprop.modules.LastStep
layer = LastStep()
x = np.random.default_rng(0).standard_normal((3, 5, 4))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.MaxOverTime
layer = MaxOverTime()
x = np.random.default_rng(0).standard_normal((3, 5, 4))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.MeanOverTime
layer = MeanOverTime()
x = np.random.default_rng(0).standard_normal((3, 5, 4))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)
