"""The limit: the step's matrix products alone, each by the faster of BLAS and our kernels, in compiled code."""

import time
from collections.abc import Callable

import numba
import numpy as np
from bprop.modules import num_threads
from bprop.modules.kernels.matmul.gemm import matmul_into

from ..workloads import MLP
from . import describe_blas

own = matmul_into.compiled_form


use_threads = num_threads


def describe_kernels() -> str:
    np.dot(np.ones((2, 2)), np.ones((2, 2)))
    return describe_blas()


@numba.njit
def multiply_all(tiled, back, xs, ws, gs, ys, grad_ws, grad_xs, repeat):
    """Compute the three matrix products of each layer: forward, weight gradient, input gradient."""
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


def step(work: MLP) -> Callable[[], object]:
    return make_products(work, 1)


def epoch(work: MLP) -> Callable[[], object]:
    return make_products(work, work.samples // work.batch)


def make_products(work: MLP, steps: int) -> Callable[[], object]:
    """Make the function of the matrix products of some steps, each layer by the faster implementation."""
    layers = []
    for i, o in work.layers():
        n = work.batch
        shapes = ((n, i), (o, i), (n, o), (n, o), (o, i), (n, i))
        layers.append([np.random.default_rng(0).random(shape, np.float32) for shape in shapes])
    back = np.arange(len(layers)) > 0
    tiled = np.zeros(len(layers), bool)
    for k, arrays in enumerate(layers):
        one = [(array,) for array in arrays]
        tiled[k] = measure_fastest(np.array([True]), back[k : k + 1], one) < measure_fastest(
            np.array([False]), back[k : k + 1], one
        )
    columns = [tuple(column) for column in zip(*layers, strict=True)]
    return lambda: multiply_all(tiled, back, *columns, steps)


def measure_fastest(tiled: np.ndarray, back: np.ndarray, columns: list) -> float:
    """Measure the minimum seconds of twenty tries."""
    multiply_all(tiled, back, *columns, 1)
    rounds = []
    for _ in range(20):
        start = time.perf_counter()
        multiply_all(tiled, back, *columns, 3)
        rounds.append(time.perf_counter() - start)
    return min(rounds)
