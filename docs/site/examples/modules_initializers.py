"""Examples of bprop.modules.initializers, for the reference."""

import numpy as np
from bprop.modules import (
    Constant,
    Eye,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    LeCunNormal,
    LeCunUniform,
    Linear,
    Normal,
    Orthogonal,
    PyTorchUniform,
    Sparse,
    TruncatedNormal,
    Uniform,
    calculate_gain,
    get_generator,
    manual_seed,
    new_key,
)

# %% bprop.modules.calculate_gain
print(calculate_gain("tanh"), calculate_gain("leaky_relu", 0.2))

# %% bprop.modules.Constant
print(Linear(2, 3, bias_init=Constant(0.1)).bias)

# %% bprop.modules.Eye
print(Linear(3, 3, weight_init=Eye()).weight)

# %% bprop.modules.get_generator
manual_seed(0)
print(get_generator().integers(10, size=3))

# %% bprop.modules.GlorotNormal
print(Linear(400, 600, weight_init=GlorotNormal()).weight.std(), np.sqrt(2 / (400 + 600)))

# %% bprop.modules.GlorotUniform
print(np.abs(Linear(400, 600, weight_init=GlorotUniform()).weight).max(), np.sqrt(6 / (400 + 600)))

# %% bprop.modules.HeNormal
print(Linear(400, 600, weight_init=HeNormal()).weight.std(), np.sqrt(2 / 400))

# %% bprop.modules.HeUniform
print(np.abs(Linear(400, 600, weight_init=HeUniform()).weight).max(), np.sqrt(6 / 400))


# %% bprop.modules.Initializer
class Alternating(Initializer):
    """+1, -1, +1, ..."""

    def sample(self, shape):
        return np.resize([1.0, -1.0], shape)


print(Linear(3, 2, weight_init=Alternating()).weight)

# %% bprop.modules.LeCunNormal
print(Linear(400, 600, weight_init=LeCunNormal()).weight.std(), np.sqrt(1 / 400))

# %% bprop.modules.LeCunUniform
print(np.abs(Linear(400, 600, weight_init=LeCunUniform()).weight).max(), np.sqrt(3 / 400))

# %% bprop.modules.manual_seed
manual_seed(0)
first = Linear(2, 2).weight
manual_seed(0)
print((Linear(2, 2).weight == first).all())

# %% bprop.modules.new_key
manual_seed(0)
print(new_key() != new_key())

# %% bprop.modules.Normal
print(Linear(400, 600, weight_init=Normal(std=0.02)).weight.std())

# %% bprop.modules.Orthogonal
weight = Linear(3, 3, weight_init=Orthogonal()).weight
print((weight @ weight.T).round(6))

# %% bprop.modules.PyTorchUniform
print(np.abs(Linear(400, 600, weight_init=PyTorchUniform(400)).weight).max(), 1 / np.sqrt(400))

# %% bprop.modules.Sparse
print((Linear(10, 20, weight_init=Sparse(0.7)).weight == 0).mean())

# %% bprop.modules.TruncatedNormal
print(np.abs(Linear(400, 600, weight_init=TruncatedNormal(std=0.02, a=-0.04, b=0.04)).weight).max())

# %% bprop.modules.Uniform
weight = Linear(400, 600, weight_init=Uniform(-0.1, 0.3)).weight
print(weight.min(), weight.max())
