"""The runs of a sweep: combinations of values of a config's keys.

    sweep:
      grid: {optimizer.SGD.lr: [0.1, 0.01], seed: [0, 1, 2]}           every combination
      zip: {model.0.Linear.out_features: [8, 16], model.2.Linear.in_features: [8, 16]}    the first with the first...
      random: {n: 20, seed: 0, keys: {optimizer.SGD.momentum: {uniform: [0.5, 0.99]}}}    n draws

Several of them together are every combination of theirs. Each key is the path of an override.
"""

import json
import math
import re
import zlib
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from .data_paths import find_start_folder, make_absolute
from .errors import ConfigError, Path, Place, Problem, format_suggestion
from .nodes import Entries, Items, Node, Scalar, convert_to_plain, parse_core_value
from .overrides import set_value
from .values import describe_value

__all__ = ["Sweep", "format_overrides", "read_sweep"]

MAX_RUNS = 10_000
COMBINATIONS = ("grid", "zip", "random")
DRAWS = ("uniform", "log_uniform", "integers", "choice")
Values = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A sweep: `runs` are the values by key; `written` is its text in the config; relative paths begin at `start`."""

    written: Any
    runs: tuple[Values, ...]
    start: FilePath = FilePath()

    def absolute(self, value: Any) -> Any:
        """Make the path of a key absolute, from the folder of the sweep on."""
        return make_absolute(value, self.start) if isinstance(value, str) else value


def read_sweep(
    node: Node | None,
    root: Entries,
    addable: tuple[str, ...],
    problems: list[Problem],
    folder: FilePath | None = None,
) -> Sweep | None:
    """Read the key `sweep` of a config; problems are added to `problems`.

    Args: root: the config, which has the places of the keys; folder: where it lies.
    """
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return None
    reader, before = _Reader(root, addable, problems), len(problems)
    value_lists = reader.read_values(node)
    if len(problems) > before:
        return None
    count = math.prod(map(len, value_lists))
    if count > MAX_RUNS:
        problems.append(Problem(node.place, ("sweep",), f"has {count:,} runs, expected at most {MAX_RUNS:,}"))
        return None
    runs = tuple({key: value for part in parts for key, value in part.items()} for parts in product(*value_lists))
    return Sweep(convert_to_plain(node), runs, find_start_folder(node.place, folder, root.place.source))


def format_overrides(values: Values) -> list[str]:
    """Format the values of a run as overrides."""
    return [f"{key}={_format_flow(value)}" for key, value in values.items()]


class _Reader:
    """Reads what stands below `sweep`; `keys` are those read so far."""

    def __init__(self, root: Entries, addable: tuple[str, ...], problems: list[Problem]) -> None:
        self.root = replace(root, nodes={key: node for key, node in root.nodes.items() if key != "sweep"})
        self.addable = addable
        self.problems = problems
        self.keys: set[str] = set()

    def report(self, place: Place, path: Path, message: str) -> None:
        self.problems.append(Problem(place, ("sweep", *path), message))

    def read_values(self, node: Node) -> list[list[Values]]:
        """Read grid, zip and random: for each group of keys, the list of their values."""
        if not isinstance(node, Entries) or not node.nodes:
            self.report(
                node.place,
                (),
                f"expected some of {', '.join(COMBINATIONS)}, got {describe_value(convert_to_plain(node))}",
            )
            return []
        runs = []
        for name, inner in node.nodes.items():
            if name == "random":
                runs.append(self.random(inner))
            elif name in COMBINATIONS:
                lists = self.lists(inner, (name,))
                runs += self.zipped(inner, lists) if name == "zip" else vary_each_alone(lists)
            else:
                known = format_suggestion(name, COMBINATIONS) or f"; known: {', '.join(COMBINATIONS)}"
                self.report(node.places[name], (str(name),), f"unknown key{known}")
        return runs

    def lists(self, node: Node, path: Path) -> dict[str, list[Any]]:
        """Read the values of each key."""
        lists = {}
        for key, inner in self.entries(node, path).items():
            values = convert_to_plain(inner)
            texts = [json.dumps(value, default=str) for value in values] if isinstance(values, list) else []
            if not isinstance(inner, Items) or not values:
                self.report(inner.place, (*path, key), f"expected a list of values, got {describe_value(values)}")
            elif path == ("grid",) and len({*texts}) < len(texts):
                self.report(inner.place, (*path, key), "a value stands there twice")
            else:
                lists[key] = values
        return lists

    def zipped(self, node: Node, lists: dict[str, list[Any]]) -> list[list[Values]]:
        """Combine the first values of all keys, then the second..."""
        lengths = {key: len(values) for key, values in lists.items()}
        if len({*lengths.values()}) > 1:
            message = ", ".join(f"{key} has {length}" for key, length in lengths.items())
            self.report(node.place, ("zip",), f"expected lists of one length, {message}")
            return []
        return [[dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]]

    def random(self, node: Node) -> list[Values]:
        """Draw n values of all keys; those of a key depend on its name and the seed alone."""
        path, settings = ("random",), convert_to_plain(node)
        if not isinstance(node, Entries) or not {"n", "keys"} <= {*node.nodes} <= {"n", "keys", "seed"}:
            self.report(node.place, path, f"expected n, keys and perhaps seed, got {describe_value(settings)}")
            return []
        n, seed = settings["n"], settings.get("seed", 0)
        for name, value, least, most in (("n", n, 1, MAX_RUNS), ("seed", seed, 0, 2**64 - 1)):
            if type(value) is not int or not least <= value <= most:
                message = f"expected a whole number from {least} to {most}, got {describe_value(value)}"
                self.report(node.nodes[name].place, (*path, name), message)
                return []
        columns = {
            key: self.draws(key, inner, n, seed) for key, inner in self.entries(node.nodes["keys"], path).items()
        }
        return [{key: column[i] for key, column in columns.items()} for i in range(n)] if all(columns.values()) else []

    def draws(self, key: str, node: Node, n: int, seed: int) -> list[Any]:
        """Draw the values of a key in n runs."""
        draw = convert_to_plain(node)
        kind, limits = next(iter(draw.items())) if isinstance(draw, dict) and len(draw) == 1 else (None, [])
        if wrong := describe_wrong_draw(kind, limits):
            self.report(node.place, ("random", key), f"{wrong}, got {describe_value(draw)}")
            return []
        words = np.random.Philox(
            key=np.array([seed, zlib.crc32(key.encode(errors="backslashreplace"))], np.uint64)
        ).random_raw(n)
        return [draw_value(kind, limits, float(word >> np.uint64(11)) / 2**53) for word in words]

    def entries(self, node: Node, path: Path) -> dict[str, Node]:
        """Read the entries of a mapping; a key must be a path of the config, given once."""
        if not isinstance(node, Entries) or not node.nodes:
            self.report(node.place, path, f"expected keys of the config, got {describe_value(convert_to_plain(node))}")
            return {}
        entries = {}
        for name, inner in node.nodes.items():
            key, place = str(name), node.places[name]
            try:
                if not key or "=" in key:
                    raise ConfigError.at(place, (), "expected the path of a value, such as optimizer.SGD.lr")
                if key in self.keys:
                    raise ConfigError.at(place, (), "this key is in the sweep twice")
                set_value(self.root, key, Scalar(place, None), place, self.addable)
            except ConfigError as error:
                self.report(place, (*path, key), error.errors[0].message)
            self.keys.add(key)
            entries[key] = inner
        return entries


def vary_each_alone(lists: dict[str, list[Any]]) -> list[list[Values]]:
    """Vary each key independently, so that all combinations are made."""
    return [[{key: value} for value in values] for key, values in lists.items()]


def describe_wrong_draw(kind: Any, limits: Any) -> str:
    """Describe what was expected of a draw, "" if it is right."""
    if kind not in DRAWS:
        return f"expected one of {', '.join(DRAWS)}"
    if kind == "choice":
        return "" if isinstance(limits, list) and limits else "choice: expected a list of values"
    types: tuple[type, ...] = (int,) if kind == "integers" else (int, float)
    numbers = isinstance(limits, list) and len(limits) == 2 and all(type(limit) in types for limit in limits)
    if not numbers or not all(isinstance(limit, float) or abs(limit) < 2**53 for limit in limits):
        return f"{kind}: expected [least, most]"
    if not all(math.isfinite(limit) for limit in limits) or not limits[0] < limits[1]:
        return f"{kind}: expected [least, most], the least below the most"
    return "log_uniform: expected numbers above 0" if kind == "log_uniform" and limits[0] <= 0 else ""


def draw_value(kind: Any, limits: list[Any], u: float) -> Any:
    """Draw a value from a number in [0, 1); floats in six digits."""
    if kind == "choice":
        return limits[int(u * len(limits))]
    least, most = limits
    if kind == "integers":
        return least + int(u * (most - least + 1))
    if kind == "log_uniform":
        value = math.exp((1 - u) * math.log(least) + u * math.log(most))
    else:
        value = (1 - u) * least + u * most
    return float(min(max(float(f"{value:.6g}"), least), most))


def _format_flow(value: Any) -> str:
    """Format a value as YAML in one line."""
    match value:
        case dict():
            return f"{{{', '.join(f'{_format_flow(key)}: {_format_flow(item)}' for key, item in value.items())}}}"
        case list():
            return f"[{', '.join(map(_format_flow, value))}]"
        case float() if not math.isfinite(value):
            return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
        case str() if re.fullmatch(r"[A-Za-z_][\w.]*", value) and parse_core_value(value) == value:
            return value
        case str():
            text = json.dumps(value.replace("${", "$${"), ensure_ascii=False)
            return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
    return json.dumps(value)
