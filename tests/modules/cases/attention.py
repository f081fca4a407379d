"""Attention and blocks of transformers."""

import numpy as np
from bprop.modules import (
    ConcatTable,
    Identity,
    LayerNorm,
    Linear,
    MultiheadAttention,
    RMSNorm,
    Sequential,
    TransformerBlock,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from bprop.modules.kernels.elementary_functions import erf

from .case import Case
from .core import linear
from .vectors import swiglu


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


def cross(module, x, memory):
    width, key_heads, size = module.embed_dim, module.num_kv_heads, module.head_dim
    q = x @ module.in_proj_weight[:width].T + module.in_proj_bias[:width]
    kv = memory @ module.in_proj_weight[width:].T + module.in_proj_bias[width:]
    k, v = (part.reshape(*part.shape[:2], key_heads, size) for part in np.split(kv, 2, axis=-1))
    return linear(module.out_proj, attended(module, q.reshape(*q.shape[:2], -1, size), k, v))


def normalized(norm, x):
    if type(norm) is RMSNorm:
        return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 2.0**-52) * norm.weight
    moved = x - x.mean(axis=-1, keepdims=True)
    y = moved / np.sqrt((moved**2).mean(axis=-1, keepdims=True) + norm.eps) * norm.weight
    return y if norm.bias is None else y + norm.bias


UNITS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "swiglu": lambda x: swiglu(None, x),
}


def branches(module, x, *functions):
    """Each branch with its norm, before or after the skip connection."""
    for k, function in enumerate(functions, start=1):
        norm = getattr(module, f"norm{k}")
        x = x + function(normalized(norm, x)) if module.norm_first else normalized(norm, x + function(x))
    return x


def block(module, x):
    def feed_forward(x):
        return linear(module.linear2, UNITS[module.activation_name](linear(module.linear1, x)))

    return branches(module, x, lambda x: attention(module.self_attn, x), feed_forward)


def encoder(module, x):
    for layer in module.layers:
        x = block(layer, x)
    return x if module.norm is None else normalized(module.norm, x)


def decoder(net, x):
    memory, module = linear(net[0][1], x), net[1]
    for layer in module.layers:

        def feed_forward(x, layer=layer):
            return linear(layer.linear2, UNITS[layer.activation_name](linear(layer.linear1, x)))

        attentions = (
            lambda x, m=layer.self_attn: attention(m, x),
            lambda x, m=layer.multihead_attn: cross(m, x, memory),
        )
        x = branches(layer, x, *attentions, feed_forward)
    return x if module.norm is None else normalized(module.norm, x)


def self_attention(name, shape, embed_dim, heads, refused=None, message="", **settings):
    def make():
        module = MultiheadAttention(embed_dim, heads, **settings)
        if module.in_proj_bias is not None:
            random = np.random.default_rng(5)
            module.in_proj_bias = 0.3 * random.standard_normal(module.in_proj_bias.shape)
            module.out_proj.bias = random.standard_normal(embed_dim)
        return module

    return Case(name, make, shape, refused, message, reference=attention)


def twin_of(nn, module, *repeated):
    """PyTorch's module with its names of parameters, by the method of attention that has second derivatives."""

    class Twin(type(module)):
        def forward(self, x, **settings):
            with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
                y = super().forward(*[x] * (1 + len(repeated)), **settings)
            return y[0] if repeated else y

    module.__class__ = Twin
    return module


def with_decoder(**settings):
    """A decoder over x and a memory that is made of x."""
    layer = TransformerDecoderLayer(8, 2, 12, 0.0, **settings)
    return Sequential(ConcatTable(Identity(), Linear(8, 8)), TransformerDecoder(layer, 2, LayerNorm(8)))


BIAS = np.linspace(-1, 1, 2 * 5 * 5).reshape(2, 5, 5)

MODULES = [
    Case(
        "MultiheadAttention",
        lambda: MultiheadAttention(8, 2),
        (3, 5, 8),
        (3, 5, 7),
        "MultiheadAttention(8, 2 heads): x has shape (3, 5, 7), expected (N, T, 8)",
        reference=attention,
        torch=lambda nn: twin_of(nn, nn.MultiheadAttention(8, 2, batch_first=True), "key", "value"),
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
    Case(
        "TransformerBlock",
        lambda: TransformerBlock(8, 2, causal=True),
        (3, 5, 8),
        (3, 5, 7),
        "LayerNorm((8,), eps=1e-05): x has shape (3, 5, 7), expected (N, ..., 8)\nin model.norm1",
        reference=block,
    ),
    Case(
        "TransformerBlock, swiglu",
        lambda: TransformerBlock(
            8, 4, 12, activation="swiglu", norm="rms", bias=False, num_kv_heads=2, rope=True, causal=True
        ),
        (2, 5, 8),
        reference=block,
    ),
    Case(
        "TransformerEncoderLayer",
        lambda: TransformerEncoderLayer(8, 2, 12, 0.0),
        (3, 5, 8),
        (3, 8),
        "MultiheadAttention(8, 2 heads): x has shape (3, 8), expected (N, T, 8)\nin model.self_attn",
        reference=block,
        torch=lambda nn: twin_of(nn, nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True)),
    ),
    Case(
        "TransformerEncoder",
        lambda: TransformerEncoder(TransformerBlock(8, 2, 12, causal=True), 2, LayerNorm(8)),
        (3, 4, 8),
        reference=encoder,
    ),
    Case(
        "TransformerDecoder",
        with_decoder,
        (2, 5, 8),
        (2, 5, 6),
        "Linear(8 -> 8): x has shape (2, 5, 6), expected (N, 8)\nin model[0][1]",
        reference=decoder,
    ),
    Case(
        "TransformerDecoder, norm first",
        lambda: with_decoder(norm_first=True, activation="gelu"),
        (2, 3, 8),
        reference=decoder,
    ),
]
