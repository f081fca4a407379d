"""The table of modules and losses that every contract check runs on: adding a layer costs one row.

Each file of this folder holds the rows of a family, lists MODULES and LOSSES, each row with its reference.
"""

import importlib
import pkgutil

from .case import Case, LossCase

FAMILIES = [importlib.import_module(f".{module.name}", __name__) for module in pkgutil.iter_modules(__path__)]
MODULES: list[Case] = [case for family in FAMILIES for case in getattr(family, "MODULES", [])]
LOSSES: list[LossCase] = [case for family in FAMILIES for case in getattr(family, "LOSSES", [])]
