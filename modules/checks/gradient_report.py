"""The report of a gradient check as a table, and the classification of wrong gradients."""

from dataclasses import dataclass, field

import numpy as np

from ..core.text_table import format_table

ESTIMATE = "if bprop estimates by design, as straight-through does, set estimates = True on the class"
HEAD = ("gradient", "shape", "worst at", "bprop", "expected", "relative error", "")


class GradientError(AssertionError):
    """A module's bprop is wrong; the text is the report."""


@dataclass(frozen=True)
class GradientEntry:
    """One gradient against its expected value.

    `name` is `x` (`y` for a loss) or a parameter's name, `index` the worst element; None where differences along random
    directions all agree, `analytic` and `numeric` then being the derivatives along the worst of them.
    """

    name: str
    shape: tuple[int, ...]
    index: tuple[int, ...] | None
    analytic: float
    numeric: float
    error: float
    ok: bool
    hint: str = ""
    mismatch: "Mismatch | None" = None

    def cells(self) -> tuple[str, ...]:
        index = "-" if self.index is None else str(tuple(int(k) for k in self.index))
        numbers = (f"{self.analytic:.8g}", f"{self.numeric:.8g}", f"{self.error:.1e}")
        return (self.name, str(self.shape), index, *numbers, f"{'ok' if self.ok else 'WRONG'} {self.hint}".rstrip())


@dataclass(frozen=True)
class GradientReport:
    """The result of `check_gradients`: `ok`, the `entries`, and `problems` with the rest of the contract, in words.

    `reference` says what bprop was compared with: the trace of fprop, or differences and why; `notes` are no mistakes.

    Args: title: of the printed report; tolerance: the largest relative error; entries: one for each array; problems,
        reference, notes: see above.
    Errors: GradientError from `raise_if_wrong()`, with the report as its message.
    """

    title: str
    tolerance: float
    entries: tuple[GradientEntry, ...]
    problems: tuple[str, ...] = ()
    reference: str = ""
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every gradient agrees and nothing else is wrong."""
        return not self.problems and all(entry.ok for entry in self.entries)

    def raise_if_wrong(self) -> "GradientReport":
        """This report if all is right, else GradientError (an AssertionError) with it as text."""
        if not self.ok:
            raise GradientError(str(self))
        return self

    def verdict(self) -> str:
        """The last line: right, or which gradients and how many other problems."""
        wrong = [entry.name for entry in self.entries if not entry.ok]
        texts = [f"wrong: {', '.join(wrong)}"] if wrong else []
        texts += [format_count(len(self.problems), "other problem")] if self.problems else []
        if texts:
            return "; ".join(texts)
        if not self.entries:
            return "nothing to check: " + ("an estimate" if self.reference else "no floating input, no parameters")
        return f"right: {format_count(len(self.entries), 'gradient')} within {self.tolerance:g}"

    def __str__(self) -> str:
        rows = [HEAD, *(entry.cells() for entry in self.entries)] if self.entries else []
        lines = [f"Gradients of {self.title}", *(f"  {line}" for line in format_table(rows))]
        lines += [f"  beside {self.reference}"] if self.reference else []
        lines += [f"  problem: {text}" for text in self.problems] + [f"  note: {text}" for text in self.notes]
        lines += [f"  hint: {ESTIMATE}"] if any(not entry.ok for entry in self.entries) else []
        return "\n".join([*lines, self.verdict()])

    __repr__ = __str__


def format_count(count: int, word: str) -> str:
    """Format a count: `1 word`, `2 words`."""
    return f"{count} {word}" + ("s" if count != 1 else "")


@dataclass(frozen=True)
class Mismatch:
    """How a wrong gradient differs from the right one: `kind` is a key of TEXTS, `factor` their ratio by least squares.

    `actual` and `right` are both gradients, if all elements were compared.
    """

    kind: str
    factor: float
    differing: int
    size: int
    actual: np.ndarray | None = field(default=None, repr=False, compare=False)
    right: np.ndarray | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return TEXTS[self.kind].format(**vars(self))


TEXTS = {
    "not finite": "(not finite)",
    "zero": "(bprop leaves it at zero)",
    "sign": "(the sign is flipped)",
    "factor": "({factor:.4g} times the right one)",
    "transposed": "(transposed)",
    "one number": "(one number throughout: was a smaller array broadcast into it?)",
    "elements": "({differing} of {size} elements differ)",
}


def classify_mismatch(
    analytic: np.ndarray, numeric: np.ndarray, transposed: np.ndarray | None = None
) -> Mismatch | None:
    """Classify a mismatch, None if gradients agree; `transposed` is analytic in Fortran order."""
    size = analytic.size
    if not np.isfinite(analytic).all():
        return Mismatch("not finite", np.nan, size, size)
    if not analytic.any():
        return Mismatch("zero", 0.0, size, size)
    close = {"rtol": 1e-4, "atol": 1e-5 * np.abs(numeric).max()}
    factor = float(np.vdot(analytic, numeric) / max(np.vdot(numeric, numeric), 1e-300))
    differing = int((~np.isclose(analytic, numeric, **close)).sum())
    if np.allclose(analytic, -numeric, **close):
        kind = "sign"
    elif size > 1 and np.allclose(analytic, factor * numeric, **close):
        kind = "factor"
    elif transposed is not None and np.allclose(transposed, numeric, **close):
        kind = "transposed"
    elif size > 1 and np.ptp(analytic) == 0:
        kind = "one number"
    else:
        kind = "elements"
    return Mismatch(kind, factor, differing, size) if differing else None
