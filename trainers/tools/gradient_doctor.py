"""The gradient doctor: checks each module of a config on its real inputs, then the whole model, in float64.

Custom modules come first and are tried on the whole contract, those of this package on their gradients.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...modules.checks.contract_checks import CONTRACT_CHECKS, is_close
from ...modules.checks.gradient_report import GradientError, format_count
from ...modules.checks.module_check import Finding, ModuleReport, collect_problems, examine, format_module
from ...modules.checks.rounding import estimate_allowances, scale_to_precision
from ...modules.containers.sequential import Sequential
from ...modules.core.internal_op import InternalOp
from ...modules.core.module import Module
from ...modules.core.passed_checks import find_custom_classes, record_passed_check
from ...modules.core.text_table import format_table
from ...modules.engine.stateful import plain_python, uncompiled
from ...modules.losses.loss import Loss
from ..configs import Config
from ..optimizers import SGD
from ..rules import Rule
from ..training.alignment import Alignment, compute_angle
from ..training.compiled_step import CompiledStep
from .config_in_float64 import build_in_float64

CLAIMED = 2e-3  # relative size by which a rule that claims the gradient may differ: 0.1 degrees


@dataclass(frozen=True)
class ConfigReport:
    """The outcome of `check_config`: `ok`, and a ModuleReport by place (`model[1]`, `loss`, `the whole net`...).

    Args: title: of the printed report; reports: by place, in the order in which they were made.
    Errors: GradientError from `raise_if_wrong()`, with the report as its message.
    """

    title: str
    reports: dict[str, ModuleReport]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(report.ok for report in self.reports.values())

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in sentences that begin with the place."""
        return tuple(f"{place}: {text}" for place, report in self.reports.items() for text in report.problems)

    def raise_if_wrong(self) -> "ConfigReport":
        """This report if all is right, else GradientError (an AssertionError) with it as text."""
        if not self.ok:
            raise GradientError(str(self))
        return self

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        places = {
            place: {
                "title": report.title,
                "ok": report.ok,
                "problems": report.problems,
                "notes": report.notes,
                "beside": report.reference,
            }
            for place, report in self.reports.items()
        }
        return {"title": self.title, "ok": self.ok, "places": places}

    def __str__(self) -> str:
        rows = [
            (
                place,
                report.title,
                f"right: {format_count(len(report.findings), 'check')}" if report.ok else "WRONG",
                report.reference and f"beside {report.reference}",
            )
            for place, report in self.reports.items()
        ]
        notes = [f"{place}: {text}" for place, report in self.reports.items() for text in report.notes]
        wrong = [place for place, report in self.reports.items() if not report.ok]
        return "\n".join([
            f"Check of {self.title}",
            *(f"  {line}" for line in format_table(rows)),
            *(f"  problem: {text}" for text in self.problems),
            *(f"  note: {text}" for text in notes),
            f"wrong: {', '.join(wrong)}" if wrong else "right: every module, the whole net, and its training step",
        ])  # fmt: skip

    __repr__ = __str__


def check_config(config: Config, *, seed: int = 0, tolerance: float = 1e-6, every_law: bool = False) -> ConfigReport:
    """Check what a config describes on a minibatch of its training data, and say what is wrong.

    The model is built anew in float64. Each module is tried on the input that it gets there; then the model as a whole,
    and the compiled training step, whose gradients must be those of the modules called by hand. Where a module is
    wrong, the rest would only say so again, and is not tried.

    Args: config: from `load_config` or `parse_config`; tolerance: largest relative error of a gradient; every_law:
        whether to go on after the first contract check that a module fails; seed: of the random numbers.
    Errors: ConfigError, FileNotFoundError: those of building the config and of reading its data.
    """
    net, loss, arguments, source, samples = build_in_float64(config)
    reports = {}
    look = partial(examine, seed=seed, tolerance=tolerance, every_law=every_law)
    for place, module, inputs in record_inputs(net, loss, arguments):
        checks = CONTRACT_CHECKS if find_custom_classes(module) else ()  # in plain Python first, before it is compiled
        reports[place] = look(module, inputs, checks=checks, compiles=not checks)
    if all(report.ok for report in reports.values()):
        reports["the whole net"] = look(net, arguments[:1], checks=(), compiles=True)
        reports["a training step"] = check_step(net.to(config.dtype), loss.to(config.dtype), arguments)
        if (rule := config.build_rule()) is not None:
            reports["the learning rule"] = check_rule(net, loss, rule, arguments)
    report = ConfigReport(f"{source}: {samples}", reports)
    if report.ok:
        record_passed_check(net)
        record_passed_check(loss)
    return report


