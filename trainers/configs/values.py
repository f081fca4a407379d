"""Type checks of plain values, without conversions from one type to another.

pydantic does the checking, as it does for JSON: 1.5 is no int, true is no number, a list may be a tuple. An
int stays an int where a float is expected, because some arguments tell a count from a fraction by that.
"""

import collections.abc
import json
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from .errors import format_suggestion
from .signatures import format_type, list_union_members
from .surrogates import has_surrogates, hide_surrogates, restore_surrogates

__all__ = ["TypeMismatchError", "check_value", "describe_value"]


class TypeMismatchError(ValueError):
    """A value of another type; the message names the expected one."""


def check_value(value: Any, annotation: Any) -> Any:
    """Check a value against an annotation; lists may become tuples, strings may become paths.

    Errors: Refused.
    """
    if annotation is Any:
        return value
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(
            convert_annotation(annotation), config=ConfigDict(arbitrary_types_allowed=True)
        )
    except PydanticUserError:  # a type that pydantic cannot check is left to the class itself
        return value
    hides = has_surrogates(value)
    try:
        result = adapter.validate_json(json.dumps(hide_surrogates(value) if hides else value), strict=True)
        return restore_surrogates(result) if hides else result
    except ValidationError as error:
        raise TypeMismatchError(_format_message(value, annotation, error)) from None


def describe_value(value: Any) -> str:
    """Describe a value with its type, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"the string {value!r}"
        case list():
            return f"the list {value!r}"
        case dict():
            return f"the mapping {value!r}"
        case _:
            return f"the {type(value).__name__} {value!r}"


def _format_message(value: Any, annotation: Any, error: ValidationError) -> str:
    """Format the expected type, or the condition that a value of the right type violates."""
    problem = error.errors()[0]
    if not problem["type"].endswith(("_type", "_parsing", "literal_error", "needs_python_object")):
        return f"got {describe_value(value)}: {problem['msg'].lower()}"
    words = [
        word for option in list_union_members(annotation) if get_origin(option) is Literal for word in get_args(option)
    ]
    return f"expected {format_type(annotation)}, got {describe_value(value)}{format_suggestion(value, words)}"


def convert_annotation(annotation: Any) -> Any:
    """Widen `float` to int and float, and read `Iterable` as a list."""
    if annotation is float:
        return int | float
    if len(members := list_union_members(annotation)) > 1:
        return Union[tuple(map(convert_annotation, members))]  # noqa: UP007
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not arguments or origin in (Literal, collections.abc.Callable):
        return annotation
    if origin is Annotated:
        return Annotated[convert_annotation(arguments[0]), *arguments[1:]]
    inner = tuple(argument if argument is ... else convert_annotation(argument) for argument in arguments)
    return list[inner[0]] if origin is collections.abc.Iterable else origin[inner]  # type: ignore[valid-type]
