"""The limit of a training step: the time of its matrix products alone, by the same kernels, in compiled code."""

import time

import numpy as np

from ...modules.display.costs import Matmul
from ...modules.engine import cache
from ...modules.engine.sources import digest, hash_package
from ...modules.kernels.matmul.gemm import matmul_into

ENGINE = cache.__name__.rsplit(".", 1)[0]
SOURCE = f'''"""The products of one layer: forward, of the weights' gradient, of the input's gradient."""

from {ENGINE}.generated_imports import *
from {matmul_into.__module__} import {matmul_into.__name__} as product

product = product.compiled_form


@entry
def forward(x, weight, y, grad_y, grad_weight, grad_x, count):
    for _ in range(count):
        product(x, weight.T, y, False)
    return y


@entry
def backward(x, weight, y, grad_y, grad_weight, grad_x, count):
    for _ in range(count):
        product(grad_y.T, x, grad_weight, False)
    return grad_weight


@entry
def input_gradient(x, weight, y, grad_y, grad_weight, grad_x, count):
    for _ in range(count):
        product(grad_y, weight, grad_x, False)
    return grad_x
'''


def time_matmuls(matmul_into: Matmul, dtype, wants_grad_x: bool, seconds: float = 0.03) -> tuple[float, float]:
    """Time a layer's forward and backward matrix products, each the minimum of several runs of about `seconds`."""
    module = load_matmuls()
    rows, inner, columns = matmul_into
    shapes = ((rows, inner), (columns, inner), (rows, columns), (rows, columns), (columns, inner), (rows, inner))
    random = np.random.default_rng(0)
    arrays = [random.random(shape).astype(dtype) for shape in shapes]
    forward, backward = (find_minimum_time(function, arrays, seconds) for function in (module.forward, module.backward))
    return forward, backward + (find_minimum_time(module.input_gradient, arrays, seconds) if wants_grad_x else 0.0)


def load_matmuls():
    """Load the plan of SOURCE, from the cache folder."""
    name = "plan_" + digest(hash_package(), SOURCE)
    if cache.find_plan(name, {}) is None:
        cache.write_plan(name, SOURCE)
    return cache.load_plan(name, {})


def find_minimum_time(function, arrays, seconds: float, runs: int = 5) -> float:
    """Find the seconds of one product: repeated in compiled code for about `seconds` a run, the fastest run."""
    function(*arrays, 1)
    count, least = 1, float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        function(*arrays, count)
        took = time.perf_counter() - start
        least = min(least, took / count)
        count = max(1, int(seconds / least))
    return least
