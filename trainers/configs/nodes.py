"""YAML text as a tree whose nodes have lines and columns.

The library splits the text into events; plain words become values by the core schema of YAML 1.2 (so `1e-3`
is a number and `no` a string), and no tag constructs anything.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent
from ruamel.yaml.reader import ReaderError

from .errors import ConfigError, Path, Place, Problem
from .surrogates import has_surrogates, hide_surrogates, restore_surrogates
from .tab_scanner import TabScanner

__all__ = [
    "LARGEST",
    "Entries",
    "Items",
    "Node",
    "Scalar",
    "convert_to_plain",
    "measure_size",
    "parse_core_value",
    "read_yaml",
]

DEEPEST, LARGEST = 100, 100_000  # levels and values of a config
LONGEST = 1000  # characters of a word
MERGE_KEY = "merge keys (<<) are no part of YAML 1.2; 'include' merges files, and ${key.path} repeats a value"
CHARACTERS = 2_000_000  # of a file, which is read in seconds


@dataclass(frozen=True)
class Scalar:
    """A string, a number, true, false or null."""

    place: Place
    value: Any


@dataclass(frozen=True)
class Items:
    """A list."""

    place: Place
    nodes: tuple["Node", ...]


@dataclass(frozen=True)
class Entries:
    """A mapping; `places` are those of its keys."""

    place: Place
    nodes: dict[Any, "Node"]
    places: dict[Any, Place]


Node = Scalar | Items | Entries


def convert_to_plain(node: Node) -> Any:
    """Convert a node to Python values."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [convert_to_plain(item) for item in node.nodes]
        case Entries():
            return {key: convert_to_plain(value) for key, value in node.nodes.items()}


def measure_size(node: Node) -> tuple[int, int]:
    """Count the values of a tree, and its levels."""
    children = node.nodes.values() if isinstance(node, Entries) else node.nodes if isinstance(node, Items) else ()
    sizes = [measure_size(child) for child in children]
    return 1 + sum(size for size, _ in sizes), 1 + max((levels for _, levels in sizes), default=0)


def parse_core_value(word: str) -> Any:
    """Parse an unquoted word (YAML 1.2.2, section 10.3.2)."""
    if re.fullmatch("|~|null|Null|NULL", word):
        return None
    if re.fullmatch("true|True|TRUE|false|False|FALSE", word):
        return word.lower() == "true"
    if re.fullmatch("[-+]?[0-9]+", word):
        return int(word)
    if re.fullmatch("0o[0-7]+|0x[0-9a-fA-F]+", word):
        return int(word, 0)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", word):
        return float(word)
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", word):
        return float(word.replace(".", ""))
    return word


def read_yaml(text: str, source: str, problems: list[Problem], *, path: Path = (), lines: bool = True) -> Node:
    """Read one YAML document as a tree; `source` names it in messages, with line and column if `lines`.

    Duplicate keys and tags are added to `problems`; a syntax error raises ConfigError.
    """
    if len(text) > CHARACTERS:
        raise ConfigError.at(Place(source), path, f"a config has at most {CHARACTERS:,} characters, got {len(text):,}")
    reader = _Reader(text, source, problems, lines)
    try:
        return reader.document(path)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        if mark and any("${" in line for line in text.split("\n")[mark.line : mark.line + 1]):
            message += "; within [] and {} a reference stands in quotes: '${...}'"
        if "expected <block end>" in message or "mapping values are not allowed" in message:
            message += "; is the line indented like those beside it, with one key in it?"
        if "'\\t'" in message:
            message += "; lines are indented by spaces"
        raise ConfigError.at(reader.place(mark), path, message) from None
    except ReaderError as error:
        before = text[: error.position]
        place = Place(source, before.count("\n") + 1, len(before) - before.rfind("\n")) if lines else Place(source)
        character = ascii(text[error.position])
        raise ConfigError.at(place, path, f"the character {character} is not allowed") from None
    except YAMLError as error:
        raise ConfigError.at(Place(source), path, str(error)) from None
    except RecursionError:
        raise ConfigError.at(Place(source), path, "nested too deeply") from None


