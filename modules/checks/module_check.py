"""Does a module keep the whole contract? The laws that the layers of this package obey, tried on one of your own."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.modes import reads_training
from ..core.module import Module
from ..core.passed_checks import record_passed_check
from ..core.text_table import format_table
from ..engine.sources import PACKAGE
from ..engine.stateful import uncompiled
from ..engine.trace import PrecisionError
from .diagnosis import diagnoses
from .gradient_check import arguments_of
from .gradient_report import GradientError, plural
from .laws import LAWS, Law, Trial, compiled

WIDTHS = (10.0, 100.0)  # how many times as large an x may be where saturation and thresholds begin
WIDE = "gradients at large x"


@dataclass(frozen=True)
class Finding:
    """One law and what was found: `problems` in words, and `notes` that are no mistakes.

    Right gradients have in `reference` what they were compared with: `the trace of fprop` or `differences`.
    """

    law: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reference: str = ""


@dataclass(frozen=True)
class ModuleReport:
    """The outcome of `check_module`: `ok`, and a Finding for each law."""

    title: str
    findings: tuple[Finding, ...]
    left: int = 0  # laws that were not tried, after one that does not hold

    @property
    def ok(self) -> bool:
        """Whether every law holds."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in sentences."""
        return tuple(problem for finding in self.findings for problem in finding.problems)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is no mistake, but good to know."""
        return tuple(dict.fromkeys(note for finding in self.findings for note in finding.notes))

    @property
    def reference(self) -> str:
        """What right gradients were compared with: `the trace of fprop`, `differences`, or both."""
        return " and ".join(dict.fromkeys(finding.reference for finding in self.findings if finding.reference))

    def raise_if_wrong(self) -> "ModuleReport":
        """This report if all is right, else GradientError (an AssertionError) with it as text."""
        if not self.ok:
            raise GradientError(str(self))
        return self

    def __str__(self) -> str:
        rows = [
            (
                f"{finding.law}, beside {finding.reference}" if finding.reference else finding.law,
                "WRONG" if finding.problems else "ok",
            )
            for finding in self.findings
        ]
        lines = [f"Laws of {self.title}", *(f"  {line}" for line in format_table(rows))]
        lines += [f"  problem: {text}" for text in self.problems]
        lines += [f"  note: {note}" for note in self.notes]
        broken = sum(bool(finding.problems) for finding in self.findings)
        left = f"; {plural(self.left, 'law')} not tried (every_law=True tries them)" if self.left else ""
        verdict = f"wrong: {plural(broken, 'law')}{left}" if broken else f"right: {plural(len(rows), 'law')}"
        return "\n".join([*lines, verdict])

    __repr__ = __str__


def check_module(
    module: Module, x, target=None, *, seed: int = 0, tolerance: float = 1e-6, every_law: bool = False
) -> ModuleReport:
    """Try every law of the module contract on `module` at `x`, up to the first that is broken; it is untouched.

    Gradients against the trace of fprop or differences, in training and in evaluation mode, with what a wrong one looks
    like; arguments and parameters that keep their values; minibatches of one and of other sizes; float32 and float64;
    memory layout; output_shape; random numbers; saving; needs_grad_x and accumulate: all that as plain Python, so that
    a mistake is found before anything is compiled. Last, that the compiled module does the same.

    Args: x: the input, real data or random numbers; at least 3 samples tell most, and an odd number of features whether
        a loop reaches the last. target: for a loss, and only for a loss, whose x is the net's output y. tolerance:
        largest relative error of a gradient. every_law: whether to go on after the first broken law.
    Returns a ModuleReport: print it, ask `.ok`, or call `.raise_if_wrong()` in a test.
    Numerics: an x where no derivative exists is a note and no mistake, if bprop gives a value between both sides.
    """
    arguments = arguments_of("check_module", module, x, target)
    report = examine(module, arguments, seed=seed, tolerance=tolerance, every_law=every_law)
    if report.ok:
        record_passed_check(module)
    return report


def examine(
    module: Module,
    arguments: tuple,
    *,
    laws: tuple[Law, ...] = LAWS,
    seed: int = 0,
    tolerance: float = 1e-6,
    every_law: bool = False,
    compiles: bool = False,
) -> ModuleReport:
    """The report of `check_module` for the arguments of fprop: the gradients and, if they are right, some laws.

    Args: compiles: whether the gradients are those of compiled code, which is quicker for what was compiled before.
    """
    trial = Trial(module, tuple(np.array(argument) for argument in arguments), seed, tolerance)
    findings, left = [], 0
    for finding in findings_of(trial, laws, compiles):
        findings.append(finding)
        if finding.problems and not every_law:  # the others would often only say it again
            left = len(laws) - sum(f.law in map(title_of, laws) for f in findings)
            break
    shapes = " and ".join(str(a.shape) for a in trial.arguments)
    return ModuleReport(f"{one_line(module)}, {shapes}", tuple(findings), left)


def findings_of(trial: Trial, laws: tuple[Law, ...], compiles: bool) -> Iterator[Finding]:
    """One finding after the other, those of plain Python first; what is not asked for is not tried."""
    with nullcontext() if compiles else uncompiled():
        first = [*gradient_findings(trial)]
    yield from first
    if laws and not any(finding.problems for finding in first):
        with uncompiled():
            more = [*further_findings(trial)]
        yield from more
    for law in laws:
        with nullcontext() if law is compiled else uncompiled():
            finding = law_finding(trial, law)
        yield finding


def title_of(law: Law) -> str:
    """A law in words."""
    return law.__doc__ or law.__name__


def one_line(module: Module) -> str:
    """The module as a line; one that says nothing of itself by what is in it."""
    return module.outline() if module._modules and not module.extra_repr() else module.label()


def law_finding(trial: Trial, law: Law) -> Finding:
    """What a law says of the module."""
    return Finding(title_of(law), *found(lambda: [law(trial)]))


def found(ask: Callable[[], list[str]]) -> tuple[tuple[str, ...]]:
    """What a question finds wrong; an exception of the module's is an answer, too."""
    try:
        return (tuple(text for text in ask() if text),)
    except (OSError, MemoryError):  # of the machine, not of the module
        raise
    except Exception as error:
        return ((raised(error),),)


