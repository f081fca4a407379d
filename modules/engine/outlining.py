"""Outlining: a plan's long functions, cut into sections that are functions of their own.

numba's and LLVM's time grows faster than a function's length, so a net of a thousand layers would compile for minutes.
And the sections of a net that repeats itself are alike but for the modules that they use: these are compiled once and
called with the place of the first module in the table of states.
"""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

LONG = 48  # lines, from which a function is cut
SIZES = range(8, 33)  # lines of a section, of which those are taken that leave the least to compile
NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?![\w(])")  # of a value, not of a function or an attribute
MODULE = re.compile(r"m(\d+)")
NOTE = re.compile(r"note_operation\((\d+)\)")
CALL = re.compile(r"(\w+) = \w+\(.*\)")
WORDS = {"None", "True", "False"}


@dataclass
class Sections:
    """The functions that were cut out so far: their number by source."""

    name: str
    numbers: dict[str, int] = field(default_factory=dict)

    def cut(self, states: dict[int, str], lines: list[str], results: Iterable[str]) -> list[str]:
        """Cut out the lines of a body, between those that must stay; returns the lines in their place.

        `states[k]` is the type of module mₖ, `results` the values that the function returns.
        """
        runs = split_runs(lines)
        if sum(len(run) for run in runs if is_operation(run[0])) < LONG:
            return lines
        later = collect_later_names(runs, results)
        tries = []
        for size in SIZES:
            trial = Sections(self.name, dict(self.numbers))
            made = [
                line
                for run, after in zip(runs, later, strict=True)
                for line in (trial._cut_run(states, run, size, after) if is_operation(run[0]) else run)
            ]
            compiled = sum(source.count("\n") for source in trial.numbers)
            tries.append((compiled + len(made), size, made, trial.numbers))
        _, _, made, self.numbers = min(tries, key=lambda each: each[:2])
        return made

    def generate(self) -> list[str]:
        """Generate the source of all sections."""
        lines = []
        for source, number in self.numbers.items():
            lines += ["", "", "@section", *source.format(name=f"{self.name}_section{number}").splitlines()]
        return lines

    def _cut_run(self, states, run: list[str], size: int, after: set[str]) -> list[str]:
        calls: list[str] = []
        begin = 0
        ends = [k + 1 for k, line in enumerate(run) if CALL.fullmatch(line.strip())]
        ends = list(dict.fromkeys([*ends[size - 1 :: size], len(run)]))
        names = [set(NAME.findall(line)) for line in run]
        needed = [after] * len(ends)
        for k in range(len(ends) - 1, 0, -1):
            needed[k - 1] = needed[k].union(*names[ends[k - 1] : ends[k]])
        for end, later in zip(ends, needed, strict=True):
            calls.append(self._make_section(states, run[begin:end], later))
            begin = end
        return calls

    def _make_section(self, states, lines: list[str], later: set[str]) -> str:
        """Add the function of some lines, unless there is one like it; returns the line that calls it."""
        modules = sorted({int(match[1]) for name in find_names(lines) if (match := MODULE.fullmatch(name))})
        notes = [int(number) for line in lines for number in NOTE.findall(line)]
        first, place = modules[0] if modules else 0, notes[0] if notes else 0
        made = [match[1] for line in lines if (match := CALL.fullmatch(line.strip()))]
        read = [name for name in find_names(lines) if name not in made and not MODULE.fullmatch(name)]
        results = [name for name in dict.fromkeys(made) if name in later]
        places = {"first": first} | ({"place": place} if notes else {})
        own = {f"m{number}": f"m{number - first}" for number in modules}
        own |= {name: f"a{k}" for k, name in enumerate(read)}
        own |= {name: f"x{k}" for k, name in enumerate(dict.fromkeys(made))}
        source = [f"def {{name}}({', '.join(['states', *places, *(own[name] for name in read)])}):"]
        source += [
            f"    m{number - first} = state_at({states[number]}, states, first + {number - first})"
            for number in modules
        ]
        for line in lines:
            text = NAME.sub(lambda match: own.get(match[0], match[0]), line.strip())
            source.append("    " + NOTE.sub(lambda match: f"note_operation(place + {int(match[1]) - place})", text))
        returned = ", ".join(own[name] for name in results)
        source += [f"    return {returned}"] if results else []
        number = self.numbers.setdefault("\n".join(source) + "\n", len(self.numbers))
        target = f"{', '.join(results)} = " if results else ""
        given = [f"int64({each})" for each in places.values()]  # a bare number would be compiled for itself
        return f"    {target}{self.name}_section{number}({', '.join(['states', *given, *read])})"


def split_runs(lines: list[str]) -> list[list[str]]:
    """Split the lines of a body into runs of operations, which may be cut out, and the conditions between them."""
    return [list(run) for _, run in itertools.groupby(lines, is_operation)]


def is_operation(line: str) -> bool:
    """Whether a line may be in a section: no condition, no loop, and nothing inside of one."""
    return not line.startswith("     ") and not line.strip().startswith(("if ", "return ", "for "))


def collect_later_names(runs: list[list[str]], results: Iterable[str]) -> list[set[str]]:
    """For each run, the names that are read after it."""
    later = [set(results)]
    for run in reversed(runs[1:]):
        later.append(later[-1].union(find_names(run)))
    return later[::-1]


def find_names(lines: Iterable[str]) -> list[str]:
    """The names of values in some lines, each once."""
    return [name for name in dict.fromkeys(n for line in lines for n in NAME.findall(line)) if name not in WORDS]
