"""The limit of sequences: the matrix products of a step alone, each by what multiplies it fastest."""

from collections.abc import Callable

import numpy as np

from ..sequence_workloads import GPT, Recurrent
from .libraries import Libraries
from .limit import make_calls


def list_linear(rows: int, i: int, o: int, with_grad_x: bool) -> list[tuple]:
    """The products of a linear layer: forward, weight gradient, and gradient of x."""
    x, w, g, y, grad_w, grad_x = make_arrays((rows, i), (o, i), (rows, o), (rows, o), (o, i), (rows, i))
    products = [(x, w, y, False, True), (g, x, grad_w, True, False)]
    return products + ([(g, w, grad_x, False, False)] if with_grad_x else [])


def list_head(steps: int, width: int) -> list[tuple]:
    """The seven products of a head of attention, without those of the scores above the diagonal.

    Forward Q Kᵀ and P V; backward Q Kᵀ again, dO Vᵀ, Pᵀ dO, dS K and dSᵀ Q. A causal one needs half of each.
    """
    half = (steps + 1) // 2
    q, k, p, o, grad_k = make_arrays((half, width), (steps, width), (half, steps), (half, width), (steps, width))
    scores, values, keys = (q, k, p, False, True), (p, k, o, False, False), (p, q, grad_k, True, False)
    return [scores, values, scores, scores, keys, values, keys]


def make_arrays(*shapes: tuple[int, int]) -> list[np.ndarray]:
    """Make random arrays float32."""
    random = np.random.default_rng(0)
    return [random.random(shape, np.float32) for shape in shapes]


def gpt(work: GPT) -> Callable[[], object]:
    libraries, products, counts = Libraries(), [], []
    for rows, i, o, count in work.list_products():
        linear = list_linear(rows, i, o, True)
        products, counts = products + linear, counts + [count] * len(linear)
    for steps, width, count in work.list_attention():
        head = list_head(steps, width)
        products, counts = products + head, counts + [count] * len(head)
    return make_calls(libraries, products, counts)


def recurrent(work: Recurrent) -> Callable[[], object]:
    """x Wᵀ of all steps together, h Wᵀ and its gradient step by step, both weights' gradients together."""
    libraries, products, counts = Libraries(), [], []
    for k, (rows, i, o, count) in enumerate(work.list_products()):
        linear = list_linear(rows, i, o, k > 0)
        products, counts = products + linear, counts + [count] * len(linear)
    gates = work.list_products()[0][2]
    step, whole = (
        list_linear(work.batch, work.hidden, gates, True),
        list_linear(work.batch * work.steps, work.hidden, gates, False),
    )
    products += [step[0], step[2], whole[1]]
    counts += [work.steps, work.steps, 1]
    return make_calls(libraries, products, counts)
