"""Layers use their memory again: a second run on data of the same shape allocates nothing."""

import numpy as np
import pytest
from bprop.modules import Module
from numba.core.runtime import _nrt_python, rtsys

from ..cases import images, noise, normalisation, pooling, resampling, vectors

ROWS = [case for family in (images, noise, normalisation, pooling, resampling, vectors) for case in family.MODULES]


@pytest.fixture
def allocations():
    """Counts the arrays that compiled code makes; one for each argument belongs to the entry point."""
    _nrt_python.memsys_enable_stats()
    yield lambda: rtsys.get_allocation_stats().mi_alloc
    _nrt_python.memsys_disable_stats()


def count(allocations, module, x) -> int:
    """Arrays made by a third run forward and backward, beside those for the two arguments."""
    for _ in range(3):
        grad_y = np.ones_like(module.fprop(x))
        module.bprop(grad_y)
    (plan,) = module._plans.values()
    before = allocations()
    plan.plan.caller(plan.forward, x)(x)
    plan.plan.caller(plan.backward, grad_y)(grad_y)
    return allocations() - before - 2


@pytest.mark.jit
@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.name)
def test_memory_is_used_again(allocations, case):
    assert count(allocations, case.make(), case.x().astype(np.float32)) == 0


class Fresh(Module):
    """Makes new arrays in each run."""

    def fprop(self, x):
        return 2 * x

    def bprop(self, grad_y):
        return 2 * grad_y


@pytest.mark.jit
def test_new_arrays_are_counted(allocations):
    assert count(allocations, Fresh(), np.ones((2, 3), np.float32)) == 2
