"""References such as `${model.1.Linear.out_features}` to other values of the same config.

A value that is nothing but a reference keeps its type, and may be a list or a mapping; within a text a plain value is
written out. The path is the one of an override; `$${` stands for `${` itself.
"""

import json
import re
from dataclasses import replace

from .errors import ConfigError, Place, Problem, format_key, format_suggestion
from .nodes import DEEPEST, LARGEST, Entries, Items, Node, Scalar, measure_size
from .overrides import split_path, starts_with_name

__all__ = ["resolve_references"]

REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
LONGEST = 10_000  # characters of a text with references


def resolve_references(root: Node, problems: list[Problem]) -> Node:
    """Replace each reference in a tree by its value; adds those that cannot be resolved to `problems`."""
    return _References(root, problems).of(root)


class _References:
    """A resolver: `active` are the scalars being resolved, outermost first; `known` are results, by id.

    `count` is how many values the references have added.
    """

    def __init__(self, root: Node, problems: list[Problem]) -> None:
        self.root = root
        self.problems = problems
        self.active: list[Scalar] = []
        self.known: dict[int, Node] = {}
        self.count = 0
        self.problem_places: set[Place] = set()

    def of(self, node: Node) -> Node:
        """Resolve all references in a node."""
        match node:
            case Items():
                return replace(node, nodes=tuple(map(self.of, node.nodes)))
            case Entries():
                return replace(node, nodes={key: self.of(value) for key, value in node.nodes.items()})
        if not isinstance(node.value, str) or "${" not in node.value:
            return node
        try:
            return self.scalar(node)
        except ConfigError as error:
            if node.place not in self.problem_places:  # a value may be reached in several ways
                self.problem_places.add(node.place)
                self.problems.extend(error.errors)
            return Scalar(node.place, None)

    def scalar(self, node: Scalar) -> Node:
        """Resolve the references in a text; ConfigError at its place."""
        if id(node) in self.known:
            return self.known[id(node)]
        if any(node is other for other in self.active):
            raise ConfigError.at(node.place, (), f"the reference {node.value!r} leads back to itself")
        if len(self.active) > DEEPEST:
            raise ConfigError.at(node.place, (), f"references lead more than {DEEPEST} levels deep")
        self.active.append(node)
        try:
            if "${" in REFERENCE.sub("", node.value):
                raise ConfigError.at(node.place, (), "a '${' without its '}'; '$${' stands for the characters")
            whole = REFERENCE.fullmatch(node.value)
            if whole and whole[1] is not None:
                target = self.target(whole[1], node.place)
                self.known[id(node)] = replace(target, place=node.place) if isinstance(target, Scalar) else target
                return self.known[id(node)]
            text = REFERENCE.sub(lambda match: self.text(match, node.place), node.value)
            if len(text) > LONGEST:
                raise ConfigError.at(node.place, (), f"the text has {len(text):,} characters, expected {LONGEST:,}")
            self.known[id(node)] = replace(node, value=text)
            return self.known[id(node)]
        finally:
            self.active.pop()

    def text(self, match: re.Match[str], place: Place) -> str:
        """Format the value of a reference within a text."""
        if match[1] is None:
            return "${"
        target = self.target(match[1], place)
        if not isinstance(target, Scalar):
            raise ConfigError.at(place, (), f"{match[0]} is a list or a mapping, which has no place within a text")
        return target.value if isinstance(target.value, str) else json.dumps(target.value)

    def target(self, key: str, place: Place) -> Node:
        """Find the value at a path, without references."""
        node, rest = self.root, key.strip()
        while rest:
            if isinstance(node, Scalar) and isinstance(node.value, str) and REFERENCE.fullmatch(node.value):
                node = self.scalar(node)
            node, rest = _find_child(node, rest, key, place)
        if node is self.root:
            raise ConfigError.at(place, (), "a reference names a value, such as ${optimizer.SGD.lr}")
        copy = node if self.count > LARGEST else self.without(node)
        size, levels = measure_size(copy)
        self.count += size
        if self.count > LARGEST:
            raise ConfigError.at(place, (), f"with its references the config has more than {LARGEST:,} values")
        if levels > DEEPEST:
            raise ConfigError.at(place, (), f"references lead more than {DEEPEST} levels deep")
        return copy

    def without(self, node: Node) -> Node:
        """As `of`, but what is wrong with a scalar is told where it is used, too."""
        return self.scalar(node) if isinstance(node, Scalar) and "${" in str(node.value) else self.of(node)


def _find_child(node: Node, rest: str, key: str, place: Place) -> tuple[Node, str]:
    """Find the value one step down a path, and the rest of the path."""
    step, after = split_path(rest, place, ())
    if isinstance(node, Entries):
        quoted = rest[0] in "\"'"
        known = [name for name in node.nodes if (step == name if quoted else starts_with_name(rest, str(name)))]
        if known:
            name = max(known, key=lambda name: len(str(name)))
            return node.nodes[name], after if quoted else rest[len(str(name)) + 1 :]
        guess = (
            format_suggestion(step, node.nodes)
            or f"; here stands {', '.join(map(format_key, node.nodes)) or 'nothing'}"
        )
        raise ConfigError.at(place, (), f"${{{key}}}: there is no {step!r}{guess}")
    if isinstance(node, Items) and step.isdecimal() and len(step) < 10 and int(step) < len(node.nodes):
        return node.nodes[int(step)], after
    what = f"a list of {len(node.nodes)}" if isinstance(node, Items) else repr(node.value)
    raise ConfigError.at(place, (), f"${{{key}}}: {what} holds no {step!r}")
