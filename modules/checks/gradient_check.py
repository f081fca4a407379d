"""The gradient check: a hand-written bprop against the derivative of fprop, in float64.

The derivative comes from the evaluation trace of fprop, or from central differences where fprop cannot be traced or the
trace does not agree. Differences are taken along random directions first: three comparisons judge an array of any size.
Only where one fails are single elements compared, to name the worst.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from ..core.module import Module
from ..core.passed_checks import record_passed_check
from ..core.type_errors import describe_wrong_type
from ..engine.tables import map_table, shape_of
from ..losses.loss import Loss
from .gradient_reference import Reference, find_reference
from .gradient_report import GradientEntry, GradientReport, classify_mismatch
from .gradient_subject import STEP, Subject
from .nondifferentiable_points import NOTE, is_nondifferentiable

STREAM = 7919  # grad_y must not repeat an x from default_rng(0): where they are equal, transposed gradients pass
ELEMENTS = 1024  # looked at one by one; a larger array is halved first, towards the greater discrepancy


def check_gradients(
    module: Module, x, target=None, *, directions: int = 3, tolerance: float = 1e-6, seed: int = 0
) -> GradientReport:
    """Compare the gradients of `module` at `x` with those of fprop, on a float64 copy; the module is untouched.

        grad_p        against   ∂<grad_y, y>/∂p by the evaluation trace of fprop, to rounding error (1e-10), or else
        <grad_p, v>   against   <grad_y, y(p + h v) - y(p - h v)> / 2h

    for p the input and each parameter, grad_y random and v random unit directions; the report says which. It also
    checks that grad_x has the shape of x, that bprop adds to the gradients of parameters (run twice, they double), that
    both runs agree, and that x, grad_y and the parameters keep their values.

    Args: x: the input, or a table of inputs, which must give a finite y; whole numbers that are labels are not
            differentiated.
        target: for a loss, and only for a loss, whose x is the model's output y.
        directions, tolerance: of differences, how many for each array and the largest relative error (1e-9 is usual).
        seed: of grad_y and the directions.
    Returns a GradientReport: print it, ask `.ok`, or call `.raise_if_wrong()` in a test. The same arguments give the
    same report. Dropout and its like are checked with the same random numbers in every run.
    Numerics: a step across a kink (ReLU at 0) is repeated with a smaller step, so a random x is not accused. An element
        exactly on a kink, where no derivative exists, is a note and no mistake if bprop gives a value between both
        sides. Gradients that are zero but for rounding are compared on the scale of the terms that cancel in them.
    Source: Goodfellow et al., Deep Learning, section 11.5 (eq. 11.5 to 11.8), the checkers of torch/nn and autograd;
        Bishop and Bishop, Deep Learning, section 8.2.
    """
    arguments = as_arguments("check_gradients", module, x, target)
    report = compare_excusing_kinks(module, arguments, directions=directions, tolerance=tolerance, seed=seed)
    if report.ok:
        record_passed_check(module)
    return report


def as_arguments(who: str, module: Module, x, target) -> tuple:
    """The arguments of the module's fprop; TypeError for what is no module, and for a target without a loss."""
    if not isinstance(module, Module):
        raise TypeError(f"{who}: got {describe_wrong_type(module, 'a Module')}")
    if isinstance(module, Loss) != (target is not None):
        reason = "a loss needs a target" if target is None else "only a loss takes a target"
        raise TypeError(f"{who}: {module.label()} with target={target!r:.20}: {reason}")
    return (x,) if target is None else (x, target)


