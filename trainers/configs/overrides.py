"""Overrides such as `optimizer.SGD.lr=0.01`: a path in the config, and a value in YAML.

They change the tree before it is checked, so an override is checked like the file. A key that holds dots is found as it
stands (`schedules.optimizer.lr`); a new one is put in quotes: `schedules."optimizer.lr"={CosineSchedule: {per: step}}`.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .errors import ConfigError, Path, Place, format_key, format_path, format_suggestion
from .nodes import Entries, Items, Node, Scalar, read_yaml

__all__ = ["apply_override", "set_value", "split_path", "starts_with_name"]

QUOTES = "\"'"


def apply_override(root: Node, override: str, addable: Sequence[str]) -> Node:
    """Replace or add one value of a tree.

    Args: addable: keys of the root whose mapping is made when the file has none.
    Errors: ConfigError that names the override.
    """
    key, equals, text = override.partition("=")
    place = Place(f"override {override!r}")
    key = key.strip()
    if not equals or not key:
        raise ConfigError.at(place, (), "expected key.path=value, such as optimizer.SGD.lr=0.01")
    problems: list[Any] = []
    value = read_yaml(text, str(place), problems, path=(key,), lines=False)
    if problems:
        raise ConfigError(problems)
    return set_value(root, key, value, place, addable)


def set_value(root: Node, key: str, value: Node, place: Place, addable: Sequence[str]) -> Node:
    """Set `value` at a path of a tree; errors name `place`."""
    if isinstance(root, Entries) and (first := split_path(key, place, ())[0]) in addable and first not in root.nodes:
        root = _set_entry(root, first, Entries(place, {}, {}), place)
    return _replace(root, key, value, place, ())


def _replace(node: Node, key: str, value: Node, place: Place, path: Path) -> Node:
    """Replace the value at `key` of a node; `path` is the part that led here."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and starts_with_name(key, node.value):
        node = Entries(node.place, {node.value: Scalar(place, None)}, {node.value: node.place})
    if isinstance(node, Scalar) and node.value is None and path:
        node = Entries(place, {}, {})
    if isinstance(node, Entries):
        return _replace_in_mapping(node, key, value, place, path)
    step, rest = split_path(key, place, path)
    if isinstance(node, Items):
        if not step.isdecimal() or int(step) >= len(node.nodes):
            positions = f"0 to {len(node.nodes) - 1}" if node.nodes else "none, it is empty"
            raise ConfigError.at(place, (*path, step), f"{format_path(path)} is a list with positions {positions}")
        child = node.nodes[int(step)]
        new = _replace(child, rest, value, place, (*path, int(step))) if rest else value
        return replace(node, nodes=(*node.nodes[: int(step)], new, *node.nodes[int(step) + 1 :]))
    guess = format_suggestion(step, [node.value]) if isinstance(node.value, str) else ""
    raise ConfigError.at(place, (*path, step), f"{format_path(path)} is {node.value!r}, which holds no {step!r}{guess}")


def _replace_in_mapping(node: Entries, key: str, value: Node, place: Place, path: Path) -> Entries:
    """Replace a value of a mapping; as keys may have dots (`my_modules.Scale`), the longest that fits."""
    step, rest = split_path(key, place, path)
    known = [name for name in node.nodes if (step == name if key[0] in QUOTES else starts_with_name(key, str(name)))]
    if known:
        name = max(known, key=lambda name: len(str(name)))
        rest = rest if key[0] in QUOTES else key[len(str(name)) + 1 :]
        new = _replace(node.nodes[name], rest, value, place, (*path, name)) if rest else value
        return _set_entry(node, name, new, place)
    if rest and path == ("rule",) and not node.nodes:  # an override alone begins it
        return _set_entry(node, step, _replace(Entries(place, {}, {}), rest, value, place, (*path, step)), place)
    if rest:
        here = ", ".join(map(format_key, node.nodes)) or "nothing"
        guess = format_suggestion(step, node.nodes) or f"; here stands {here}"
        if path and _find_class_name(node) and step[0].isupper() and not guess.endswith("?"):
            guess += f", and '{format_path(path)}={{{step}: {{...}}}}' puts another in its place"
        if path == ("schedules",):
            guess = f"""; a new path stands in quotes: 'schedules."{find_setting_path(key)}"={{...}}'"""
        where = f" in {format_path(path)}" if path else ""
        raise ConfigError.at(place, (*path, step), f"there is no {step!r}{where}{guess}")
    if path and (name := _find_class_name(node)) and not step[0].isupper():
        full_path = format_path((*path, name, step))
        raise ConfigError.at(place, (*path, step), f"here stands the class {name}; did you mean {full_path!r}?")
    return _set_entry(node, step, value, place)


def find_setting_path(key: str) -> str:
    """Find the setting in a path below `schedules`: all before the class of the schedule."""
    words = key.split(".")
    return ".".join(itertools.takewhile(lambda word: not word[:1].isupper(), words)) or key


def _find_class_name(node: Entries) -> str:
    """Find the class name of a mapping that looks like an object: one key in capitals, with arguments."""
    (name, *more), (value, *_) = (*node.nodes, ""), (*node.nodes.values(), None)
    arguments = isinstance(value, Entries) or (isinstance(value, Scalar) and value.value is None)
    return str(name) if more == [""] and arguments and str(name).rpartition(".")[2][:1].isupper() else ""


def split_path(key: str, place: Place, path: Path) -> tuple[str, str]:
    """Split the first step of a path from the rest; a step in quotes may have dots."""
    if key[0] not in QUOTES:
        step, _, rest = key.partition(".")
        return step, rest
    step, closed, rest = key[1:].partition(key[0])
    if not closed or not step or (rest and (rest[0] != "." or rest == ".")):
        raise ConfigError.at(place, (*path, key), f"expected {key[0]}...{key[0]}, then a dot and the rest of the path")
    return step, rest[1:]


def starts_with_name(key: str, name: str) -> bool:
    """Whether a path begins with a name."""
    return key == name or key.startswith(name + ".")


def _set_entry(node: Entries, key: Any, value: Node, place: Place) -> Entries:
    """Set one value of a mapping; only a new key gets the override's place."""
    return replace(node, nodes={**node.nodes, key: value}, places={key: place, **node.places})
