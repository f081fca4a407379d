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
        rows.append(
            pytest.param(case, id=case.name, marks=pytest.mark.slow if classes <= covered else pytest.mark.quick)
        )
        covered |= classes
    return rows


def mark_rows_of_types(cases: list) -> list:
    """(row, dtype) as parameters, in both types; what is always run is in float32."""
    parameters = []
    for row in mark_rows(cases):
        (case,) = row.values
        parameters.append(pytest.param(case, "float32", id=f"{case.name}-float32", marks=row.marks))
        parameters.append(pytest.param(case, "float64", id=f"{case.name}-float64", marks=pytest.mark.slow))
    return parameters
