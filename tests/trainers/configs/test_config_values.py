"""Types of plain values, and signatures as a config's user sees them."""

import collections.abc
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import numpy as np
import pytest
from bprop.trainers.configs.signatures import Accepted, format_type
from bprop.trainers.configs.values import TypeMismatchError, check_value
from pydantic import Field


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, 3, 3),
        (float, 3, 3),
        (float, 3.5, 3.5),
        (bool, True, True),
        (str, "a", "a"),
        (Any, {"a": 1}, {"a": 1}),
        (int | None, None, None),
        (tuple[int, int] | int, [1, 2], (1, 2)),
        (tuple[float, ...], [1, 2.5], (1, 2.5)),
        (list[float], [1], [1]),
        (collections.abc.Sequence[str], ["a"], ["a"]),
        (collections.abc.Iterable[str], ["a"], ["a"]),
        (dict[str, float], {"a": 1}, {"a": 1}),
        (dict[int, float], {1: 2.0}, {1: 2.0}),
        (str | Path, "a/b", "a/b"),
        (Path | None, "a/b", Path("a/b")),
        (str | np.ndarray, "a", "a"),
        (Literal["a", "b"], "b", "b"),
        (Annotated[float, Field(ge=0)], 1, 1),
        (np.typing.DTypeLike, "float32", "float32"),
    ],
)
def test_accepted(annotation, value, expected):
    got = check_value(value, annotation)
    assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, 1.5, "expected int, got the float 1.5"),
        (int, 1.0, "expected int, got the float 1.0"),
        (int, True, "expected int, got true"),
        (int, "5", "expected int, got the string '5'"),
        (float, True, "expected float, got true"),
        (float, "5", "expected float, got the string '5'"),
        (bool, 1, "expected bool, got the int 1"),
        (str, 1, "expected str, got the int 1"),
        (str, None, "expected str, got null"),
        (int | None, {"a": 1}, "expected int | None, got the mapping {'a': 1}"),
        (tuple[float, ...], [1, True], "expected tuple[float, ...], got the list [1, True]"),
        (list[str], "ab", "expected list[str], got the string 'ab'"),
        (
            Literal["same", "valid"],
            "sme",
            "expected 'same' | 'valid', got the string 'sme'; did you mean 'same'?",
        ),
        (np.ndarray, [1], "expected ndarray, got the list [1]"),
        (collections.abc.Callable[[int], int], "f", "expected Callable, got the string 'f'"),
        (Annotated[int, Field(ge=0)], -1, "got the int -1: input should be greater than or equal to 0"),
    ],
)
def test_refused(annotation, value, message):
    with pytest.raises(TypeMismatchError) as caught:
        check_value(value, annotation)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (float | None, "float | None"),
        (Optional[int], "int | None"),  # noqa: UP045
        (dict[str, list[int]], "dict[str, list[int]]"),
        (Literal["a", 1], "'a' | 1"),
        (Annotated[int, Field(ge=0)], "int"),
        (Any, "anything"),
        (np.ndarray, "ndarray"),
    ],
)
def test_type_name(annotation, name):
    assert format_type(annotation) == name


def function(a, b: "int", /, c: "Elsewhere" = 2, *rest: float, d: "Unknown" = None, e="x", **more: bool):  # noqa: F821
    """Its types are found in this module, among the names given, or not at all."""


def test_signature_as_a_line():
    line = "function(a, b: int, c: float = 2, d=None, e='x', *rest: float, **more: bool)"
    assert Accepted.of(function, {"Elsewhere": float}).line() == line


def test_settings_are_the_keyword_only_arguments():
    settings = Accepted.of(function, {}).settings("trainer", without={"e"})
    assert settings.line() == "trainer(d=None)"
    assert settings.names == ["d"]


def test_a_class_without_arguments():
    class Plain:
        pass

    assert Accepted.of(Plain, {}).line() == "Plain()"


def test_a_class_without_a_signature():
    with pytest.raises(ValueError, match="no signature found for builtin type <class 'int'>"):
        Accepted.of(int, {})
