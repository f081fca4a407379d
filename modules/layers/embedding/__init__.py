"""Embeddings: learned rows for tokens, bags of them, and positions in a sequence.

The loops over rows are kernels, in `kernels/rows.py`.
"""

from .embedding import Embedding
from .embedding_bag import EmbeddingBag
from .positions import PositionalEmbedding, SinusoidalPositions

__all__ = [
    "Embedding",
    "EmbeddingBag",
    "PositionalEmbedding",
    "SinusoidalPositions",
]
