"""Non-differentiable points (kinks), such as 0 for |x|, where a gradient check must not accuse a bprop."""

from collections.abc import Callable

import numpy as np

from ..core.module import Module
from ..engine.tables import map_table
from .gradient_report import GradientEntry, GradientReport
from .gradient_subject import Subject

SIDES = 1e-6  # how far beside a kink its two derivatives are taken
NOTE = "no derivative exists at this x; beside it all is right"


def is_nondifferentiable(
    subject: Subject, report: GradientReport, seed, check: Callable[[Module, tuple], GradientReport]
) -> bool:
    """Whether no derivative exists here and all is right nearby: then bprop may choose any one-sided derivative.

    Args: subject: a new one, as `report` was made of; check: makes the report of a module at other arguments.
    """
    wrong = [entry for entry in report.entries if not entry.ok]
    if report.problems or any(entry.index is None for entry in wrong):
        return False
    subject.run()
    arrays = {name: array for name, array, _ in subject.pairs}
    if not all(is_between_one_sided(subject, arrays[entry.name], entry) for entry in wrong):
        return False
    subject.rewind()
    random, module = np.random.default_rng(seed), subject.module.copy()
    module.flat_parameters[...] = perturb(module.flat_parameters, random)
    x, *others = subject.arguments
    return check(module, (map_table(lambda array: perturb(array, random), x), *others)).ok


def is_between_one_sided(subject: Subject, array: np.ndarray, entry: GradientEntry) -> bool:
    """Whether the one-sided derivatives at an element differ, and bprop's lies between them.

    A model, or a module whose windows overlap, may have several kinks at one point, and choose a side at each:
    then they only need to differ.
    """
    middle, y, sides = array[entry.index], subject.y(), []
    step = SIDES * max(1.0, float(np.abs(array).max()))
    for side in (-step, step):
        array[entry.index] = middle + side
        sides.append(float(np.vdot(subject.grad_y, subject.y() - y)) / side)
    array[entry.index] = middle
    gap = abs(sides[1] - sides[0])
    between = min(sides) - 1e-3 * gap <= entry.analytic <= max(sides) + 1e-3 * gap
    several = bool(subject.module.children()) or subject.module.kinks_meet
    return gap > 1e-3 * max(map(abs, sides)) and (between or several)


def perturb(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Perturb an array by small random changes, off every kink."""
    if array.size == 0 or array.dtype.kind != "f":
        return array
    return array + 1e-2 * np.sqrt(np.mean(array**2) + 1e-4) * random.standard_normal(array.shape)
