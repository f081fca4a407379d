"""Compiled code of every loss computes what plain Python does, as that of layers (test_compiled.py)."""

import numpy as np
import pytest
from bprop.modules import Loss
from bprop.modules.checks.contract_checks import Trial, compare_compiled

from ..cases import LOSSES, mark_rows, mark_rows_of_types

pytestmark = [pytest.mark.jit, pytest.mark.compiled]
IN_PARTS = ("LossPart", "MultiLoss")  # they copy the columns of their parts


@pytest.mark.parametrize(("case", "dtype"), mark_rows_of_types(LOSSES))
def test_compiled_equals_plain_python(case, dtype):
    for seed, samples in enumerate((None, 3)):
        assert compare_compiled(Trial(case.make(), tuple(case.arguments(samples)), seed, 1e-6), dtype) == ""


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
