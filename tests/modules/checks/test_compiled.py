"""Compiled code of every module and loss computes what plain Python does; all other tests of modules rely on that.

The first row of each class runs in float32 each time, all rows in both types with --all.
"""

import pytest
from bprop.modules.checks.contract_checks import Trial, compare_compiled

from ..cases import LOSSES, MODULES, mark_rows

pytestmark = [pytest.mark.jit, pytest.mark.compiled]


def rows():
    """(case, dtype) for each row of the table."""
    for row in mark_rows([*MODULES, *LOSSES]):
        (case,) = row.values
        yield pytest.param(case, "float32", id=f"{case.name}-float32", marks=row.marks)
        yield pytest.param(case, "float64", id=f"{case.name}-float64", marks=pytest.mark.slow)


@pytest.mark.parametrize(("case", "dtype"), list(rows()))
def test_compiled_equals_plain_python(case, dtype):
    for seed, samples in enumerate((None, 3)):
        arguments = case.arguments(samples) if case in LOSSES else (case.x(samples),)
        assert compare_compiled(Trial(case.make(), tuple(arguments), seed, 1e-6), dtype) == ""
