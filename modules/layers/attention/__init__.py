"""Attention over the steps of sequences, and the blocks of transformers that are made of it.

The loops are in `kernels/attention`.
"""

from .cross import CrossAttention
from .multihead import MultiheadAttention

__all__ = ["CrossAttention", "MultiheadAttention"]
