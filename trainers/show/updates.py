"""The update of a step as its source runs: lines as of other methods, and each loop over elements, for single weights.

The page computes the statements of these loops again for one weight, from what is recorded here: the numbers that a
loop reads, and arrays that are neither parameters, gradients nor the optimizer's state.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from ...modules.engine.stateful import collect_methods, plain_python
from .arrays import Arrays
from .loops import Loop, find_loops
from .traced import Tracer, encode_lines

OPTIMIZERS = Path(__file__).parents[1] / "optimizers"
CAPTURED = 120_000  # numbers of other arrays that are kept


@dataclass
class Run:
    """One run of a loop: its numbers, and for each array the vector that it is of and the place there, or a copy.

    Element i of the loop is number base + i of the flat vectors.
    """

    loop: Loop
    place: int  # of the loop in `UpdateTracer.loops`
    count: int
    base: int
    values: list[dict[str, Any]] = field(default_factory=list)
    runs: int = 1

    @property
    def key(self) -> tuple[int, int, int]:
        return self.place, self.base, self.count


class UpdateTracer:
    """Follows the functions of an optimizer's files: their lines, and the loops that they run.

    `sources` are the functions in the order in which they first ran, `tracers` what their lines have made.
    """

    def __init__(self, optimizer: Any, vectors: dict[str, np.ndarray], known: set[str]):
        """vectors: parameters and gradients; known: those of the state of the optimizer that the page has anyway."""
        self.optimizer, self.known = optimizer, known | {"parameters", "gradients"}
        own = {name: value for name, value in vars(optimizer).items() if is_vector(value)}
        self.vectors = vectors | own
        self.size = vectors["parameters"].size
        self.written: dict[str, np.ndarray] = {}
        self.sources: list[FunctionType] = []
        self.tracers: dict[Any, Tracer] = {}
        self.loops: list[Loop] = []
        self.runs: list[Run] = []
        self._of_code: dict[Any, dict[int, tuple[int, Loop]] | None] = {}

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        code = frame.f_code
        if event != "call":
            return None
        if code not in self._of_code:
            self._of_code[code] = self._prepare(frame)
        loops = self._of_code[code]
        return None if loops is None else self._make_follower(frame, loops)

    def _prepare(self, frame: Any) -> dict[int, tuple[int, Loop]] | None:
        """The loops of a function by their first lines; None for a function that is not followed."""
        code = frame.f_code
        path = Path(code.co_filename)
        own = {each.__code__.co_filename for each in collect_methods(type(self.optimizer)).values()}
        if (path.parent != OPTIMIZERS and code.co_filename not in own) or code.co_freevars or code.co_name[0] in "_<":
            return None
        function = FunctionType(code, frame.f_globals, code.co_name)
        function.__qualname__ = code.co_qualname
        loops = find_loops(function, frame.f_locals.get("self", self.optimizer))
        if not loops and code.co_name not in ("update", "update_slice", "direction"):
            return None
        self.sources.append(function)
        self.tracers[code] = Tracer(code, self.optimizer)
        found = {line: (len(self.loops) + k, loop) for k, (line, loop) in enumerate(loops.items())}
        self.loops += loops.values()
        return found

    def _make_follower(self, frame: Any, loops: dict[int, tuple[int, Loop]]) -> Callable:
        """Make the function that Python calls at each line; within a loop it does nothing."""
        tracer, state = self.tracers[frame.f_code], {"base": None, "count": 0}
        trace = tracer(frame, "call", None)
        first, last = 0, -1

        def follow(frame: Any, event: str, argument: Any) -> Any:
            nonlocal first, last
            if event == "line" and first <= frame.f_lineno <= last:
                return follow
            if trace is not None:
                trace(frame, event, argument)
            if event == "line":
                found = loops.get(frame.f_lineno)
                first, last = (found[1].first, found[1].last) if found else (0, -1)
                if found:
                    count = self._record(frame, *found, state)
                    if trace is not None:
                        tracer.mark(found[1].lines, count)
                    frame.f_trace_lines = not found[1].is_last  # whose turns may be many
            return follow

        return follow

    def _record(self, frame: Any, place: int, loop: Loop, state: dict[str, Any]) -> int:
        """Record what a loop begins with; returns how often it turns."""
        values, bases, sizes = [], set(), set()
        for name, is_array in loop.slots:
            value = find_value(frame, name)
            if not is_array:
                values.append({"name": name, "number": None if value is None else float(value)})
                continue
            if not is_vector(value):
                return 0
            root, offset = self._find_root(value)
            sizes.add(value.size)
            values.append({"name": name, "root": root, "offset": offset, "array": value})
            if root is not None and self.vectors[root].size == self.size:
                bases.add(offset)
        count = min(sizes, default=0)
        base = bases.pop() if len(bases) == 1 else (state["base"] if not bases and state["count"] == count else None)
        if base is None:
            return count
        state.update(base=base, count=count)
        run = Run(loop, place, count, base, values)
        self._keep(run)
        self.runs.append(run)
        return count

    def _find_root(self, array: np.ndarray) -> tuple[str | None, int]:
        """The vector that an array is a part of, and the place there."""
        for name, vector in self.vectors.items():
            distance = array.ctypes.data - vector.ctypes.data
            if 0 <= distance < vector.nbytes and array.itemsize == vector.itemsize:
                return name, distance // vector.itemsize
        return None, 0

    def _keep(self, run: Run) -> None:
        """Copy the arrays that the page cannot know; note which numbers the loop writes."""
        targets = set(list_targets(run.loop.statements))
        for k, value in enumerate(run.values):
            if "array" not in value:
                continue
            array, root, offset = value.pop("array"), value["root"], value["offset"]
            if root is not None and self.vectors[root].size == self.size:
                written = self.written.setdefault(root, np.zeros(self.size, bool))
                part = written[offset : offset + run.count]
                if root not in self.known and not part.all():
                    value["copy"] = array[: run.count].copy()
                if k in targets:
                    part[:] = True
            elif root not in self.known:
                value["copy"] = array[: run.count].copy()

    def encode(self, arrays: Arrays) -> list[dict[str, Any]]:
        """Encode the runs for JSON: of those of one loop on the same numbers the last, without what is too large."""
        last = {run.key: run for run in self.runs}
        for run in self.runs:
            last[run.key].runs += run is not last[run.key]
        kept = [run for run in self.runs if last[run.key] is run]
        left, encoded = CAPTURED, []
        for run in kept[::-1]:
            copied = sum(value["copy"].size for value in run.values if "copy" in value)
            left -= copied
            encoded.append(encode_run(run, arrays, self.sources, whole=left >= 0))
            left += copied if left < 0 else 0
        return encoded[::-1]

    def encode_lines(self, arrays: Arrays) -> list[dict[str, Any]]:
        """Encode the lines that have run, each with the number of its source."""
        found = []
        for n, source in enumerate(self.sources):
            lines = sorted(self.tracers[source.__code__].lines.values(), key=lambda line: line.number)
            found += [{**line, "source": n} for line in encode_lines(lines, arrays)]
        return found


def is_vector(value: Any) -> bool:
    """Whether a value is a vector of floats whose numbers stand side by side."""
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "f" and value.flags.c_contiguous


def find_value(frame: Any, name: str) -> Any:
    """The value of a variable of a frame, or of an attribute of its self; None where it has none yet."""
    first, _, attribute = name.partition(".")
    value = frame.f_locals.get(first)
    return getattr(value, attribute, None) if attribute else value


def list_targets(statements: list[dict[str, Any]]) -> list[int]:
    """List the slots that statements assign."""
    found = []
    for each in statements:
        found += [each["target"]] if "target" in each else []
        found += list_targets(each.get("then", [])) + list_targets(each.get("otherwise", []))
    return found


def encode_run(run: Run, arrays: Arrays, sources: list[FunctionType], whole: bool) -> dict[str, Any]:
    """Encode a run; without its copies if they are too large."""
    slots = []
    for value in run.values:
        slot = {key: value[key] for key in ("name", "root", "offset", "number") if value.get(key) is not None}
        if "copy" in value and whole:
            slot["value"] = arrays.add(value["name"], value["copy"])
        slots.append(slot)
    return {"loop": run.place, "base": run.base, "count": run.count, "runs": run.runs, "slots": slots}


def describe_loops(loops: list[Loop]) -> tuple[list[dict[str, Any]], str]:
    """Describe loops for JSON, and write the script of their functions."""
    described = [
        {"name": each.name, "first": each.first, "last": each.last, "statements": each.statements} for each in loops
    ]
    code = ", ".join(f"[{', '.join(each.functions)}]" for each in loops)
    return described, f"const UPDATE_CODE = [{code}];"


def trace_update(call: Callable[[], Any], tracer: UpdateTracer) -> None:
    """Run an update as plain Python, followed by a tracer."""
    before = sys.gettrace()
    with plain_python(), np.errstate(all="ignore"):
        sys.settrace(tracer)
        try:
            call()
        finally:
            sys.settrace(before)
