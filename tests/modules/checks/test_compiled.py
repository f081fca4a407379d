"""Compiled code of every module and loss computes what plain Python does; all other tests of modules rely on that.

The first row of each class runs in float32 each time, all rows in both types with --all.
"""

import pytest
from bprop.modules.checks.contract_checks import Trial, compare_compiled

from ..cases import LOSSES, MODULES

pytestmark = [pytest.mark.jit, pytest.mark.compiled]


def rows():
    """(case, dtype) for each row of the table."""
    known: set[type] = set()
    for case in [*MODULES, *LOSSES]:
        classes = {type(inside) for inside in case.make().all_modules()}
        for dtype in ("float32", "float64"):
            quick = dtype == "float32" and not classes <= known
            mark = pytest.mark.quick if quick else pytest.mark.slow
            yield pytest.param(case, dtype, id=f"{case.name}-{dtype}", marks=mark)
        known |= classes


@pytest.mark.parametrize(("case", "dtype"), list(rows()))
def test_compiled_equals_plain_python(case, dtype):
    for seed, samples in enumerate((None, 3)):
        arguments = case.arguments(samples) if case in LOSSES else (case.x(samples),)
        assert compare_compiled(Trial(case.make(), tuple(arguments), seed, 1e-6), dtype) == ""
