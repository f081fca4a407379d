"""Compiled code of every module and loss computes what plain Python does; all other tests of modules rely on that.

The first row of each pair of passes runs in float32 each time, other rows with --only-slow, but for those that repeat
what others compile. First rows that have parameters also run in float64, as their products and sums have kernels for
each type: one row of each kind with --only-slow, all of them with --all.
"""

import numpy as np
import pytest
from bprop.modules import Loss, Module
from bprop.modules.checks.contract_checks import Trial, compare_compiled

from ..cases import LOSSES, MODULES, mark_rows

pytestmark = [pytest.mark.jit, pytest.mark.compiled]
RARE = {  # rows whose every pass and option other rows, or trainings of other tests, compile: seconds each
    "MultiheadAttention, causal",  # see grouped queries
    "MultiheadAttention, fixed bias",
    "MultiheadAttention, learned bias",  # see all heads
    "TransformerEncoderLayer",  # see the encoder
    "LSTM",
    "LSTM, dropout",
    "LSTM, no bias",  # see the RNN and the GRU
    "GRU",
    "GRU, two layers, both directions",  # see the LSTM
}
WIDE = {  # kinds of kernels, by rows: sums over rows and samples, products, lookups, chains; also compiled in float64
    "Residual", "Bilinear", "BatchNorm2d", "GroupNorm", "Embedding", "PReLU", "RBM", "Conv2d(2, 5, 3, padding=1)",
}  # fmt: skip
IN_PARTS = ("LossPart", "MultiLoss")  # they copy the columns of their parts


def rows():
    """(case, dtype) for each row of the table."""
    for row in mark_rows([*MODULES, *LOSSES]):
        (case,) = row.values
        marks = pytest.mark.rare if case.name in RARE else row.marks
        yield pytest.param(case, "float32", id=f"{case.name}-float32", marks=marks)
        if any(mark.name == "quick" for mark in row.marks) and case.make().parameter_count:
            mark = pytest.mark.slow if case.name in WIDE else pytest.mark.rare
            yield pytest.param(case, "float64", id=f"{case.name}-float64", marks=mark)


def test_the_rows_named_here_are_in_the_table():
    assert {case.name for case in MODULES} >= RARE | WIDE


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
