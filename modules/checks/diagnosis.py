"""Diagnosis of a bprop that fails the gradient check: common mistakes, each recognised by an experiment.

A factor is compared at two batch sizes, a sample is left out, another step's random numbers are drawn.
"""

import numpy as np

from ..engine.stateful import collect_methods, plain_python
from ..engine.tables import flatten_table, is_table, map_table
from .contract_checks import Trial
from .gradient_check import STREAM
from .gradient_patterns import find_pattern, max_abs
from .gradient_report import ESTIMATE, GradientEntry, GradientReport
from .gradient_subject import Subject
from .likely_mistakes import WrongGradient, check_skipped_path, find_changed_globals, find_mistake

ROOTS = ("y is not finite", "fprop changes x", "fprop(x) gives another y")
SUM = "bprop sums over the batch, only the loss averages"
MEAN = "bprop divides by what fprop divides by"
DRAWING = ("random", "uniform", "normal", "standard_normal", "rand", "randn", "draw_mask")
TEXTS = {
    "sign": "has its sign flipped: a minus is missing, or one too many",
    "zero": "stays at zero: bprop never adds to it",
    "transposed": "is transposed: exchange the factors, grad_weight += grad_yᵀ x for a weight (out, in)",
    "one number": "is one number throughout: summed over every axis, expected over the batch alone",
    "not finite": "is not finite",
}


def diagnose_report(trial: Trial, report: GradientReport) -> list[str]:
    """Diagnose a report: one sentence for each problem."""
    first = [text for text in report.problems if text.startswith(ROOTS)]
    if first:
        return [explain_problem(trial, first[0])]  # the rest follows: differences of such an fprop mean nothing
    problems = [explain_problem(trial, text) for text in report.problems]
    wrong = [entry for entry in report.entries if not entry.ok]
    if wrong and redraws_random_numbers(trial):
        return [*problems, "bprop draws its random numbers anew: store in fprop what it drew (the mask)"]
    return problems + [f"grad_{entry.name} {diagnose_gradient(trial, entry)}" for entry in wrong]


def explain_problem(trial: Trial, problem: str) -> str:
    """Explain a problem of the contract by its likely cause."""
    if problem == "fprop changes x":
        module, arguments = trial.copy(), tuple(map_table(np.copy, a) for a in trial.arguments)
        with plain_python():
            y = module.fprop(*arguments)
        aliased = any(np.shares_memory(a, b) for a in flatten_table(y) for b in flatten_table(arguments[0]))
        cause = "its output is the input's own memory, expected its own array" if aliased else "work on a copy"
        return f"{problem}: {cause}"
    if problem.startswith("fprop(x) gives another y"):
        if names := find_changed_globals(trial):
            return f"{problem}: a run changes {' and '.join(names)}, outside of the module: keep it on self"
        return f"{problem}: it draws numbers that no counter decides (see Noise), or keeps what an earlier run stored"
    if problem.startswith("bprop gives another"):
        return f"{problem}: it adds to a stored array, or draws random numbers anew"
    return problem


def diagnose_gradient(trial: Trial, entry: GradientEntry) -> str:
    """Diagnose one wrong gradient."""
    if entry.hint.startswith("(grad_"):
        return entry.hint[1:-1].partition(" ")[2]
    if entry.mismatch is None:
        return f"is wrong at {entry.index}: {entry.analytic:.6g}, expected {entry.numeric:.6g}"
    kind = entry.mismatch.kind
    wrong = get_whole_gradient(trial, entry)
    if wrong and max_abs(wrong.right) <= 1e-8 * max_abs(wrong.actual):
        return f"is not zero where fprop does not depend on {entry.name}: {ESTIMATE}"
    if wrong and (diagnosis := find_mistake(wrong)):
        return diagnosis
    if kind == "factor":
        return explain_factor(trial, entry)
    if kind != "zero" and (alone := find_only_sample(trial, entry.name)) is not None:
        return f"counts sample {alone} alone, expected the sum over the batch"
    if kind == "elements" and (
        diagnosis := match_pattern(trial, entry) or (check_skipped_path(wrong) if wrong else "")
    ):
        return diagnosis
    there = f", where x is {trial.x[entry.index]:.4g}" if entry.name == "x" else ""
    values = f"{entry.analytic:.6g}, expected {entry.numeric:.6g}{there}"
    return TEXTS.get(kind, f"differs, at {entry.index} most: {values} ({ESTIMATE})")


