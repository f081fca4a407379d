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


def select_rows(*families: str) -> list[Case]:
    """The rows of MODULES in files of these names."""
    named = [family for family in FAMILIES if family.__name__.rpartition(".")[2] in families]
    assert len(named) == len(families)
    return [case for family in named for case in getattr(family, "MODULES", [])]


def mark_rows(cases: list, among: list | None = None) -> list:
    """The rows as parameters of a test that compiles: the first row of each class is always run, others with --all.

    It is the first `among` those rows, by default the same.
    """
    parameters, covered = {}, set()
    for case in among or cases:
        classes = {type(module) for module in case.make().all_modules()}
        mark = pytest.mark.slow if classes <= covered else pytest.mark.quick
        parameters[case.name] = pytest.param(case, id=case.name, marks=mark)
        covered |= classes
    return [parameters[case.name] for case in cases]


def mark_rows_of_types(cases: list, among: list | None = None) -> list:
    """(row, dtype) as parameters, in both types; what is always run is in float32."""
    parameters = []
    for row in mark_rows(cases, among):
        (case,) = row.values
        parameters.append(pytest.param(case, "float32", id=f"{case.name}-float32", marks=row.marks))
        parameters.append(pytest.param(case, "float64", id=f"{case.name}-float64", marks=pytest.mark.slow))
    return parameters
