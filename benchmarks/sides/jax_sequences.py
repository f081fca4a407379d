"""A transformer in JAX, the whole step jitted, with donated parameters."""

from collections.abc import Callable

import jax as j
import jax.numpy as jnp
import numpy as np

from ..sequence_workloads import GPT

FIRST, SECOND, RATE, DECAY = 0.9, 0.999, 0.001, 0.01


def make_weights(work: GPT) -> dict:
    """Make the arrays of a model."""
    random, w = np.random.default_rng(0), work.width

    def linear(i: int, o: int):
        weight = jnp.asarray(random.normal(0, i**-0.5, (i, o)), "float32")
        return (weight, jnp.zeros(o)) if work.norm == "layer" else (weight,)

    def norm():
        return (jnp.ones(w), jnp.zeros(w)) if work.norm == "layer" else ()

    blocks = [
        {"norm1": norm(), "qkv": linear(w, 3 * w), "out": linear(w, w), "norm2": norm(), "up": linear(w, 4 * w)}
        | {"down": linear(4 * w, w)}
        for _ in range(work.blocks)
    ]
    tokens, positions = (
        jnp.asarray(random.normal(0, 0.02, (n, w)), "float32") for n in (work.vocabulary, work.context)
    )
    return {
        "tokens": tokens,
        "positions": positions,
        "blocks": blocks,
        "norm": norm(),
        "head": linear(w, work.vocabulary),
    }


def multiply(x, parameters):
    """x W, or x W + b."""
    y = x @ parameters[0]
    return y + parameters[1] if len(parameters) > 1 else y


def normalize(x, parameters):
    """LayerNorm, or RMSNorm without parameters."""
    if not parameters:
        return x * j.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)
    centred = x - x.mean(-1, keepdims=True)
    return centred * j.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * parameters[0] + parameters[1]


def make_forward(work: GPT) -> Callable:
    unit = (lambda x: j.nn.gelu(x, approximate=False)) if work.norm == "layer" else j.nn.relu

    def forward(weights, x):
        n, steps = x.shape
        h = weights["tokens"][x] + weights["positions"]
        h = h if work.norm == "layer" else normalize(h, ())
        for block in weights["blocks"]:
            q, k, v = jnp.split(multiply(normalize(h, block["norm1"]), block["qkv"]), 3, -1)
            q, k, v = (each.reshape(n, steps, work.heads, -1) for each in (q, k, v))
            a = j.nn.dot_product_attention(q, k, v, is_causal=True).reshape(n, steps, -1)
            h = h + multiply(a, block["out"])
            h = h + multiply(unit(multiply(normalize(h, block["norm2"]), block["up"])), block["down"])
        return multiply(normalize(h, weights["norm"]) if weights["norm"] else h, weights["head"])

    return forward


def gpt(work: GPT) -> Callable[[], object]:
    forward, (x, target) = make_forward(work), work.data()

    def value(weights, x, target):
        scores = j.nn.log_softmax(forward(weights, x))
        return -jnp.take_along_axis(scores, target[:, :, None], 2).mean()

    def update(weights, first, second, count, x, target):
        loss, grads = j.value_and_grad(value)(weights, x, target)
        count += 1
        first = j.tree.map(lambda m, g: FIRST * m + (1 - FIRST) * g, first, grads)
        second = j.tree.map(lambda v, g: SECOND * v + (1 - SECOND) * g * g, second, grads)
        rate, scale = RATE / (1 - FIRST**count), 1 / (1 - SECOND**count)
        weights = j.tree.map(
            lambda w, m, v: (1 - RATE * DECAY) * w - rate * m / (jnp.sqrt(scale * v) + 1e-8), weights, first, second
        )
        return weights, first, second, count, loss

    jitted = j.jit(update, donate_argnums=(0, 1, 2))
    weights = make_weights(work)
    zeros = j.tree.map(jnp.zeros_like, weights)
    state = [weights, zeros, j.tree.map(jnp.copy, zeros), jnp.zeros(())]

    def one():
        *state[:], loss = jitted(*state, x, target)
        return float(loss)

    return one