def get_whole_gradient(trial: Trial, entry: GradientEntry) -> WrongGradient | None:
    """Get a wrong gradient all of whose elements are known."""
    assert entry.mismatch is not None
    actual, right = entry.mismatch.actual, entry.mismatch.right
    if actual is None or right is None or entry.mismatch.kind in ("sign", "one number"):
        return None
    if entry.name not in ("x", *dict(trial.module.named_parameters())):  # an array of a table, or of a loss
        return None
    return WrongGradient(trial, entry.name, actual, right)


def match_pattern(trial: Trial, entry: GradientEntry) -> str:
    """Find the pattern of a wrong gradient; "" if there is none, or if not all of the gradient is known."""
    assert entry.mismatch is not None
    actual, right = entry.mismatch.actual, entry.mismatch.right
    if actual is None or right is None:
        return ""
    y = np.asarray(trial.copy().fprop(*trial.arguments)) if entry.name == "x" else None
    return find_pattern(actual, right, y)


def explain_factor(trial: Trial, entry: GradientEntry) -> str:
    """Explain a wrong factor: by the batch size, the size of a sample, or a slip."""
    assert entry.mismatch is not None
    factor, n = entry.mismatch.factor, trial.samples
    other = trial.permute_rows()
    again = next((e.mismatch for e in trial.gradients(other).entries if e.name == entry.name), None)
    if again is not None and not np.isclose(again.factor, factor, rtol=1e-3):
        if np.isclose(factor * n, again.factor * (n + 1), rtol=1e-3):
            return f"is divided by the batch size once too often ({factor:.4g}): {SUM if not is_loss(trial) else MEAN}"
        if np.isclose(factor / n, again.factor / (n + 1), rtol=1e-3):
            return f"lacks 1/n, n the batch size ({factor:.4g} times the right one): {MEAN if is_loss(trial) else SUM}"
    if np.isclose(factor, 2, rtol=1e-3) or np.isclose(factor, 0.5, rtol=1e-3):
        return f"is {factor:.4g} times the right one: a 2 is {'too many' if factor > 1 else 'missing'} (of a square?)"
    return f"is {factor:.4g} times the right one"


def is_loss(trial: Trial) -> bool:
    """Whether the checked module is a loss."""
    return not trial.module.takes_gradient


def find_only_sample(trial: Trial, name: str) -> int | None:
    """Find the only sample on which the gradient of a parameter depends; None if there are several."""
    if trial.samples < 2 or name == "x" or is_loss(trial):
        return None
    module = trial.copy()
    start = module.counters()
    whole = trial.run(module)
    for chosen in (0, trial.samples - 1):
        module.load_counters(start)
        module.zero_grad()
        grad_y = trial.grad_y(module.fprop(*trial.arguments))
        if len(grad_y) != trial.samples:
            return None
        grad_y[np.arange(len(grad_y)) != chosen] = 0
        module.bprop(grad_y)
        alone = dict(module.named_gradients())[name]
        if alone.any() and np.allclose(alone, whole[f"grad_{name}"], 1e-12):
            return chosen
    return None


def redraws_random_numbers(trial: Trial) -> bool:
    """Whether the gradient is right for the random numbers of another step, or differs from call to call."""
    if is_loss(trial) or is_table(trial.x) or trial.x.dtype.kind != "f":
        return False
    module = trial.copy()
    with plain_python():
        y = module.fprop(*trial.arguments)
        first, second = (np.array(module.bprop(trial.grad_y(y)), copy=True) for _ in range(2))
        if draws_random_numbers(module) and not np.array_equal(first, second):
            return True
    used = trial.copy()
    if np.array_equal(used.fprop(*trial.arguments), used.fprop(*trial.arguments)):
        return False
    one = trial.copy()
    one.fprop(*trial.arguments)
    now, later = (Subject(m, trial.arguments, np.random.default_rng((STREAM, trial.seed))) for m in (trial.copy(), one))
    now.run()
    later.run()
    if not now.pairs:  # grad_x is misshapen
        return False
    return all(
        later.compare(later.arguments[0], now.pairs[0][2], later.direction(trial.x.shape), trial.tolerance)[0]
        <= trial.tolerance
        for _ in range(2)
    )


def draws_random_numbers(module) -> bool:
    """Whether a bprop calls a function that draws random numbers, or reads a counter."""
    words = {*DRAWING, *map(get_last_part, module.counters())}
    methods = [collect_methods(type(inside)).get("bprop") for inside in module.all_modules()]
    return any(words & set(method.__code__.co_names) for method in methods if method is not None)


def get_last_part(name: str) -> str:
    """Get `step` of `2.inner.step`."""
    return name.rpartition(".")[2]
