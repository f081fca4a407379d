"""The limit: a step's matrix products alone, each by the fastest of BLAS, LIBXSMM and our kernels, in compiled code."""

import time
from collections.abc import Callable

import numba
import numpy as np
from bprop.modules import num_threads

from ..workloads import MLP
from .libraries import Libraries, multiply

use_threads = num_threads


def describe_kernels() -> str:
    return Libraries().describe()


@numba.njit
def multiply_all(ways, transpose, a, b, c, ta, tb, scratch, counts, steps):
    """Compute all products, one after the other, each as often as it occurs."""
    for _ in range(steps):
        for k in range(len(a)):
            multiply(ways[k, 0], ways[k, 1], transpose, a[k], b[k], c[k], ta[k], tb[k], scratch[k], counts[k])


def step(work: MLP) -> Callable[[], object]:
    return make_products(work, 1)


def epoch(work: MLP) -> Callable[[], object]:
    return make_products(work, work.samples // work.batch * work.epochs)


def make_products(work: MLP, steps: int) -> Callable[[], object]:
    """Make the function of the products of some steps: forward, weight gradient, input gradient of each layer."""
    libraries, products = Libraries(), []
    for k, (i, o) in enumerate(work.layers()):
        n = work.batch
        x, w, g, y, grad_w, grad_x = (
            np.random.default_rng(0).random(shape, np.float32)
            for shape in ((n, i), (o, i), (n, o), (n, o), (o, i), (n, i))
        )
        products += [(x, w, y, False, True), (g, x, grad_w, True, False)]
        products += [(g, w, grad_x, False, False)] if k else []
    return make_calls(libraries, products, [1] * len(products), steps)


def make_calls(libraries: Libraries, products: list[tuple], counts: list[int], steps: int = 1) -> Callable[[], object]:
    """Make the function of products (a, b, c, transposed a, transposed b), each by the fastest library."""
    for product in products:
        libraries.list_calls(*product)["bprop"](1)
    libraries.specialize()
    ways = np.array([find_fastest(libraries, *product) for product in products])
    a, b, c, ta, tb = zip(*products, strict=True)
    scratch = tuple(np.empty(each.shape[::-1], np.float32) for each in b)
    rest = np.array(ta), np.array(tb), scratch, np.array(counts), steps
    return lambda: multiply_all(ways, libraries.transpose, a, b, c, *rest)


def find_fastest(libraries: Libraries, a, b, c, ta: bool, tb: bool) -> tuple[int, int]:
    """Find the way of the fastest library, by the minimum of twenty tries."""
    times = {}
    for name, call in libraries.list_calls(a, b, c, ta, tb).items():
        call(1)
        for _ in range(20):
            start = time.perf_counter()
            call(3)
            times[name] = min(times.get(name, np.inf), time.perf_counter() - start)
    (m, n), k = c.shape, b.shape[1] if tb else b.shape[0]
    return libraries.list_ways(m, n, k, ta)[min(times, key=times.__getitem__)]
