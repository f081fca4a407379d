"""The table of modules and losses that every contract check runs on: adding a layer costs one row.

Each file of this folder holds the rows of a family, lists MODULES and LOSSES, each row with its reference.
"""

import importlib
import pkgutil

import pytest

from .case import Case, LossCase

FAMILIES = [importlib.import_module(f".{module.name}", __name__) for module in pkgutil.iter_modules(__path__)]
MODULES: list[Case] = [case for family in FAMILIES for case in getattr(family, "MODULES", [])]
LOSSES: list[LossCase] = [case for family in FAMILIES for case in getattr(family, "LOSSES", [])]


def mark_rows(cases: list) -> list:
    """The rows as parameters of a test that compiles: the first row of each class is always run, others with --all."""
    rows, covered = [], set()
    for case in cases:
        classes = {type(module) for module in case.make().all_modules()}
        mark = pytest.mark.slow if classes <= covered else pytest.mark.quick
        rows.append(pytest.param(case, id=case.name, marks=mark))
        covered |= classes
    return rows