def raised(error: Exception) -> str:
    """An exception as a sentence, and what it looks like."""
    text = f"raises {type(error).__name__}: {error}"
    if own := [frame for frame in traceback.extract_tb(error.__traceback__) if is_own_file(frame.filename)]:
        text += f" ({Path(own[-1].filename).name}, line {own[-1].lineno})"
    if "broadcast" in str(error) or ("has shape" in str(error) and "grad_" in str(error)):
        text += " (is a gradient not summed over the batch, or transposed?)"
    elif "float64" in str(error) and (isinstance(error, PrecisionError) or "where plain Python" in str(error)):
        text += " (float64 leaks into a float32 step)"
    return text


def is_own_file(name: str) -> bool:
    """Whether a file belongs neither to this package nor to an installed one, nor is a compiled plan."""
    path = Path(name)
    others = PACKAGE in path.parents or "site-packages" in path.parts or path.stem.startswith("plan_")
    return path.is_file() and not others


def gradient_findings(trial: Trial) -> Iterator[Finding]:
    """The gradients in training; if they are right, those of one sample, and in evaluation if code asks for it."""
    training = replace(trial, module=trial.module.copy().train())
    first = gradient_finding(training, "gradients in training")
    yield first
    if first.problems:
        return
    if not refused(alone := replace(training, arguments=trial.rows([0]))):
        yield gradient_finding(alone, "gradients of a minibatch of one sample", "with one sample only: ")
    if any(reads_training(inside) for inside in trial.module.all_modules()):
        evaluation = replace(trial, module=trial.module.copy().eval())
        yield gradient_finding(evaluation, "gradients in evaluation", "in evaluation mode only: ")


def further_findings(trial: Trial) -> Iterator[Finding]:
    """The gradients where normal numbers do not go, and of parameters that have changed since the module was made."""
    if trial.x.dtype.kind == "f":
        yield merged([wide_finding(trial, width) for width in WIDTHS])
    if trial.module.flat_parameters.size:
        used = trial.copy()
        with suppress(Exception):
            trial.run(used)
        used.flat_parameters[...] *= 1.1
        name = "gradients after a change of the parameters"
        when = "after a change of the parameters only (is something computed from them once and kept?): "
        yield gradient_finding(replace(trial, module=used), name, when)


def wide_finding(trial: Trial, width: float) -> Finding:
    """The gradients for x some times as wide; nothing where the module does not give numbers."""
    x = width * trial.x
    wide = replace(trial, module=trial.module.copy().train(), arguments=(x, *trial.arguments[1:]))
    with np.errstate(all="ignore"):
        try:
            results = wide.run(wide.copy())
        except Exception:  # it refuses such numbers
            return Finding(WIDE)
    if not all(np.isfinite(array).all() for array in results.values() if array.dtype.kind == "f"):
        return Finding(WIDE)
    return gradient_finding(wide, WIDE, f"with {width:g} times as large an x only: ")


def merged(findings: list[Finding]) -> Finding:
    """The first finding with problems, or one without."""
    return next((finding for finding in findings if finding.problems), Finding(WIDE))


def refused(trial: Trial) -> bool:
    """Whether the module refuses these arguments."""
    try:
        trial.copy().fprop(*trial.arguments)
    except ValueError:
        return True
    except Exception:  # which the check will meet again, and report
        return False
    return False


def gradient_finding(trial: Trial, name: str, when: str = "") -> Finding:
    """What the gradient check finds, in words."""
    notes: list[str] = []
    references: list[str] = []

    def ask() -> list[str]:
        report = trial.gradients()
        if not report.ok:
            return [when + text for text in diagnoses(trial, report)]
        notes.extend(report.notes)
        traced = not report.reference.startswith("differences")
        if report.entries and not report.notes:
            references.append("the trace of fprop" if traced else "differences")
        if report.reference.startswith(("differences", "nothing")) and not report.notes:
            notes.append(f"gradients beside {report.reference}")
        return []

    return Finding(name, *found(ask), tuple(notes), "".join(references))
