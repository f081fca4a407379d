"""Attention and blocks of transformers."""

import numpy as np
from bprop.modules import MultiheadAttention

from .case import Case
from .core import linear


def turned(x, base):
    """Each head's pairs (k, k + half), turned by the angles of their position; x (N, T, heads, size)."""
    half = x.shape[-1] // 2
    angles = np.arange(x.shape[1])[:, None] * float(base) ** (-np.arange(half) / half)
    z = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)[:, None]
    return np.concatenate([z.real, z.imag], axis=-1)


def attended(module, q, k, v):
    """softmax(scale q kᵀ + bias) v; q (N, T, heads, size), k, v (N, S, key heads, size)."""
    k, v = (np.repeat(each, q.shape[2] // k.shape[2], axis=2) for each in (k, v))
    scores = np.einsum("nihc,njhc->nhij", q, k) / np.sqrt(q.shape[-1])
    distance = np.abs(np.arange(q.shape[1])[:, None] - np.arange(k.shape[1]))
    if module.alibi:
        scores = scores - np.reshape(module.slopes, (-1, 1, 1)) * distance
    if module.score_bias is not None:
        scores = scores + module.score_bias[:, : q.shape[1], : k.shape[1]]
    if module.causal:
        scores = np.where(np.tri(q.shape[1], dtype=bool), scores, -np.inf)
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return np.einsum("nhij,njhc->nihc", p, v).reshape(*q.shape[:2], -1)


def attention(module, x):
    qkv = x @ module.in_proj_weight.T + (0 if module.in_proj_bias is None else module.in_proj_bias)
    heads, key_heads, size = module.num_heads, module.num_kv_heads, module.head_dim
    parts = np.split(qkv, [heads * size, (heads + key_heads) * size], axis=-1)
    q, k, v = (part.reshape(*x.shape[:2], -1, size) for part in parts)
    if module.rope is not None:
        q, k = turned(q, module.rope), turned(k, module.rope)
    return linear(module.out_proj, attended(module, q, k, v))


def self_attention(name, shape, embed_dim, heads, refused=None, message="", **settings):
    def make():
        module = MultiheadAttention(embed_dim, heads, **settings)
        if module.in_proj_bias is not None:
            random = np.random.default_rng(5)
            module.in_proj_bias = 0.3 * random.standard_normal(module.in_proj_bias.shape)
            module.out_proj.bias = random.standard_normal(embed_dim)
        return module

    return Case(name, make, shape, refused, message, reference=attention)


BIAS = np.linspace(-1, 1, 2 * 5 * 5).reshape(2, 5, 5)

MODULES = [
    Case(
        "MultiheadAttention",
        lambda: MultiheadAttention(8, 2),
        (3, 5, 8),
        (3, 5, 7),
        "MultiheadAttention(8, 2 heads): x has shape (3, 5, 7), expected (N, T, 8)",
        reference=attention,
        torch=lambda nn: SelfAttention(nn, nn.MultiheadAttention(8, 2, batch_first=True)),
    ),
    self_attention("MultiheadAttention, causal", (3, 5, 12), 12, 3, causal=True),
    self_attention("MultiheadAttention, causal, grouped queries", (2, 5, 16), 16, 4, causal=True, num_kv_heads=2),
    self_attention("MultiheadAttention, rope, without bias", (2, 6, 12), 12, 2, rope=100, causal=True, bias=False),
    self_attention("MultiheadAttention, alibi", (2, 6, 6), 6, 3, alibi=True),
    self_attention("MultiheadAttention, fixed bias", (2, 4, 8), 8, 2, score_bias=BIAS[0]),
    self_attention(
        "MultiheadAttention, learned bias",
        (2, 5, 8),
        8,
        2,
        (2, 6, 8),
        "MultiheadAttention(8, 2 heads, score_bias): 6 queries and 6 keys, expected at most 5 and 5, the shape of "
        "score_bias",
        score_bias=BIAS,
        learn_score_bias=True,
    ),
    self_attention(
        "MultiheadAttention, learned bias of all heads", (2, 5, 8), 8, 2, score_bias=BIAS[1], learn_score_bias=True
    ),
]


def SelfAttention(nn, module):
    """PyTorch's attention as a module of one argument, with its names of parameters."""

    class OneArgument(type(module)):
        def forward(self, x):
            return super().forward(x, x, x)[0]  # with weights: without, it has no second derivative

    module.__class__ = OneArgument
    return module
