"""One run of a method as plain Python, with what each of its lines makes.

Only lines of the method itself are followed, not those of what it calls.
"""

import linecache
import re
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ...modules.engine.stateful import get_raw_method, plain_python
from .arrays import Arrays

MOST_LINES = 80  # of a method that are followed
LARGEST_MADE = 30_000  # numbers of an array that a line makes; those that leave the method are kept in any case
MOST_VISITS = 2_000  # of lines: after these a loop is not followed any more
ALLOCATION = re.compile(r"\s*[\w., ]+=\s*(np\.)?(empty|empty_like|reuse|reuse_like|reserve)\(")
LARGEST = 2**22  # bytes of arrays that are compared before and after a line


class Line:
    """A line that has run: its number, how often, and what it has made when it ran first, by name.

    A line that `allocates` makes arrays whose numbers nobody has written yet.
    """

    def __init__(self, number: int, allocates: bool = False):
        self.number, self.visits, self.allocates = number, 0, allocates
        self.made: dict[str, Any] = {}


class Tracer:
    """Follows the lines of one function: `lines` in the order in which they first ran."""

    def __init__(self, code: Any, module: Any):
        self.code, self.module = code, module
        self.lines: dict[int, Line] = {}
        self._now: Line | None = None
        self._before: dict[str, tuple[Any, Any]] = {}
        self._visits = 0

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code is not self.code or event != "call" or self._now is not None:
            return None
        self._before = self._take_stock(frame)
        return self._follow

    def _follow(self, frame: Any, event: str, argument: Any) -> Any:
        if self._now is not None and self._now.visits == 1:
            self._note(frame)
        if event == "line":
            number = frame.f_lineno
            if number not in self.lines:
                text = linecache.getline(self.code.co_filename, number)
                self.lines[number] = Line(number, ALLOCATION.match(text) is not None)
            self._now = self.lines[number]
            self._now.visits += 1
            self._visits += 1
            if self._visits > MOST_VISITS:
                frame.f_trace_lines = False
        if event == "return" and self._now is not None:
            self._now.made.setdefault("return", copy_value(argument))
        return self._follow

    def mark(self, numbers: list[int], visits: int) -> None:
        """Mark lines that have run without being followed, as the body of a loop, so many times."""
        for number in numbers:
            self.lines.setdefault(number, Line(number)).visits += visits

    def _note(self, frame: Any) -> None:
        """Note what has changed since the line began."""
        now = self._take_stock(frame)
        assert self._now is not None
        for name, (mark, value) in now.items():
            if name not in self._before or self._before[name][0] != mark:
                self._now.made.setdefault(name, copy_value(value))
        self._before = now

    def _take_stock(self, frame: Any) -> dict[str, tuple[Any, Any]]:
        """The variables of a function and the attributes of its module that are arrays or numbers, with marks."""
        values = {name: value for name, value in frame.f_locals.items() if name != "self"}
        if self.module is not None and frame.f_locals.get("self") is self.module:
            attributes = vars(self.module)
            values |= {f"self.{name}": value for name, value in attributes.items() if not name.startswith("_")}
        return {name: (make_mark(value), value) for name, value in values.items() if is_shown(value)}


def is_shown(value: Any) -> bool:
    """Whether a value is an array of numbers or a number."""
    return isinstance(value, np.ndarray | np.generic | int | float) and not (
        isinstance(value, np.ndarray) and value.dtype.kind not in "biuf"
    )


def make_mark(value: Any) -> Any:
    """Make a mark that differs where values differ."""
    if not isinstance(value, np.ndarray):
        return value if value == value else "nan"
    if value.nbytes > LARGEST:
        return value.shape, id(value)
    return value.shape, value.dtype.str, zlib.crc32(np.ascontiguousarray(value).tobytes())


def copy_value(value: Any) -> Any:
    """Copy an array, as later lines may change it."""
    return value.copy() if isinstance(value, np.ndarray) else value


def run_traced(module: Any, method: str, arguments: list[Any]) -> tuple[Any, list[Line]]:
    """Run a method of a module as plain Python; returns its result, and the lines that have run."""
    function = get_raw_method(type(module), method)
    return trace_call(lambda: getattr(module, method)(*arguments), function.__code__, module)


def trace_call(call: Callable[[], Any], code: Any, module: Any = None) -> tuple[Any, list[Line]]:
    """Run a call, and follow the lines of one function in it."""
    tracer, before = Tracer(code, module), sys.gettrace()
    with plain_python(), np.errstate(all="ignore"):
        sys.settrace(tracer)
        try:
            result = call()
        finally:
            sys.settrace(before)
    return result, list(tracer.lines.values())


def encode_lines(lines: list[Line], arrays: Arrays) -> list[dict[str, Any]]:
    """Encode the lines that have run, with what each has made: arrays by their numbers, numbers as they are."""
    encoded = []
    for line in lines[:MOST_LINES]:
        made: dict[str, dict[str, Any]] = {}
        for name, value in line.made.items():
            if isinstance(value, np.ndarray) and value.size > LARGEST_MADE:
                made[name] = {"text": f"an array of shape {value.shape}, too large for this page"}
            elif isinstance(value, np.ndarray) and line.allocates:
                made[name] = {"text": f"memory for an array of shape {value.shape}, not written yet"}
            elif isinstance(value, np.ndarray):
                made[name] = {"value": arrays.add(name, value)}
            elif isinstance(value, np.generic | int | float):
                made[name] = {"text": f"{value:.7g}" if isinstance(value, float | np.floating) else str(value)}
        encoded.append({"line": line.number, "visits": line.visits, "made": made})
    return encoded
