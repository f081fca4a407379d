"""Compiled code of every layer and container computes what plain Python does; other tests of modules rely on that.

The first row of each class runs in float32 each time, all rows in both types with --all. Rows of images, of activations
and of losses have files of their own, so that several processes share them.
"""

import pytest

from ..cases import MODULES, mark_rows, mark_rows_of_types, select_rows
from .compiled_rows import ACTIVATIONS, IMAGES, check_allocations, check_compiled

pytestmark = [pytest.mark.jit, pytest.mark.compiled]
ROWS = [case for case in MODULES if case not in select_rows(*IMAGES, *ACTIVATIONS)]


@pytest.mark.parametrize(("case", "dtype"), mark_rows_of_types(ROWS, MODULES))
def test_compiled_equals_plain_python(case, dtype):
    check_compiled(case, dtype)


@pytest.mark.parametrize("case", mark_rows(ROWS, MODULES))
def test_a_module_allocates_nothing(case, allocations):
    check_allocations(case, allocations)
