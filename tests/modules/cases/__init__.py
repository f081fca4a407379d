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
    """The rows as parameters of a test that compiles: the first row with a pair of passes is always run, others with
    --all. Activations, for example, share both passes and differ in functions of numbers."""
    rows, covered = [], set()
    for case in cases:
        passes = {(type(module).fprop, type(module).bprop) for module in case.make().all_modules()}
        mark = pytest.mark.slow if passes <= covered else pytest.mark.quick
        rows.append(pytest.param(case, id=case.name, marks=mark))
        covered |= passes
    return rows
