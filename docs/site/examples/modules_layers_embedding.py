"""Examples of bprop.modules.layers.embedding, for the reference."""

import numpy as np
from bprop.modules import Embedding, EmbeddingBag, PositionalEmbedding, SinusoidalPositions

# %% bprop.modules.Embedding
layer = Embedding(7, 3)
x = np.array([[2, 1, 5, 2], [3, 1, 1, 1]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))

# %% bprop.modules.EmbeddingBag
layer = EmbeddingBag(7, 3)
x = np.array([[0, 3, 2, 2], [5, 4, 2, 4]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))

# %% bprop.modules.PositionalEmbedding
layer = PositionalEmbedding(6, 3)
x = np.random.default_rng(0).standard_normal((5, 4, 3))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)

# %% bprop.modules.SinusoidalPositions
layer = SinusoidalPositions(5)
x = np.random.default_rng(0).standard_normal((3, 4, 5))
y = layer.fprop(x)
print(y.shape, layer.bprop(np.ones_like(y)).shape)
