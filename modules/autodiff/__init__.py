"""Automatic differentiation of plain NumPy code, to teach and to check with; training never uses it.

`derive` differentiates an fprop by an evaluation trace, `Dual` numbers carry a tangent along, `differences` has
finite differences and the complex step. Derivatives of models made of modules are in `modules/derivatives`.
"""

from .derive import Derivation, derive
from .derived import derived
from .differences import central_difference, complex_step, difference_errors, forward_difference
from .dual import Dual, derivative, duals, tangents_of
from .rules import Untraceable

__all__ = [
    "Derivation",
    "Dual",
    "Untraceable",
    "central_difference",
    "complex_step",
    "derivative",
    "derive",
    "derived",
    "difference_errors",
    "duals",
    "forward_difference",
    "tangents_of",
]
