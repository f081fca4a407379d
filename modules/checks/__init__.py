"""What tells an author what is wrong: the gradient check, contract checks, and the diagnosis of likely mistakes.

They read and run modules and change none. Checks of a single argument are in the class that takes it.
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