def record_inputs(net: Module, loss: Loss, arguments) -> list[tuple[str, Module, tuple]]:
    """Record (place, module, arguments) of each module in a forward pass, custom ones first.

    A Sequential is no more than what is in it; the joints of other containers are tried with these.
    """
    runs: dict[str, tuple] = {}
    modules: dict[str, Module] = {}
    copies = net.copy(), loss.copy()
    for root, original, copy in zip(("model", "loss"), (net, loss), copies, strict=True):
        for inside, twin in zip(original.all_modules(), copy.all_modules(), strict=True):
            place = root + twin.path().removeprefix("model")
            modules[place] = inside
            record_first_input(twin, place, runs)
    with plain_python(), np.errstate(all="ignore"), suppress(Exception):  # a module that fails will fail its check
        copies[1].fprop(copies[0].fprop(arguments[0]), arguments[1])
    records = [(place, modules[place], inputs) for place, inputs in runs.items()]
    own = {id(module) for module in modules.values() if type(module) in find_custom_classes(module)}
    records = [each for each in records if not isinstance(each[1], Sequential | InternalOp) or id(each[1]) in own]
    return sorted(records, key=lambda each: id(each[1]) not in own)


def record_first_input(module: Module, place: str, runs: dict[str, tuple]) -> None:
    """Make a copy of a module record the arguments of its first fprop."""
    fprop = module.fprop

    def noting(*arguments):
        y = fprop(*arguments)
        if not any(type(each) is tuple for each in (y, *arguments)):  # tables are tried with the modules around them
            runs.setdefault(place, tuple(np.array(argument) for argument in arguments))
        return y

    vars(module)["fprop"] = noting


def check_step(net: Module, loss: Loss, arguments) -> ModuleReport:
    """Check that the compiled step has the gradients of calls by hand."""
    finding = Finding(
        "its gradients are those of the modules",
        *collect_problems(lambda: [describe_step_problem(net, loss, arguments)]),
    )
    return ModuleReport(f"{format_module(net)} and {loss.label()}", (finding,))


def check_rule(net: Module, loss: Loss, rule: Rule, arguments) -> ModuleReport:
    """Compare what a learning rule leaves in the gradients with the gradient, if it claims to be that.

    What is no gradient on purpose is told in a note: its angles to the gradient.
    """
    angles: dict[str, float] = {}

    def compare() -> list[str]:
        pairs = Alignment(net, loss, rule).compute_pairs(*arguments)
        angles.update({path: compute_angle(*pair) for path, pair in pairs.items()})
        off = list_other_updates(pairs, 10 * np.finfo(net.dtype).eps)
        claim = f"claims to be the gradient, and is not in {', '.join(off)}"
        return [claim] if rule.claims_gradient and off else []

    problems = collect_problems(compare)
    listed = ", ".join(f"{path} {format_angle(angle)}" for path, angle in angles.items())
    notes = () if rule.claims_gradient or not angles else (f"no gradient on purpose; angles to it: {listed}",)
    law = "it is the gradient" if rule.claims_gradient else "it trains this model"
    return ModuleReport(rule.label(), (Finding(law, *problems, notes=notes),))


def list_other_updates(pairs: dict[str, tuple[np.ndarray, np.ndarray]], rounding: float) -> list[str]:
    """List the layers whose update is not their gradient: by CLAIMED of it, and by rounding of the largest one.

    Where a gradient is exactly zero there is no angle to it, and any update is another one.
    """
    largest = max((np.linalg.norm(gradient) for _, gradient in pairs.values()), default=0.0)
    off = []
    for path, (update, gradient) in pairs.items():
        allowed = CLAIMED * np.linalg.norm(gradient) + rounding * largest
        if not np.linalg.norm(update - gradient) <= allowed:  # NaN, too
            off.append(path if gradient.any() else f"{path}, whose gradient is zero")
    return off


def format_angle(angle: float) -> str:
    """Format an angle; NaN is that to an update or a gradient of zero."""
    return "zero" if np.isnan(angle) else f"{angle:.0f}°"


def describe_step_problem(net: Module, loss: Loss, arguments) -> str:
    """Describe the gradients of the step that differ from those of plain Python."""
    compiled = net.copy()
    CompiledStep(compiled, loss.copy(), SGD(lr=0.1))(*arguments)
    with uncompiled():
        hand, _ = run_passes(net, loss, arguments)
        pairs = zip(compiled.named_gradients(), hand.named_gradients(), strict=True)
        wrong = {name: (a, b) for (name, a), (_, b) in pairs if not is_close(a, b, 1e-4)}
        if wrong:  # by more than rounding?
            double, grad_y = run_passes(net.copy().to("float64"), loss.copy().to("float64"), arguments)
            allowed = scale_to_precision(estimate_allowances(double, arguments[:1], grad_y), net.dtype)
            wrong = {
                n: (a, b) for n, (a, b) in wrong.items() if not is_close(a, b, 1e-4, allowed.get(f"grad_{n}", 0.0))
            }
    return f"other gradients than by hand of {', '.join(wrong)}" if wrong else ""


def run_passes(net: Module, loss: Loss, arguments) -> tuple[Module, np.ndarray]:
    """Run a copy of the model forward and backward; returns it and the gradient of its output."""
    net, loss = net.copy(), loss.copy()
    net.zero_grad()
    loss.fprop(net.fprop(arguments[0]), arguments[1])  # type: ignore[call-arg]
    grad_y = loss.bprop()  # type: ignore[call-arg]
    net.bprop(grad_y)
    return net, grad_y
