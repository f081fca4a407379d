"""Embeddings, positions, and measures of pairs."""

import numpy as np
from bprop.modules import (
    CosineSimilarity,
    Embedding,
    EmbeddingBag,
    PairwiseDistance,
    PositionalEmbedding,
    Sequential,
    SinusoidalPositions,
    SplitTable,
)

from .case import Case


def tokens(x):
    """Numbers as tokens 0 to 6."""
    return np.abs(np.round(3 * x)).astype(np.int64) % 7


def embedding(module, x):
    y = module.weight[x]
    y[x == module.padding] = 0
    return y


def shortened(module, x):
    y = module.weight[x]
    norms = np.linalg.norm(y, module.norm_type, axis=-1, keepdims=True)
    return np.where(norms > module.max_norm, y * module.max_norm / (norms + 1e-7), y)


def bag(module, x):
    counts = (x != module.padding)[..., None]
    total = (module.weight[x] * counts).sum(axis=1)
    return total / np.maximum(counts.sum(axis=1), 1) if module.mode == "mean" else total


def positions(module, x):
    return x + module.weight[: x.shape[1]]


def sinusoids(module, x):
    y = x.copy()
    for t in range(x.shape[1]):
        for k in range(x.shape[2]):
            angle = t / module.base ** (2 * (k // 2) / x.shape[2])
            y[:, t, k] += np.cos(angle) if k % 2 else np.sin(angle)
    return y


def cosine(net, x):
    a, b = x[:, 0], x[:, 1]
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def distance(net, x):
    return np.linalg.norm(x[:, 0] - x[:, 1] + net[1].eps, net[1].p, axis=-1, keepdims=net[1].keepdim)


def pair(module):
    return lambda: Sequential(SplitTable(2), module())


def pair_of_torch(make):
    def build(nn):
        class Pair(nn.Module):
            def forward(self, x):
                return make(nn)(x[:, 0], x[:, 1])

        return Pair()

    return build


MODULES = [
    Case("Embedding", lambda: Embedding(7, 3), (5, 4), domain=tokens, reference=embedding),
    Case("Embedding of one token", lambda: Embedding(7, 3), (6,), domain=tokens, reference=embedding),
    Case("Embedding, padding", lambda: Embedding(7, 3, padding_idx=-5), (5, 4), domain=tokens, reference=embedding),
    Case(
        "Embedding, max_norm",
        lambda: Embedding(7, 3, max_norm=1.0, norm_type=1),
        (5, 4),
        domain=tokens,
        reference=shortened,
    ),
    Case(
        "EmbeddingBag",
        lambda: EmbeddingBag(7, 3),
        (5, 4),
        (5, 4, 2),
        "EmbeddingBag(7, 3): x has shape (5, 4, 2), expected tokens (N, L)",
        domain=tokens,
        reference=bag,
    ),
    Case(
        "EmbeddingBag, sum",
        lambda: EmbeddingBag(7, 3, mode="sum", padding_idx=1),
        (5, 4),
        domain=tokens,
        reference=bag,
    ),
    Case("EmbeddingBag, max_norm", lambda: EmbeddingBag(7, 3, max_norm=9.0), (5, 4), domain=tokens, reference=bag),
    Case(
        "PositionalEmbedding",
        lambda: PositionalEmbedding(6, 3),
        (5, 4, 3),
        (5, 7, 3),
        "PositionalEmbedding(6, 3): x has 7 positions, expected at most 6, the longest context",
        reference=positions,
    ),
    Case(
        "SinusoidalPositions",
        lambda: SinusoidalPositions(5),
        (3, 4, 5),
        (3, 4, 6),
        "SinusoidalPositions(5): x has shape (3, 4, 6), expected (N, T, 5)",
        reference=sinusoids,
    ),
    Case(
        "CosineSimilarity",
        pair(CosineSimilarity),
        (4, 2, 3),
        reference=cosine,
        torch=pair_of_torch(lambda nn: nn.CosineSimilarity()),
    ),
    Case(
        "CosineSimilarity of channels",
        pair(CosineSimilarity),
        (4, 2, 3, 2),
        reference=cosine,
        torch=pair_of_torch(lambda nn: nn.CosineSimilarity()),
    ),
    Case(
        "PairwiseDistance",
        pair(PairwiseDistance),
        (4, 2, 3),
        reference=distance,
        torch=pair_of_torch(lambda nn: nn.PairwiseDistance()),
    ),
    Case(
        "PairwiseDistance, p 3",
        pair(lambda: PairwiseDistance(3, keepdim=True)),
        (4, 2, 2, 3),
        reference=distance,
        torch=pair_of_torch(lambda nn: nn.PairwiseDistance(3, keepdim=True)),
    ),
]
