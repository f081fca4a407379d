"""JAX, the whole step jitted, with donated parameters."""

import os
from collections.abc import Callable
from contextlib import nullcontext

import jax as j
import jax.numpy as jnp
import numpy as np

from ..workloads import MLP, Images


def describe_kernels() -> str:
    return f"XLA with {os.environ.get('XLA_FLAGS', 'no flags')}, which cannot be asked"


def use_threads(threads: int):
    """Set by the environment of the process, before JAX is imported."""
    return nullcontext()


def make_weights(work: MLP, random) -> list:
    """Make (weight, bias) of each layer."""
    return [
        (jnp.asarray(random.normal(0, i**-0.5, (i, o)), "float32"), jnp.zeros(o, "float32")) for i, o in work.layers()
    ]


def make_forward(work: MLP) -> Callable:
    unit = {"relu": j.nn.relu, "tanh": jnp.tanh}[work.activation]

    def forward(weights, x):
        for k, (w, b) in enumerate(weights):
            x = (unit(x) if k else x) @ w + b
        return x

    return forward


def make_step(work: MLP, random) -> Callable:
    """Make the function of one training step on arrays."""
    weights, forward = make_weights(work, random), make_forward(work)
    zeros = j.tree.map(jnp.zeros_like, weights)
    state = [weights, (zeros, j.tree.map(jnp.copy, zeros), jnp.zeros(()))]

    def value(weights, x, target):
        y = j.nn.log_softmax(forward(weights, x))
        return -jnp.take_along_axis(y, target[:, None], 1).mean()

    def update_by_momentum(weights, moments, grads):
        velocity = j.tree.map(lambda v, g: 0.9 * v + g, moments[0], grads)
        return j.tree.map(lambda w, v: w - 0.01 * v, weights, velocity), (velocity, *moments[1:])

    def update_by_adam(weights, moments, grads):
        first, second, count = moments
        count += 1
        first = j.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = j.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
        rate, scale = 0.001 / (1 - 0.9**count), 1 / (1 - 0.999**count)
        weights = j.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(scale * v) + 1e-8), weights, first, second)
        return weights, (first, second, count)

    update = update_by_adam if work.optimizer == "Adam" else update_by_momentum

    def both(weights, moments, x, target):
        loss, grads = j.value_and_grad(value)(weights, x, target)
        return *update(weights, moments, grads), loss

    jitted = j.jit(both, donate_argnums=(0, 1))

    def one(x, target):
        state[0], state[1], loss = jitted(state[0], state[1], x, target)
        return loss

    return one


def step(work: MLP) -> Callable[[], object]:
    one, (x, target) = make_step(work, np.random.default_rng(0)), work.data()
    return lambda: float(one(x, target))


def epoch(work: MLP) -> Callable[[], object]:
    random = np.random.default_rng(0)
    one, (x, target) = make_step(work, random), work.data()

    def run_epochs():
        for _ in range(work.epochs):
            order = random.permutation(len(x))
            total = 0.0
            for first in range(0, len(x) - work.batch + 1, work.batch):
                rows = order[first : first + work.batch]
                total += one(x[rows], target[rows])
            loss = float(total)
        return loss

    return run_epochs


def predict(work: MLP) -> Callable[[], object]:
    weights, (x, _) = make_weights(work, np.random.default_rng(0)), work.data()
    function = j.jit(make_forward(work))
    return lambda: np.asarray(function(weights, x))


def make_parameters(random, kind: str, *sizes):
    """Make the parameters of a layer of an image model; a filter is (out, in, height, width)."""
    if kind == "conv":
        i, o, kernel, *_ = sizes
        std = (i * kernel * kernel) ** -0.5
        return jnp.asarray(random.normal(0, std, (o, i, kernel, kernel)), "float32"), jnp.zeros((o, 1, 1))
    if kind == "linear":
        return jnp.asarray(random.normal(0, sizes[0] ** -0.5, sizes), "float32"), jnp.zeros(sizes[1])
    if kind == "norm":
        return jnp.ones((sizes[0], 1, 1)), jnp.zeros((sizes[0], 1, 1))
    return [[make_parameters(random, *each) for each in part] for part in sizes] if kind == "residual" else ()


def apply(x, key, parameters, kind: str, *sizes):
    """Apply a layer of an image model; batch normalisation uses the statistics of the minibatch."""
    if kind == "conv":
        _, _, _, stride, padding = sizes
        dimensions = ("NCHW", "OIHW", "NCHW")
        margin = [(padding, padding)] * 2
        y = j.lax.conv_general_dilated(x, parameters[0], (stride, stride), margin, dimension_numbers=dimensions)
        return y + parameters[1]
    if kind == "linear":
        return x @ parameters[0] + parameters[1]
    if kind == "norm":
        mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
        return (x - mean) * j.lax.rsqrt(var + 1e-5) * parameters[0] + parameters[1]
    if kind == "pool":
        window = (1, 1, sizes[0], sizes[0])
        return j.lax.reduce_window(x, -jnp.inf, j.lax.max, window, window, "VALID")
    if kind == "dropout":
        return jnp.where(j.random.bernoulli(key, 1 - sizes[0], x.shape), x / (1 - sizes[0]), 0)
    if kind == "residual":
        return sum(run(x, key, weights, part) for weights, part in zip(parameters, sizes, strict=True))
    simple = {"relu": j.nn.relu, "flatten": lambda x: x.reshape((len(x), -1)), "mean": lambda x: x.mean((2, 3))}
    return simple[kind](x)


def run(x, key, parameters, layers):
    """Apply all layers."""
    for k, (weights, layer) in enumerate(zip(parameters, layers, strict=True)):
        x = apply(x, j.random.fold_in(key, k), weights, *layer)
    return x


def images(work: Images) -> Callable[[], object]:
    random, (x, target) = np.random.default_rng(0), work.data()
    weights = [make_parameters(random, *layer) for layer in work.layers]
    state = [weights, j.tree.map(jnp.zeros_like, weights), j.random.key(0)]

    def value(weights, key, x, target):
        y = j.nn.log_softmax(run(x, key, weights, work.layers))
        return -jnp.take_along_axis(y, target[:, None], 1).mean()

    def both(weights, velocity, key, x, target):
        key, now = j.random.split(key)
        loss, grads = j.value_and_grad(value)(weights, now, x, target)
        velocity = j.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
        return j.tree.map(lambda w, v: w - 0.001 * v, weights, velocity), velocity, key, loss

    jitted = j.jit(both, donate_argnums=(0, 1))

    def one():
        *state[:], loss = jitted(*state, x, target)
        return float(loss)

    return one


def forward(work: Images) -> Callable[[], object]:
    random, (x, _) = np.random.default_rng(0), work.data()
    weights = [make_parameters(random, *layer) for layer in work.layers]
    function = j.jit(lambda weights, x: run(x, j.random.key(0), weights, work.layers))
    return lambda: np.asarray(function(weights, x))
