"""Compiled code of every layer and container computes what plain Python does; other tests of modules rely on that.

The first row of each class runs in float32 each time, all rows in both types with --all.
"""

import numpy as np
import pytest
from bprop.modules.checks.contract_checks import Trial, compare_compiled

from ..cases import MODULES, mark_rows, mark_rows_of_types

pytestmark = [pytest.mark.jit, pytest.mark.compiled]


@pytest.mark.parametrize(("case", "dtype"), mark_rows_of_types(MODULES))
def test_compiled_equals_plain_python(case, dtype):
    for seed, samples in enumerate((None, 3)):
        assert compare_compiled(Trial(case.make(), (case.x(samples),), seed, 1e-6), dtype) == ""


@pytest.mark.parametrize("case", mark_rows(MODULES))
def test_a_module_allocates_nothing(case, allocations):
    """Once it has its buffers; what is compiled is that of the test above."""
    module, x = case.make(), case.x().astype(np.float32)
    counts = []
    for _ in range(5):
        before = allocations()
        module.bprop(module.fprop(x))
        counts.append(allocations() - before)
    assert counts[2:] == [2] * 3, "x and grad_y"