def compare_excusing_kinks(module: Module, arguments: tuple, *, seed: int = 0, **settings) -> GradientReport:
    """The report of `check_gradients` for the arguments of fprop; a non-differentiable point is no mistake."""
    for elements in (1, ELEMENTS) if module.children() else (ELEMENTS,):  # a model at a kink is soon known
        report = compare_gradients(module, arguments, seed=seed, elements=elements, **settings)
        if report.ok:
            return report
        subject = Subject(module, arguments, np.random.default_rng((STREAM, seed)))
        again = partial(compare_gradients, seed=seed, elements=elements, **settings)
        if is_nondifferentiable(subject, report, (STREAM, seed, 1), again):
            excused = tuple(
                entry if entry.ok else replace(entry, ok=True, hint="(at a kink)", mismatch=None)
                for entry in report.entries
            )
            return replace(report, entries=excused, notes=(NOTE,))
    return report


def compare_gradients(
    module: Module,
    arguments: tuple,
    *,
    directions: int = 3,
    tolerance: float = 1e-6,
    seed: int = 0,
    elements: int = ELEMENTS,
) -> GradientReport:
    """The report of `compare_excusing_kinks` without regard to kinks, by `elements` of a wrong array."""
    subject = Subject(module, arguments, np.random.default_rng((STREAM, seed)))
    problems, wrong_shape = subject.run()
    entries = [wrong_shape] if wrong_shape else []
    reference = find_reference(subject)
    for name, array, gradient in subject.pairs if reference.judges else []:
        entries.append(check_array(subject, reference, name, array, gradient, directions, tolerance, elements))
    inside = f", {len(module.children())} modules" if module.children() else ""
    shapes = " and ".join(str(shape_of(map_table(np.asarray, argument))) for argument in arguments)
    title = f"{module.label()}{inside}, {shapes} in float64"
    return GradientReport(
        title,
        tolerance,
        tuple(entries),
        tuple(problems),
        reference.description if entries or not reference.judges else "",
    )


def check_array(
    subject: Subject, reference: Reference, name, array, gradient, directions, tolerance, elements
) -> GradientEntry:
    """The entry of one array: beside the trace or, should that fail, along random directions, then by elements."""
    if array.size == 0:
        return GradientEntry(name, array.shape, None, 0.0, 0.0, 0.0, True)
    beside_trace = reference.error(subject, name, array, gradient)
    if beside_trace is not None and beside_trace.ok:
        return beside_trace
    trials = [subject.compare(array, gradient, subject.direction(array.shape), tolerance) for _ in range(directions)]
    error, analytic, numeric = max(trials)
    if error <= tolerance:
        hint = "" if beside_trace is None else f"(by differences; {beside_trace.error:.1e} from the trace)"
        return GradientEntry(name, array.shape, None, analytic, numeric, error, True, hint)
    return find_worst_element(subject, name, array, gradient, tolerance, elements)


def find_worst_element(subject: Subject, name, array, gradient, tolerance, elements) -> GradientEntry:
    """The entry of an array that failed, with its worst element."""
    indices = np.arange(array.size)
    while indices.size > elements:
        halves = np.array_split(indices, 2)
        trials = [subject.derivatives(array, gradient, subject.direction(array.shape, h), STEP) for h in halves]
        indices = halves[int(np.argmax([abs(analytic - numeric) for analytic, numeric in trials]))]
    results = []
    for index in indices:
        unit = np.zeros(array.size)
        unit[index] = 1
        results.append(subject.compare(array, gradient, unit.reshape(array.shape), tolerance))
    k = int(np.argmax([error for error, _, _ in results]))
    error, analytic, numeric = results[k]
    place = tuple(int(i) for i in np.unravel_index(indices[k], array.shape))
    ok = indices.size == array.size and error <= tolerance
    across = gradient.reshape(array.shape[::-1]).T.ravel()[indices] if array.ndim == 2 else None
    right = np.array([n for _, _, n in results])
    mismatch = None if ok else classify_mismatch(gradient.ravel()[indices], right, across)
    if mismatch and indices.size == array.size:
        mismatch = replace(mismatch, actual=gradient.copy(), right=right.reshape(array.shape))
    text = str(mismatch) if mismatch and (mismatch.kind != "elements" or indices.size == array.size) else ""
    return GradientEntry(name, array.shape, place, analytic, numeric, error, ok, text, mismatch)
