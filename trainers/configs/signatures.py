"""Signatures of classes and functions: names, types and defaults of parameters.

The types check a config, and the whole line is shown when a config names an argument that does not exist.
"""

import collections.abc
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

__all__ = ["LISTS", "MAPPINGS", "Accepted", "find_item_type", "format_type", "list_union_members"]

Annotation: TypeAlias = Any
LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
MAPPINGS = (dict, collections.abc.Mapping)


@dataclass(frozen=True)
class Accepted:
    """The named parameters of something callable; `varargs` and `varkw` are its *args and **kwargs."""

    name: str
    named: dict[str, Parameter]
    varargs: Parameter | None
    varkw: Parameter | None

    @classmethod
    def of(cls, function: Callable[..., Any], names: Mapping[str, Any]) -> "Accepted":
        """Args: names: for annotations whose names the function's module imports only for type checkers."""
        named, varargs, varkw = {}, None, None
        for parameter in inspect.signature(function).parameters.values():
            parameter = parameter.replace(annotation=_evaluate(parameter.annotation, function, names))
            if parameter.kind is Parameter.VAR_POSITIONAL:
                varargs = parameter
            elif parameter.kind is Parameter.VAR_KEYWORD:
                varkw = parameter
            else:
                named[parameter.name] = parameter
        if varkw is not None and (handed_on := _find_parent_keywords(function, names)):
            named, varkw = {**named, **{k: v for k, v in handed_on.items() if k not in named}}, None
        return cls(function.__name__, named, varargs, varkw)

    def settings(self, name: str, without: set[str]) -> "Accepted":
        """The keyword-only parameters alone, under another name."""
        settings = {
            key: parameter
            for key, parameter in self.named.items()
            if parameter.kind is Parameter.KEYWORD_ONLY and key not in without
        }
        return Accepted(name, settings, None, None)

    @property
    def required(self) -> list[str]:
        return [name for name, parameter in self.named.items() if parameter.default is Parameter.empty]

    @property
    def names(self) -> list[str]:
        return [*self.named, *([self.varargs.name] if self.varargs else [])]

    def line(self) -> str:
        """`SGD(lr: float, momentum: float = 0.0)`."""
        everything = [*self.named.values(), self.varargs, self.varkw]
        parts = [_format_default(parameter) for parameter in everything if parameter is not None]
        return f"{self.name}({', '.join(parts)})"


def list_union_members(annotation: Annotation) -> tuple[Annotation, ...]:
    """List the members of a union: `float | None` as (float, None); any other type alone."""
    if get_origin(annotation) in (Union, UnionType):
        return tuple(member for option in get_args(annotation) for member in list_union_members(option))
    return (annotation,)


def find_item_type(inner: tuple[Annotation, ...], i: int) -> Annotation:
    """Find the type of item i in `list[inner]`, `tuple[inner, ...]` or `tuple[inner]`."""
    types = [option for option in inner if option is not ...]
    return types[min(i, len(types) - 1)]


def format_type(annotation: Annotation) -> str:
    """Format a type without the modules of its parts."""
    if annotation is Any:
        return "anything"
    if annotation in (None, NoneType):
        return "None"
    if len(members := list_union_members(annotation)) > 1:
        return " | ".join(map(format_type, members))
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin is Annotated:
        return format_type(arguments[0])
    if origin is collections.abc.Callable:
        return "Callable"
    if origin is not None and arguments:
        inner = ", ".join("..." if argument is ... else format_type(argument) for argument in arguments)
        return f"{origin.__name__}[{inner}]"
    return str(getattr(annotation, "__name__", annotation))


def _evaluate(annotation: Annotation, function: Callable[..., Any], names: Mapping[str, Any]) -> Annotation:
    """Evaluate an annotation; Any where there is none, or where its name cannot be found."""
    if annotation is Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    owner = getattr(function, "__init__", function) if inspect.isclass(function) else function
    own = getattr(inspect.unwrap(owner), "__globals__", None) or vars(sys.modules[function.__module__])
    holder = type("holder", (), {"__annotations__": {"it": annotation}})
    try:
        return get_type_hints(holder, {**names, **own}, {}, include_extras=True)["it"]
    except Exception:
        return Any


def _find_parent_keywords(function: Callable[..., Any], names: Mapping[str, Any]) -> dict[str, Parameter]:
    """Find the keyword-only parameters of the next class whose `__init__` gets the **keywords of this one."""
    owners = [cls for cls in inspect.getmro(function) if "__init__" in vars(cls)] if inspect.isclass(function) else []
    if len(owners) < 2 or owners[1] is object:
        return {}
    return Accepted.of(owners[1], names).settings("", without=set()).named


def _format_default(parameter: Parameter) -> str:
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
    typed = "" if parameter.annotation is Any else f": {format_type(parameter.annotation)}"
    default = ""
    if parameter.default is not Parameter.empty:
        default = f" = {parameter.default!r}" if typed else f"={parameter.default!r}"
    return f"{stars}{parameter.name}{typed}{default}"
