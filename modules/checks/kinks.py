"""Points where no derivative exists, such as 0 for |x|: no bprop can be right there, and none is wrong."""

from collections.abc import Callable

import numpy as np

from ..core.module import Module
from ..engine.tables import changed
from .gradient_report import GradientEntry, GradientReport
from .gradient_subject import Subject

SIDES = 1e-6  # how far beside a kink its two derivatives are taken
NOTE = "no derivative exists at this x; beside it all is right"


def at_kink(subject: Subject, report: GradientReport, seed, check: Callable[[Module, tuple], GradientReport]) -> bool:
    """Whether no derivative exists here and all is right beside it: then bprop may choose between both sides.

    Args: subject: a new one, as `report` was made of; check: makes the report of a module at other arguments.
    """
    wrong = [entry for entry in report.entries if not entry.ok]
    if report.problems or any(entry.index is None for entry in wrong):
        return False
    subject.run()
    arrays = {name: array for name, array, _ in subject.pairs}
    if not all(between_sides(subject, arrays[entry.name], entry) for entry in wrong):
        return False
    subject.rewind()
    random, module = np.random.default_rng(seed), subject.module.copy()
    module.flat_parameters[...] = beside(module.flat_parameters, random)
    x, *others = subject.arguments
    return check(module, (changed(lambda array: beside(array, random), x), *others)).ok


def between_sides(subject: Subject, array: np.ndarray, entry: GradientEntry) -> bool:
    """Whether the derivatives to the left and to the right of an element differ, and bprop's is one between them.

    A net, or a module whose windows overlap, may meet several kinks at once, and choose a side at each for itself: then
    they need but differ.
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


def beside(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """An array nearby, off every kink."""
    if array.size == 0 or array.dtype.kind != "f":
        return array
    return array + 1e-2 * np.sqrt(np.mean(array**2) + 1e-4) * random.standard_normal(array.shape)
