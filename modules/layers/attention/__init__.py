"""Attention over the steps of sequences, and the blocks of transformers that are made of it.

The loops are in `kernels/attention`.
"""

from .cross import CrossAttention
from .multihead import MultiheadAttention
from .transformer import TransformerDecoder, TransformerDecoderLayer, TransformerEncoder
from .transformer_block import TransformerBlock, TransformerEncoderLayer

__all__ = [
    "CrossAttention",
    "MultiheadAttention",
    "TransformerBlock",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]
