"""The module check: all contract checks that the layers of this package pass, applied to a custom module."""

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
from ..engine.tables import map_table, shape_of
from ..engine.trace import PrecisionError
from .contract_checks import CONTRACT_CHECKS, ContractCheck, Trial, check_compiled
from .diagnosis import ROOTS, diagnose_report
from .gradient_check import as_arguments
from .gradient_report import GradientError, format_count

WIDTHS = (10.0, 100.0)  # how many times as large an x may be where saturation and thresholds begin
WIDE = "gradients at large x"


@dataclass(frozen=True)
class Finding:
    """The result of one contract check: `problems` in words, and `notes` that are no mistakes.

    Right gradients have in `reference` what they were compared with: `the trace of fprop` or `differences`.
    """

    law: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reference: str = ""


@dataclass(frozen=True)
class ModuleReport:
    """The result of `check_module`: `ok`, and a Finding for each contract check.

    Args: title: of the printed report; findings: of the checks that ran; left: how many did not, after one that failed.
    Errors: GradientError from `raise_if_wrong()`, with the report as its message.
    """

    title: str
    findings: tuple[Finding, ...]
    left: int = 0  # checks that were not tried, after one that failed

    @property
    def ok(self) -> bool:
        """Whether every check passes."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in sentences."""
        return tuple(problem for finding in self.findings for problem in finding.problems)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks that are no mistakes."""
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
        lines = [f"Contract of {self.title}", *(f"  {line}" for line in format_table(rows))]
        lines += [f"  problem: {text}" for text in self.problems]
        lines += [f"  note: {note}" for note in self.notes]
        broken = sum(bool(finding.problems) for finding in self.findings)
        left = f"; {format_count(self.left, 'check')} not tried (every_law=True tries them)" if self.left else ""
        verdict = (
            f"wrong: {format_count(broken, 'check')}{left}" if broken else f"right: {format_count(len(rows), 'check')}"
        )
        return "\n".join([*lines, verdict])

    __repr__ = __str__


def check_module(
    module: Module, x, target=None, *, seed: int = 0, tolerance: float = 1e-6, every_law: bool = False
) -> ModuleReport:
    """Run all contract checks on copies of `module` at `x`, up to the first that fails.

    Gradients against the trace of fprop or differences, in training and in evaluation mode, with what a wrong one looks
    like; arguments and parameters that keep their values; minibatches of one and of other sizes; float32 and float64;
    memory layout; output_shape; random numbers; saving; needs_grad_x, needs_grad_parameters and accumulate: all that
    as plain Python, so that a mistake is found before anything is compiled. Last, that the compiled one does the same.

    Args: x: the input, real data or random numbers; at least 3 samples tell most, and an odd number of features whether
        a loop reaches the last. target: for a loss, and only for a loss, whose x is the model's output y. tolerance:
        largest relative error of a gradient. every_law: whether to go on after the first failed check. seed: of the
        random numbers.
    Returns a ModuleReport: print it, ask `.ok`, or call `.raise_if_wrong()` in a test.
    Numerics: an x where no derivative exists is a note and no mistake, if bprop gives a value between both sides.
    """
    arguments = as_arguments("check_module", module, x, target)
    report = examine(module, arguments, seed=seed, tolerance=tolerance, every_law=every_law)
    if report.ok:
        record_passed_check(module)
    return report


def examine(
    module: Module,
    arguments: tuple,
    *,
    checks: tuple[ContractCheck, ...] = CONTRACT_CHECKS,
    seed: int = 0,
    tolerance: float = 1e-6,
    every_law: bool = False,
    compiles: bool = False,
) -> ModuleReport:
    """Make the report of `check_module` for the arguments of fprop: the gradients and, if they are right, some checks.

    Args: compiles: whether the gradients are those of compiled code, which is quicker for what was compiled before.
    """
    trial = Trial(module, tuple(map_table(np.array, argument) for argument in arguments), seed, tolerance)
    findings, left = [], 0
    for finding in iterate_findings(trial, checks, compiles):
        findings.append(finding)
        if finding.problems and not every_law:  # the others would often only say it again
            left = len(checks) - sum(f.law in map(get_title, checks) for f in findings)
            break
    shapes = " and ".join(str(shape_of(a)) for a in trial.arguments)
    return ModuleReport(f"{format_module(module)}, {shapes}", tuple(findings), left)


def iterate_findings(trial: Trial, checks: tuple[ContractCheck, ...], compiles: bool) -> Iterator[Finding]:
    """One finding after the other, lazily, those of plain Python first."""
    with nullcontext() if compiles else uncompiled():
        first = [*iterate_gradient_findings(trial)]
    yield from first
    if checks and not any(finding.problems for finding in first):
        with uncompiled():
            more = [*iterate_further_findings(trial)]
        yield from more
    for check in checks:
        with nullcontext() if check is check_compiled else uncompiled():
            finding = run_contract_check(trial, check)
        yield finding


def get_title(check: ContractCheck) -> str:
    """Get the title of a contract check: its docstring."""
    return check.__doc__ or check.__name__


def format_module(module: Module) -> str:
    """Format the module in one line: its label, or the outline of a container without settings."""
    return module.outline() if module._modules and not module.extra_repr() else module.label()


def run_contract_check(trial: Trial, check: ContractCheck) -> Finding:
    """Run one contract check."""
    return Finding(get_title(check), *collect_problems(lambda: [check(trial)]))


def collect_problems(ask: Callable[[], list[str]]) -> tuple[tuple[str, ...]]:
    """Run a check; returns its problems, among them an exception of the module."""
    try:
        return (tuple(text for text in ask() if text),)
    except (OSError, MemoryError):  # of the machine, not of the module
        raise
    except Exception as error:
        return ((describe_exception(error),),)


def describe_exception(error: Exception) -> str:
    """Describe an exception in a sentence, with its likely cause."""
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


def iterate_gradient_findings(trial: Trial) -> Iterator[Finding]:
    """The gradients in training; if right, those of one sample, and those in evaluation if a method reads the mode."""
    training = replace(trial, module=trial.module.copy().train())
    first = check_gradient_contract(training, "gradients in training")
    yield first
    if first.problems:
        return
    if not refuses_arguments(alone := replace(training, arguments=trial.rows([0]))):
        yield check_gradient_contract(alone, "gradients of a minibatch of one sample", "with one sample only: ")
    if any(reads_training(inside) for inside in trial.module.all_modules()):
        evaluation = replace(trial, module=trial.module.copy().eval())
        yield check_gradient_contract(evaluation, "gradients in evaluation", "in evaluation mode only: ")


def iterate_further_findings(trial: Trial) -> Iterator[Finding]:
    """The gradients for large x, and after a change of the parameters."""
    if trial.x.dtype.kind == "f":
        yield merge_findings([check_wide_input(trial, width) for width in WIDTHS])
    if trial.module.flat_parameters.size:
        used = trial.copy()
        with suppress(Exception):
            trial.run(used)
        used.flat_parameters[...] *= 1.1
        finding = check_gradient_contract(replace(trial, module=used), "gradients after a change of the parameters")
        yield replace(finding, problems=tuple(map(describe_change, finding.problems)))


def describe_change(problem: str) -> str:
    """Describe a problem that only a change of the parameters shows: perhaps something is computed once."""
    if problem.startswith(ROOTS):  # such as `x *= self.scale` with a scale that begins as 1
        return f"{problem} (this shows after a change of the parameters only)"
    return f"after a change of the parameters only (is something computed from them once and kept?): {problem}"


def check_wide_input(trial: Trial, width: float) -> Finding:
    """Check the gradients for an x multiplied by `width`; no problem where the results are not finite."""
    x = width * trial.x
    wide = replace(trial, module=trial.module.copy().train(), arguments=(x, *trial.arguments[1:]))
    with np.errstate(all="ignore"):
        try:
            results = wide.run(wide.copy())
        except Exception:  # it refuses such numbers
            return Finding(WIDE)
    if not all(np.isfinite(array).all() for array in results.values() if array.dtype.kind == "f"):
        return Finding(WIDE)
    return check_gradient_contract(wide, WIDE, f"with {width:g} times as large an x only: ")


def merge_findings(findings: list[Finding]) -> Finding:
    """The first finding with problems, or one without."""
    return next((finding for finding in findings if finding.problems), Finding(WIDE))


def refuses_arguments(trial: Trial) -> bool:
    """Whether the module rejects these arguments."""
    try:
        trial.copy().fprop(*trial.arguments)
    except ValueError:
        return True
    except Exception:  # which the check will meet again, and report
        return False
    return False


def check_gradient_contract(trial: Trial, name: str, when: str = "") -> Finding:
    """The finding of the gradient check, with a diagnosis of what is wrong."""
    notes: list[str] = []
    references: list[str] = []

    def ask() -> list[str]:
        report = trial.gradients()
        if not report.ok:
            return [when + text for text in diagnose_report(trial, report)]
        notes.extend(report.notes)
        traced = not report.reference.startswith("differences")
        if report.entries and not report.notes:
            references.append("the trace of fprop" if traced else "differences")
        if report.reference.startswith(("differences", "nothing")) and not report.notes:
            notes.append(f"gradients beside {report.reference}")
        return []

    return Finding(name, *collect_problems(ask), tuple(notes), "".join(references))
