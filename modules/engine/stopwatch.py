"""Line profiler of compiled plans: the plan's source with a reading of the clock after each line.

The lines run in the order, on the data and with the cache contents of the real step, so that their times add up to its
time.
"""

import ast
import time
from dataclasses import dataclass

import numpy as np

from ..compiler.numba_api import cgutils, intrinsic, ir, types
from . import cache
from .code_generator import generate_plan
from .plan import Plan, name_classes
from .sources import digest
from .stateful import Stateful

MONOTONIC = getattr(time, "CLOCK_MONOTONIC", None)  # None where there is no clock_gettime to call
CALIBRATION = 100_000


def _read_clock(builder):
    """Emit LLVM code that calls POSIX's clock_gettime, in nanoseconds."""
    word, module = cgutils.intp_t, builder.module
    kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32), word.as_pointer()])
    function = cgutils.get_or_insert_function(module, kind, "clock_gettime")
    seconds = cgutils.alloca_once(builder, word, 2)
    builder.call(function, [ir.IntType(32)(MONOTONIC), seconds])
    nanoseconds = builder.load(builder.gep(seconds, [ir.IntType(32)(1)]))
    return builder.add(builder.mul(builder.load(seconds), word(1_000_000_000)), nanoseconds)


@intrinsic
def read_clock(typing_context):
    """Read the monotonic clock, in nanoseconds."""
    return types.int64(), lambda context, builder, signature, args: _read_clock(builder)


@intrinsic
def add_lap(typing_context, states, index, place, since):
    """Add the time since `since` to element `place` of the array at entry `index` of the table; returns the time."""

    def generate(context, builder, signature, args):
        table, index, place, since = args
        word = cgutils.intp_t
        entry = builder.gep(builder.inttoptr(table, word.as_pointer()), [index])
        sum_ = builder.gep(builder.inttoptr(builder.load(entry), word.as_pointer()), [place])
        time = _read_clock(builder)
        builder.store(builder.add(builder.load(sum_), builder.sub(time, since)), sum_)
        return time

    return types.int64(types.int64, types.int64, types.int64, types.int64), generate


@dataclass(frozen=True)
class Line:
    """A line of a plan: the modules that it calls (none for the loop itself), and whether it runs backward."""

    text: str
    modules: tuple[Stateful, ...]
    backward: bool


class Stopwatch:
    """Replaces a plan's compiled functions by copies that measure the time of each line.

    `lines[k]` took `seconds(rounds)[k]` a round since the last `clear()`. Needs a system that has MONOTONIC.
    """

    def __init__(self, plan: Plan):
        aliases = name_classes(plan.modules)
        functions = list(plan.functions.values())
        source = generate_plan(plan.module.__doc__, functions, plan.modules, plan.kinds, aliases, outlined=False)
        text, self.lines = insert_laps(source, plan.modules)
        self.times = np.zeros(len(self.lines) + 1, np.int64)
        plan.table = np.append(plan.table, np.int64(self.times.ctypes.data))
        plan.address = int(plan.table.ctypes.data)
        plan.forget_entries()
        name = "plan_" + digest(plan.module.__name__, text)
        bindings = {alias: cls for cls, alias in aliases.items()}
        if cache.find_plan(name, bindings) is None:
            cache.write_plan(name, text, keep=cache.is_kept(plan.module.__name__))
        plan.module = cache.load_plan(name, bindings)
        self._time_python_modules(plan)
        plan.module.laps(plan.address, 10)
        self.clear()
        plan.module.laps(plan.address, CALIBRATION)
        self.clock_seconds = self.times[-1] / CALIBRATION * 1e-9  # seconds that a reading of the clock takes

    def _time_python_modules(self, plan: Plan) -> None:
        """Wrap the methods of modules that run as Python, so that they are timed, too."""
        for module in plan.python_modules:
            for method, backward in (("fprop", False), ("bprop", True)):
                place = len(self.lines)
                self.lines.append(Line(f"{type(module).__name__}.{method}, in Python", (module,), backward))
                vars(module)[method] = self._wrap_method(getattr(module, method), place)
        self.python = np.zeros(len(self.lines))

    def _wrap_method(self, method, place: int):
        def timed_method(*arguments):
            start = time.perf_counter()
            result = method(*arguments)
            self.python[place] += time.perf_counter() - start
            return result

        return timed_method

    def clear(self) -> None:
        """Reset all times to zero."""
        self.times[:] = 0
        self.python[:] = 0

    def seconds(self, rounds: int) -> np.ndarray:
        """Compute the seconds of each line in one of `rounds` rounds, without the time of reading the clock."""
        compiled = self.times[:-1] * 1e-9 / rounds
        result = self.python / rounds
        result[: len(compiled)] += np.where(compiled > 0, np.maximum(compiled - self.clock_seconds, 0), 0)
        return result


def insert_laps(source: str, modules: list[Stateful]) -> tuple[str, list[Line]]:
    """Insert a reading of the clock after each line of a plan's source; returns the new source and the lines."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not getattr(node, "name", "").startswith("checked_")]
    lines: list[Line] = []
    for function in tree.body:
        if isinstance(function, ast.FunctionDef):
            loop = next((node for node in function.body if isinstance(node, ast.For)), None)
            body = function.body if loop is None else loop.body
            timed_body = _insert_into_body(body, lines, modules)
            start = _parse_statement("since = read_clock()")
            if loop is None:
                function.body = [start, *timed_body]
            else:
                loop.body = timed_body
                function.body.insert(function.body.index(loop), start)
    engine = __name__.rsplit(".", 1)[0]
    laps = f"since = add_lap(states, {len(modules)}, {len(lines)}, since)"
    return "\n".join([
        f"from {engine}.stopwatch import add_lap, read_clock",
        ast.unparse(tree),
        "", "@entry", "def laps(states, count):", "    since = read_clock()", "    for _ in range(count):",
        f"        {laps}", "    return since", "",
    ]), lines  # fmt: skip


def _insert_into_body(body, lines: list[Line], modules) -> list:
    result = []
    for node in body:
        result.append(node)
        text = ast.unparse(node)
        if not isinstance(node, ast.Return) and "state_at(" not in text and not text.endswith('"""'):
            result.append(_parse_statement(f"since = add_lap(states, {len(modules)}, {len(lines)}, since)"))
            lines.append(_make_line(node, text, modules))
    return result


def _make_line(node, text: str, modules) -> Line:
    names = [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
    called = dict.fromkeys(name for name in names if name[0] == "m" and name[1:].isdigit())
    backward = any(name.startswith("grad") and name[4:].isdigit() for name in names) or "grad_" in text
    return Line(text, tuple(modules[int(name[1:])] for name in called), backward)


def _parse_statement(text: str) -> ast.stmt:
    return ast.parse(text).body[0]
