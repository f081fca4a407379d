"""Numbers in JSON: samples of one shape, and what does not fit by its place."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets.files.csv_table import decode_text

LARGEST = 1e30  # as in tables


def is_json(content: bytes, name: str) -> bool:
    """Whether content is JSON: by the name of its file, else by how it begins."""
    suffix = Path(name).suffix.lower()
    return suffix in (".json", ".jsonl") or (suffix not in (".csv", ".txt") and content.lstrip()[:1] in (b"[", b"{"))


def parse_json(content: bytes, name: str) -> Any:
    """Parse JSON, or JSON Lines: then the list of what the lines hold; ValueError that names line and column."""
    text = decode_text(name, content)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    values = []
    for number, line in lines:
        try:
            values.append(json.loads(line))
        except json.JSONDecodeError as error:
            if not values:  # the first line is no value: this is no JSON Lines
                break
            raise ValueError(f"{name}, line {number}, column {error.colno}: {error.msg}, expected JSON") from None
    else:
        return values
    raise ValueError(f"{name}, line {problem.lineno}, column {problem.colno}: {problem.msg}, expected JSON")


def read_json_samples(content: bytes, name: str, shape: Sequence[int] | None) -> np.ndarray:
    """Read samples (N, ...) of one shape from JSON; a single one may stand without the list around it.

    Args: shape: of a sample in the training, if it is known.
    Errors: ValueError that names the row of what does not fit.
    """
    values = parse_json(content, name)
    values = values["x"] if isinstance(values, dict) and "x" in values else values
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name}: got {describe(values)}, expected a list of samples")
    known = None if shape is None else tuple(shape)
    if not isinstance(values[0], list) or (known is not None and len(known) > 1 and find_shape(values) == known):
        values = [values]
    known = find_shape(values[0]) if known is None or find_shape(values[0]) == (math.prod(known),) else known
    return np.stack([as_array(value, known, f"{name}: row {row}") for row, value in enumerate(values)])


def find_shape(value: Any) -> tuple[int, ...]:
    """The shape of nested lists, by their first elements."""
    return (len(value), *find_shape(value[0])) if isinstance(value, list) and value else ()


def as_array(value: Any, shape: tuple[int, ...], place: str, axis: str = "number") -> np.ndarray:
    """Convert nested lists to an array of this shape, int64 if all numbers are whole; ValueError names the place.

    Args: place: what messages call the value; axis: what they call its elements.
    """
    if shape:
        if not isinstance(value, list) or len(value) != shape[0]:
            what = "numbers" if len(shape) == 1 else "lists"
            raise ValueError(f"{place}: got {describe(value)}, expected {shape[0]} {what}")
        array = np.array(value) if find_shape(value) == shape and is_regular(value, shape) else None
        if array is None or array.dtype.kind not in "iuf" or not (np.abs(array) < LARGEST).all():
            return np.stack([as_array(each, shape[1:], f"{place}, {axis} {k}") for k, each in enumerate(value)])
        return array
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        raise ValueError(f"{place}: got {describe(value)}, expected a number below 1e30")
    return np.array(value)


def is_regular(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether nested lists are all as long as this shape says, and hold neither lists nor truth values."""
    if not shape:
        return not isinstance(value, list | bool)
    return isinstance(value, list) and len(value) == shape[0] and all(is_regular(each, shape[1:]) for each in value)


def describe(value: Any) -> str:
    """Describe a value of JSON in a message."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    return json.dumps(value)[:40]
