"""The reference of a gradient check: the derivative of fprop by its evaluation trace.

It is exact to rounding, where it exists; what it does not confirm is left to differences, so that code which cannot be
traced, or whose derivative is ill-conditioned as it is written, is not accused.
"""

from dataclasses import dataclass

import numpy as np

from ..engine.tables import flatten_table
from .gradient_report import GradientEntry
from .gradient_subject import FLOOR, Subject

ROUNDING = 1e-10  # of a gradient's largest element: farther from the trace than this, differences decide


@dataclass(frozen=True)
class Reference:
    """The gradients of a trace by name, and in words what the module is compared with: `the trace of fprop`, or
    `differences: ` and why; `judges` is False for an estimate, which is to be compared with neither."""

    gradients: dict[str, np.ndarray]
    description: str
    judges: bool = True

    def error(self, subject: Subject, name: str, array: np.ndarray, gradient: np.ndarray) -> GradientEntry | None:
        """Compare an array; the entry has its worst element. None where the trace is not finite."""
        right = self.gradients.get(name)
        if right is None or not array.size or not np.isfinite(right).all():
            return None
        scale = max(1.0, float(np.sqrt(np.mean(array**2))))
        size = max(float(np.abs(right).max()), FLOOR * subject.size / scale, 1e-300)
        errors = np.nan_to_num(np.abs(gradient - right) / size, nan=np.inf, posinf=np.inf)
        worst = tuple(int(k) for k in np.unravel_index(int(errors.argmax()), array.shape))
        error = float(errors[worst])
        analytic, expected = float(gradient[worst]), float(right[worst])
        ok = error <= ROUNDING or error * size <= subject.estimate_allowance(name)
        return GradientEntry(name, array.shape, worst, analytic, expected, error, ok)


def find_reference(subject: Subject) -> Reference:
    """Derive the subject's fprop by its trace; without gradients, and with the reason, where that fails."""
    from ..autodiff import derive
    from ..autodiff.derived import is_derived

    estimates = [inside.label() for inside in subject.module.all_modules() if inside.estimates]
    if estimates:
        return Reference({}, f"nothing: {' and '.join(estimates)} estimates the gradient by design", judges=False)
    without = [inside.label() for inside in subject.module.all_modules() if is_derived(inside)]
    if without:
        return Reference({}, f"differences: the trace is what {' and '.join(without)} has for a bprop")
    subject.rewind()
    try:
        derived = derive(subject.module, *subject.arguments)
    except Exception as error:  # whatever an fprop does with numbers that are no floats, differences can do without
        return Reference({}, f"differences: {error}")
    y, traced = subject.y(), np.concatenate([np.ravel(each) for each in flatten_table(derived.y)])
    largest = float(np.abs(y[np.isfinite(y)]).max(initial=0.0))
    if not np.allclose(traced, y.ravel(), rtol=1e-9, atol=1e-9 * largest, equal_nan=True):
        return Reference({}, "differences: fprop in plain Python gives another y")
    return Reference(derived.bprop(subject.seed), "the trace of fprop")
