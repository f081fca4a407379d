"""The limit: the step's matrix products alone, each by the faster of BLAS and our own kernels, in compiled code."""

import time
from collections.abc import Callable

import numba
import numpy as np
from bprop.modules import num_threads
from bprop.modules.kernels.matmul.gemm import matmul_into

from ..workloads import Net

own = matmul_into.compiled_form


using = num_threads


@numba.njit
def products(tiled, back, xs, ws, gs, ys, grad_ws, grad_xs, repeat):
    """All three products of each layer: forward, weight gradient, input gradient."""
    for _ in range(repeat):
        for k in range(len(xs)):
            if tiled[k]:
                own(xs[k], ws[k].T, ys[k], False)
                own(gs[k].T, xs[k], grad_ws[k], False)
                if back[k]:
                    own(gs[k], ws[k], grad_xs[k], False)
            else:
                np.dot(xs[k], ws[k].T, ys[k])
                np.dot(gs[k].T, xs[k], grad_ws[k])
                if back[k]:
                    np.dot(gs[k], ws[k], grad_xs[k])


def step(work: Net) -> Callable[[], object]:
    return repeated(work, 1)


def epoch(work: Net) -> Callable[[], object]:
    return repeated(work, work.samples // work.batch)


def repeated(work: Net, steps: int) -> Callable[[], object]:
    """The matrix products of some steps; for each layer the faster of both implementations is found first."""
    layers = []
    for i, o in work.layers():
        n = work.batch
        shapes = ((n, i), (o, i), (n, o), (n, o), (o, i), (n, i))
        layers.append([np.random.default_rng(0).random(shape, np.float32) for shape in shapes])
    back = np.arange(len(layers)) > 0
    tiled = np.zeros(len(layers), bool)
    for k, arrays in enumerate(layers):
        one = [(array,) for array in arrays]
        tiled[k] = quickest(np.array([True]), back[k : k + 1], one) < quickest(np.array([False]), back[k : k + 1], one)
    columns = [tuple(column) for column in zip(*layers, strict=True)]
    return lambda: products(tiled, back, *columns, steps)


def quickest(tiled: np.ndarray, back: np.ndarray, columns: list) -> float:
    """The least seconds of twenty tries."""
    products(tiled, back, *columns, 1)
    rounds = []
    for _ in range(20):
        start = time.perf_counter()
        products(tiled, back, *columns, 3)
        rounds.append(time.perf_counter() - start)
    return min(rounds)
