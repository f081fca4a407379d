"""Specs: objects of a config, checked but not built yet: a class and arguments, which may be specs, too."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from ...modules.checks.module_check import is_own_file
from .errors import ConfigError, Path, Place, Problem
from .memory_limit import describe_shortage
from .nodes import Entries, Items, Node
from .signatures import Accepted

__all__ = ["Spec", "build", "iterate_specs"]


@dataclass(frozen=True)
class Spec:
    """One object; `name` is its class as written, `arguments` are those that the config names.

    `overrides` are those that changed its arguments.
    """

    cls: Callable[..., Any]
    name: str
    accepted: Accepted
    arguments: dict[str, Any]
    place: Place
    path: Path
    overrides: tuple[str, ...] = ()
    node: Node | None = None

    @property
    def varargs(self) -> list[Any]:
        """The values for *args."""
        return self.arguments.get(self.accepted.varargs.name, []) if self.accepted.varargs else []

    def problem(self, error: Exception, hint: str = "") -> Problem:
        """Make a problem of an exception, at the line of this object."""
        because = f" ({', '.join(self.overrides)})" if self.overrides else ""
        place, path = self.within(getattr(error, "argument", ()))
        return Problem(place, path, format_sentence(error) + because, hint)

    def within(self, argument: Path) -> tuple[Place, Path]:
        """Find the path of an argument, as far as it is written in the config."""
        place, path, node = self.place, self.path, self.node
        for key in argument:
            if isinstance(node, Entries) and key in node.nodes:
                place, node = node.places[key], node.nodes[key]
            elif isinstance(node, Items) and isinstance(key, int) and key < len(node.nodes):
                node = node.nodes[key]
                place = node.place
            else:
                break
            path = (*path, key)
        return place, path


def iterate_specs(value: Any) -> Iterator[Spec]:
    """Iterate over all specs in a value, itself included, outermost first."""
    if isinstance(value, Spec):
        yield value
        value = value.arguments
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for child in children:
        yield from iterate_specs(child)


def build(value: Any, problems: list[Problem]) -> Any:
    """Build all specs in a value.

    What a constructor refuses is added to `problems` and the object becomes None, so one call finds it all.
    """
    if isinstance(value, dict):
        return {key: build(item, problems) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(build(item, problems) for item in value)
    if not isinstance(value, Spec):
        return value
    before = len(problems)
    arguments = build(value.arguments, problems)
    if len(problems) > before:
        return None
    try:
        return _construct(value, arguments)
    except ConfigError as error:  # from a config that the object itself reads
        problems.extend(error.errors)
    except Exception as error:  # a bad value, or a mistake in the class: its line is told, too
        problems.append(value.problem(error, f"accepted: {value.accepted.line()}"))
    return None


def format_sentence(error: Exception) -> str:
    """Format an exception with its notes; with its type and line, unless it is a ValueError."""
    text = str(error)
    if needs := describe_shortage(error):
        return "; ".join([needs, *getattr(error, "__notes__", [])])
    if type(error) is not ValueError:
        frames = traceback.extract_tb(error.__traceback__)
        at = ([frame for frame in frames if is_own_file(frame.filename)] or frames)[-1]
        text = f"{type(error).__name__}: {error} ({at.filename}, line {at.lineno})"
    return "; ".join([text, *getattr(error, "__notes__", [])])


def _construct(spec: Spec, arguments: dict[str, Any]) -> Any:
    """Call the class; parameters before *args are passed by position, as Python requires."""
    first: list[Any] = []
    if spec.accepted.varargs is not None:
        more = arguments.pop(spec.accepted.varargs.name, [])
        if more:
            before = (p for p in spec.accepted.named.values() if p.kind is not Parameter.KEYWORD_ONLY)
            first = [arguments.pop(parameter.name, parameter.default) for parameter in before]
        first.extend(more)
    return spec.cls(*first, **arguments)
