"""Compiled code of every module and loss computes what plain Python does; all other tests of modules rely on that.

The first row of each pair of passes runs in float32 each time; with --all all other rows do, too, and those first rows
that have parameters also run in float64, as their products and sums have kernels for each type.
"""

import numpy as np
import pytest
from bprop.modules import Loss, Module
from bprop.modules.checks.contract_checks import Trial, compare_compiled

from ..cases import LOSSES, MODULES, mark_rows

pytestmark = [pytest.mark.jit, pytest.mark.compiled]
LONG = ("LSTM", "GRU", "RNN", "Attention", "Transformer")  # whose float64 takes minutes to compile
IN_PARTS = ("LossPart", "MultiLoss")  # they copy the columns of their parts


def rows():
    """(case, dtype) for each row of the table."""
    for row in mark_rows([*MODULES, *LOSSES]):
        (case,) = row.values
        yield pytest.param(case, "float32", id=f"{case.name}-float32", marks=row.marks)
        if any(mark.name == "quick" for mark in row.marks) and case.make().parameter_count:
            mark = pytest.mark.rare if any(name in case.name for name in LONG) else pytest.mark.slow
            yield pytest.param(case, "float64", id=f"{case.name}-float64", marks=mark)


@pytest.mark.parametrize(("case", "dtype"), list(rows()))
def test_compiled_equals_plain_python(case, dtype):
    for seed, samples in enumerate((None, 3)):
        arguments = case.arguments(samples) if case in LOSSES else (case.x(samples),)
        assert compare_compiled(Trial(case.make(), tuple(arguments), seed, 1e-6), dtype) == ""


# Once compiled code has its buffers, it allocates nothing. The plans are those of the comparison above.


def count_allocations(module, x, allocations):
    """The arrays made by each of five runs forward and backward, x and grad_y among them."""
    counts = []
    for _ in range(5):
        before = allocations()
        module.bprop(module.fprop(x))
        counts.append(allocations() - before)
    return counts


@pytest.mark.parametrize("case", mark_rows(MODULES))
def test_a_module_allocates_nothing(case, allocations):
    assert count_allocations(case.make(), case.x().astype(np.float32), allocations)[2:] == [2] * 3, "x and grad_y"


class Fresh(Module):
    """Makes new arrays in each run."""

    def fprop(self, x):
        return 2 * x

    def bprop(self, grad_y):
        return 2 * grad_y


def test_new_arrays_are_counted(allocations):
    assert count_allocations(Fresh(), np.ones((2, 3), np.float32), allocations)[2:] == [4] * 3


@pytest.mark.parametrize("case", mark_rows([case for case in LOSSES if case.name not in IN_PARTS]))
def test_a_loss_allocates_nothing(case, allocations):
    loss, (y, target) = case.make(), case.arguments()
    assert isinstance(loss, Loss)
    counts = []
    for _ in range(5):
        before = allocations()
        loss.fprop(y.astype(np.float32), target)
        loss.bprop()
        counts.append(allocations() - before)
    assert counts[2:] == [2] * 3, "y and target"
