"""Compiled code of layers of images and of normalization computes what plain Python does; see test_compiled.py."""

import pytest

from ..cases import MODULES, mark_rows, mark_rows_of_types, select_rows
from .compiled_rows import IMAGES, check_allocations, check_compiled

pytestmark = [pytest.mark.jit, pytest.mark.compiled]
ROWS = select_rows(*IMAGES)


@pytest.mark.parametrize(("case", "dtype"), mark_rows_of_types(ROWS, MODULES))
def test_compiled_equals_plain_python(case, dtype):
    check_compiled(case, dtype)


@pytest.mark.parametrize("case", mark_rows(ROWS, MODULES))
def test_a_module_allocates_nothing(case, allocations):
    check_allocations(case, allocations)
