"""JAX, the whole step jitted, with donated parameters."""

from collections.abc import Callable

import jax as j
import jax.numpy as jnp
import numpy as np

from ..workloads import Net


def set_threads(threads: int) -> None:
    """Set by the environment of the process, before JAX is imported."""


def weights_of(work: Net, random) -> list:
    """(weight, bias) of each layer."""
    return [
        (jnp.asarray(random.normal(0, i**-0.5, (i, o)), "float32"), jnp.zeros(o, "float32")) for i, o in work.layers()
    ]


def forward_of(work: Net) -> Callable:
    unit = {"relu": j.nn.relu, "tanh": jnp.tanh}[work.activation]

    def forward(weights, x):
        for k, (w, b) in enumerate(weights):
            x = (unit(x) if k else x) @ w + b
        return x

    return forward


def stepper(work: Net, random) -> Callable:
    """One training step on arrays."""
    weights, forward = weights_of(work, random), forward_of(work)
    state = [weights, j.tree.map(jnp.zeros_like, weights)]

    def value(weights, x, target):
        y = j.nn.log_softmax(forward(weights, x))
        return -jnp.take_along_axis(y, target[:, None], 1).mean()

    def both(weights, speed, x, target):
        loss, grads = j.value_and_grad(value)(weights, x, target)
        speed = j.tree.map(lambda v, g: 0.9 * v + g, speed, grads)
        return j.tree.map(lambda w, v: w - 0.01 * v, weights, speed), speed, loss

    jitted = j.jit(both, donate_argnums=(0, 1))

    def one(x, target):
        state[0], state[1], loss = jitted(state[0], state[1], x, target)
        return loss

    return one


def step(work: Net) -> Callable[[], object]:
    one, (x, target) = stepper(work, np.random.default_rng(0)), work.data()
    return lambda: float(one(x, target))


def epoch(work: Net) -> Callable[[], object]:
    random = np.random.default_rng(0)
    one, (x, target) = stepper(work, random), work.data()

    def all_of_it():
        order = random.permutation(len(x))
        total = 0.0
        for first in range(0, len(x) - work.batch + 1, work.batch):
            rows = order[first : first + work.batch]
            total += one(x[rows], target[rows])
        return float(total)

    return all_of_it


def predict(work: Net) -> Callable[[], object]:
    weights, (x, _) = weights_of(work, np.random.default_rng(0)), work.data()
    function = j.jit(forward_of(work))
    return lambda: np.asarray(function(weights, x))
