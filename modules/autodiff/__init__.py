"""Automatic differentiation of plain NumPy code, to teach and to check with; training never uses it.

`derive` differentiates an fprop by an evaluation trace, `Dual` numbers carry a tangent along (`trace_duals` writes
such a run down), `Formula` differentiates by SymPy, `differences` has finite differences and the complex step;
`compare_derivatives` puts them side by side. Derivatives of models made of modules are in `modules/derivatives`.
"""

from .comparison import DerivativeComparison, compare_derivatives
from .derive import Derivation, derive
from .derived import derived
from .differences import central_difference, complex_step, difference_errors, forward_difference
from .dual import Dual, derivative, duals, tangents_of
from .dual_run import DualRun, trace_duals
from .rules import Untraceable
from .second_order import hessian_times
from .symbolic import Formula

__all__ = [
    "Derivation",
    "DerivativeComparison",
    "Dual",
    "DualRun",
    "Formula",
    "Untraceable",
    "central_difference",
    "compare_derivatives",
    "complex_step",
    "derivative",
    "derive",
    "derived",
    "difference_errors",
    "duals",
    "forward_difference",
    "hessian_times",
    "tangents_of",
    "trace_duals",
]