class _Reader:
    """A parser of the events of one text; `anchors` maps `&name` to the finished node."""

    def __init__(self, text: str, source: str, problems: list[Problem], lines: bool) -> None:
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = TabScanner
        self.hides = has_surrogates(text)
        self.events: Iterator[Any] = yaml.parse(hide_surrogates(text) if self.hides else text)
        self.source = source
        self.problems = problems
        self.lines = lines
        self.anchors: dict[str, Node] = {}
        self.count = 0

    def place(self, mark: Any) -> Place:
        return Place(self.source, mark.line + 1, mark.column + 1) if self.lines and mark else Place(self.source)

    def document(self, path: Path) -> Node:
        node: Node = Scalar(Place(self.source, 1, 1) if self.lines else Place(self.source), None)
        has_document = False
        for event in self.events:
            if isinstance(event, ScalarEvent | AliasEvent | SequenceStartEvent | MappingStartEvent):
                if has_document:
                    raise ConfigError.at(self.place(event.start_mark), path, "a second document starts here")
                node, has_document = self.node(event, path), True
        return node

    def node(self, event: Any, path: Path) -> Node:
        place = self.place(event.start_mark)
        if isinstance(event, AliasEvent):
            if event.anchor not in self.anchors:
                raise ConfigError.at(place, path, f"no '&{event.anchor}' is complete before this '*{event.anchor}'")
            self._grow(*measure_size(self.anchors[event.anchor]), place, path)
            return self.anchors[event.anchor]
        self._grow(1, 1, place, path)
        if event.tag is not None:
            self.problems.append(Problem(place, path, f"a config has no tags, got '{event.tag}'"))
        node: Node
        if isinstance(event, ScalarEvent):
            node = Scalar(place, self.scalar(event, place, path))
        elif isinstance(event, SequenceStartEvent):
            node = Items(place, tuple(self.node(item, (*path, i)) for i, item in enumerate(self.until_end())))
        else:
            node = self.mapping(place, path)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def scalar(self, event: ScalarEvent, place: Place, path: Path) -> Any:
        """Parse a word; one that is far too long is refused."""
        if self.hides:
            event.value = restore_surrogates(event.value)
        if len(event.value) > LONGEST:
            raise ConfigError.at(place, path, f"a word has at most {LONGEST:,} characters, got {len(event.value):,}")
        value = parse_core_value(event.value) if event.style is None else event.value
        if isinstance(value, int) and abs(value) >= 2**64:
            excerpt = event.value if len(event.value) < 30 else f"{event.value[:25]}..."
            self.problems.append(Problem(place, path, f"{excerpt} is a whole number of more than 64 bits"))
        return value

    def _grow(self, count: int, levels: int, place: Place, path: Path) -> None:
        """Refuse a tree that is too large, or too deep for recursive functions."""
        self.count += count
        if self.count > LARGEST:
            raise ConfigError.at(place, (), f"a config has at most {LARGEST:,} values")
        if len(path) + levels > DEEPEST:
            raise ConfigError.at(place, (), f"nested too deeply, expected at most {DEEPEST} levels")

    def mapping(self, place: Place, path: Path) -> Entries:
        entries = Entries(place, {}, {})
        for event in self.until_end():
            key = self.node(event, path)
            if not isinstance(key, Scalar):
                raise ConfigError.at(key.place, path, "a key is one word, got a list or a mapping")
            inner = (*path, str(key.value))
            value = self.node(next(self.events), inner)
            if key.value == "<<":
                self.problems.append(Problem(key.place, inner, MERGE_KEY))
            elif key.value in entries.nodes:
                first = entries.places[key.value]
                where = f" (first on line {first.line})" if first.line else ""
                self.problems.append(Problem(key.place, inner, f"duplicate key{where}"))
            else:
                entries.nodes[key.value] = value
                entries.places[key.value] = key.place
        return entries

    def until_end(self) -> Iterator[Any]:
        """Iterate over the events that open each child, up to the end of the collection."""
        for event in self.events:
            if type(event).__name__ in ("SequenceEndEvent", "MappingEndEvent"):
                return
            yield event
