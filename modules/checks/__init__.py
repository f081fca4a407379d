"""The gradient check, contract checks, and the diagnosis of likely mistakes in a bprop.

`gradient_check` compares, `gradient_report`, `gradient_patterns`, `likely_mistakes` and `diagnosis` say what a wrong
gradient looks like: a factor, transposed, a missing sum. They read and run modules and change none. Checks of a
single argument are in the class that takes it.
"""

from .gradient_check import check_gradients
from .gradient_report import GradientError, GradientReport
from .module_check import ModuleReport, check_module

__all__ = [
    "GradientError",
    "GradientReport",
    "ModuleReport",
    "check_gradients",
    "check_module",
]
