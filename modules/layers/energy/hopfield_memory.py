"""What a Hopfield network remembers: the states that it ends in, spurious ones too, and how many patterns it keeps.

These run as plain NumPy on what `Hopfield.recall` returns; nothing of them is compiled or differentiated.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import optimize, special

from ..gaussian_sample import check_choice
from .hopfield import SWEEPS, Hopfield
from .hopfield_rules import RULES

Kind = Literal["pattern", "negative", "mixture", "other"]
NEAREST = 10  # patterns of which mixtures are tried
OVERLAP = 0.95  # from which a state is taken for a pattern or a mixture: in 36 units none may differ


@dataclass(frozen=True)
class StableStates:
    """Stable states that a network reaches from random starts, the most frequent one first.

    states (K, D); counts (K,): starts that end in each; kinds: of each, `pattern`, `negative` of a pattern, `mixture`
    or `other`; names: such as "H", "-H", "H + I - L" or "?"; unstable: starts that end in no stable state.
    """

    states: np.ndarray
    counts: np.ndarray
    kinds: tuple[Kind, ...]
    names: tuple[str, ...]
    unstable: int

    @property
    def spurious(self) -> np.ndarray:
        """The states (S, D) that are neither a pattern nor the negative of one."""
        return self.states[[kind in ("mixture", "other") for kind in self.kinds]]

    def share(self, *kinds: Kind) -> float:
        """The share of all starts that end in states of these kinds."""
        inside = sum(int(count) for count, kind in zip(self.counts, self.kinds, strict=True) if kind in kinds)
        return inside / (int(self.counts.sum()) + self.unstable)


def find_stable_states(
    net: Hopfield,
    patterns,
    starts: int = 1000,
    *,
    names: Sequence[str] | None = None,
    overlap: float = OVERLAP,
    sweeps: int = SWEEPS,
    seed: int | None = 0,
) -> StableStates:
    """Find the states in which asynchronous recall ends from random starts, and name them by the stored patterns.

    A mixture is like the sign of a sum of three or five patterns, each with the sign of its overlap with the state; of
    all sums of the ten patterns that overlap most with a state, the one most like it names it.
    Args: patterns (P, D): those stored; starts: random states, at least 1; names: of the patterns, by default their
        numbers; overlap: Σ s p / D of states ±1 from which a state is taken for a pattern, above 0; sweeps, seed: of
        the recall, the seed also of the starts.
    Errors: ValueError for such settings, another shape, and values that are no states.
    Source: Amit, Gutfreund and Sompolinsky, Spin-glass models of neural networks (1985), on mixtures; Géron, Hands-On
        Machine Learning, appendix E, on spurious patterns.
    """
    p = net.as_bipolar(net.check_states("patterns", patterns))
    names = [str(number) for number in range(len(p))] if names is None else list(names)
    if len(names) != len(p):
        raise ValueError(f"{net.label()}: {len(names)} names for {len(p)} patterns, expected one each")
    if starts < 1:
        raise ValueError(f"{net.label()}: starts is {starts}, expected at least 1")
    if not 0 < overlap <= 1:
        raise ValueError(f"{net.label()}: overlap is {overlap}, expected above 0 and at most 1")
    first = np.random.default_rng(seed).choice([net.low, 1.0], (starts, net.units))
    found = net.recall(first, sweeps=sweeps, seed=seed)
    states, counts = np.unique(found.states[found.stable], axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    states, counts = states[order], counts[order]
    named = [name_state(state, p, names, overlap) for state in net.as_bipolar(states)]
    kinds, labels = tuple(kind for kind, _ in named), tuple(label for _, label in named)
    return StableStates(states, counts, kinds, labels, int((~found.stable).sum()))


def name_state(state: np.ndarray, p: np.ndarray, names: Sequence[str], overlap: float) -> tuple[Kind, str]:
    """The kind and the name of a state (D,) of ±1 among patterns p (P, D)."""
    overlaps = p @ state / len(state)
    best = int(abs(overlaps).argmax())
    if abs(overlaps[best]) >= overlap:
        return ("pattern", names[best]) if overlaps[best] > 0 else ("negative", f"-{names[best]}")
    signs, near = np.where(overlaps < 0, -1.0, 1.0), np.argsort(-abs(overlaps), kind="stable")[:NEAREST].tolist()
    likeness, parts = 0.0, []
    for parts_of_sum in itertools.chain(itertools.combinations(near, 3), itertools.combinations(near, 5)):
        indices = list(parts_of_sum)
        mean = float(np.sign(signs[indices] @ p[indices]) @ state) / len(state)
        if mean > likeness:
            likeness, parts = mean, sorted(indices)
    if likeness < overlap:
        return "other", "?"
    return "mixture", format_sum([(bool(signs[k] > 0), names[k]) for k in parts])


def format_sum(terms: list[tuple[bool, str]]) -> str:
    """Format a signed sum of names: "H + I - L"."""
    text = " ".join(f"{'+' if positive else '-'} {name}" for positive, name in terms)
    return text.removeprefix("+ ") if terms[0][0] else "-" + text[2:]


class Capacity(NamedTuple):
    """What networks of D units recall at each load P / D.

    loads (L,); shares (L, trials) of patterns that are recalled; overlaps (L, trials), the mean over patterns p of
    Σ s p / D, with the states s in which their recalls end.
    """

    loads: np.ndarray
    shares: np.ndarray
    overlaps: np.ndarray


def measure_capacity(
    units: int,
    loads: Sequence[float],
    trials: int = 10,
    *,
    rule: Literal["hebb", "storkey", "pseudo_inverse"] = "hebb",
    overlap: float = 0.9,
    noise: float = 0.0,
    seed: int = 0,
) -> Capacity:
    """Measure how many random patterns networks recall, at each load P / D.

    A trial stores P = round(load D) random patterns of ±1 in a network, starts at each, and updates units one at a time
    until none changes. A pattern is recalled if the end overlaps with it by more than `overlap`.
    Args: units: D; loads: each so large that P is at least 1; trials: networks a load, at least 1; rule: of storing;
        overlap: from 0 to 1; noise: the share of units flipped at the start; seed: of patterns, flips and orders.
    Errors: ValueError for such settings.
    Source: Amit, Gutfreund and Sompolinsky, Storing infinite numbers of patterns in a spin-glass model of neural
        networks (1985).
    """
    random, net = np.random.default_rng(seed), Hopfield(units)
    check_choice(net, "rule", rule, tuple(RULES))
    if trials < 1:
        raise ValueError(f"measure_capacity: trials is {trials}, expected at least 1")
    for name, value in (("overlap", overlap), ("noise", noise)):
        if not 0 <= value <= 1:
            raise ValueError(f"measure_capacity: {name} is {value}, expected 0 to 1")
    if few := [load for load in loads if round(load * units) < 1]:
        raise ValueError(f"measure_capacity: a load of {few[0]} is no pattern in {units} units, expected at least 1")
    counts = [round(load * units) for load in loads]
    shares, overlaps = np.empty((len(counts), trials)), np.empty((len(counts), trials))
    for row, trial in np.ndindex(shares.shape):
        patterns = random.choice([-1.0, 1.0], (counts[row], units))
        net.store(patterns, rule)
        starts = np.where(random.random(patterns.shape) < noise, -patterns, patterns)
        ends = net.recall(starts, seed=int(random.integers(2**32))).states
        found = (ends * patterns).mean(axis=1)
        shares[row, trial], overlaps[row, trial] = (found > overlap).mean(), found.mean()
    return Capacity(np.array(counts) / units, shares, overlaps)


def find_load(loads, values, level: float) -> float:
    """The first load after which a falling curve stays below a level, by linear interpolation; loads, values (L,).

    Errors: ValueError if the curve begins below the level, or ends above it.
    """
    above = np.flatnonzero(np.asarray(values) >= level)
    if not len(above) or above[-1] == len(values) - 1:
        raise ValueError(f"find_load: the values from {values[0]:g} to {values[-1]:g} do not fall below {level:g}")
    k = int(above[-1])
    return float(loads[k] + (values[k] - level) / (values[k] - values[k + 1]) * (loads[k + 1] - loads[k]))


def compute_retrieval(points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Loads (points,) and overlaps (points,) of retrieval in infinite networks that store by Hebb's rule.

    √(2 α) = erf(y) / y - 2 exp(-y²) / √π and m = erf(y). The last load is the largest that has a solution, the capacity
    0.138; there the overlap, 0.967, jumps to that of spin-glass states.
    Source: Amit, Gutfreund and Sompolinsky (1985), without breaking of replica symmetry, at temperature 0.
    """

    def root(y):
        return special.erf(y) / y - 2 / np.sqrt(np.pi) * np.exp(-(y**2))

    last = float(optimize.minimize_scalar(lambda y: -root(y), bounds=(1, 3), method="bounded").x)
    y = np.linspace(5, last, points)
    return root(y) ** 2 / 2, special.erf(y)
