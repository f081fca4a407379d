"""Inputs of runs on sequences of unequal lengths, and numbers in JSON: from the content of a file to arrays."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...datasets import CsvSequences, NpzSequences, TsSequences
from ...datasets.array_files import read_named
from ...datasets.columns import read_numbers
from ...datasets.files.csv_table import MISSING_VALUES, decode_text, find_delimiter, make_spelling, parse_csv
from ...datasets.files.npy import name_damage
from ...datasets.files.ts_file import read_ts
from ...datasets.sequences.csv_sequences import group_rows
from ...datasets.sequences.sequence_parts import check_lengths, pad_sequences
from ...datasets.sequences.ts_sequences import fill_missing
from .target_scaling import TargetScaling

NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"  # how such files begin
LARGEST = 1e30  # as in tables
SEQUENCES = "lists of steps in JSON, a list for each sequence"


@contextlib.contextmanager
def open_as_file(content: bytes) -> Iterator[Path]:
    """Open content by a path; in memory where no temporary file can be made, as on a read-only file system."""
    with contextlib.ExitStack() as opened:
        try:
            file: IO[bytes] = opened.enter_context(tempfile.NamedTemporaryFile())
            name = file.name
        except OSError:
            if not hasattr(os, "memfd_create"):  # Linux alone
                raise
            file = opened.enter_context(open(os.memfd_create("input"), "wb"))
            name = f"/proc/self/fd/{file.fileno()}"
        file.write(content)
        file.flush()
        yield Path(name)


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


def read_sequences(
    content: bytes, name: str, dataset: type, arguments: dict[str, Any], units: TargetScaling
) -> tuple[list[np.ndarray], dict[str, list]]:
    """Read sequences, (t, D) each or tokens (t,), from a file's content, at the original scale.

    JSON has a list of steps for each sequence, or x and lengths; an .npz file x and lengths; an .npy array steps that
    are all real; a .ts file series; a table the steps of one sequence, or, of a run on `CsvSequences`, those of all
    keys.

    Args: dataset, arguments: of the run's config.
    Returns: the sequences, and columns that name them.
    Errors: ValueError that names the sequence and the step of what does not fit.
    """
    shape = tuple(units.shape or ())[1:]
    if is_json(content, name):
        return read_json_sequences(parse_json(content, name), name, shape), {}
    if content.startswith(NPY):
        with name_damage(name, ".npy"):
            array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        return cut_padding(array, None, name, shape), {}
    is_series = issubclass(dataset, TsSequences) and content.lstrip()[:1] in (b"@", b"#")
    if not (is_series or content.startswith(ZIP)):
        return read_table(content, name, dataset, arguments, shape)
    with open_as_file(content) as path:
        try:
            if is_series:
                file = read_ts(path)
                missing = arguments.get("missing", "refuse")
                series = [fill_missing(file, n, missing) for n in range(len(file.series))]
                if series[0].shape[1:] != shape:
                    what = f"{series[0].shape[1]} dimensions"
                    raise ValueError(f"{name}: there are {what}, expected {shape[0]} as in the training")
                return series, {}
            names = arguments if issubclass(dataset, NpzSequences) else {}
            x, lengths = (read_named(path, names.get(key, key)) for key in ("x", "lengths"))
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from None
    return cut_padding(x, lengths, name, shape), {}


def read_json_sequences(values: Any, name: str, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Convert lists of steps, or {"x": padded lists, "lengths": numbers}, to arrays (t, *shape)."""
    lengths = None
    if isinstance(values, dict):
        if "x" not in values or set(values) - {"x", "lengths"}:
            known = ", ".join(map(repr, values)) or "no names"
            raise ValueError(f"{name}: an object with {known}, expected 'x' and 'lengths', or {SEQUENCES}")
        values, lengths = values["x"], values.get("lengths")
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name}: got {describe(values)}, expected {SEQUENCES}")
    if len(find_shape(values)) == len(shape) + 1:  # the steps of one sequence
        values = [values]
    for n, steps in enumerate(values):
        if not isinstance(steps, list) or not steps:
            raise ValueError(f"{name}: sequence {n} is {describe(steps)}, expected a list of at least one step")
    if lengths is not None:
        lengths = as_array(lengths, (len(values),), f"{name}: lengths")
        for n, length in enumerate(lengths):
            if length % 1 or not 1 <= length <= len(values[n]):
                raise ValueError(f"{name}: length {n} is {length}, expected 1 to {len(values[n])}, the steps of x")
        values = [steps[: int(length)] for steps, length in zip(values, lengths, strict=True)]
    return [as_array(steps, (len(steps), *shape), f"{name}: sequence {n}", "step") for n, steps in enumerate(values)]


def cut_padding(x: np.ndarray, lengths: np.ndarray | None, name: str, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Cut padded sequences x (N, T, *shape) to their lengths; without these all steps are real."""
    x = x[None] if x.ndim == len(shape) + 1 else x
    if x.ndim != len(shape) + 2 or x.shape[2:] != shape or x.dtype.kind not in "iuf" or not x.size:
        sizes = ", ".join(["N", "T", *map(str, shape)])
        raise ValueError(f"{name}: x is {x.dtype} {x.shape}, expected numbers ({sizes})")
    if lengths is None:
        return list(x)
    return [each[:length] for each, length in zip(x, check_lengths(name, lengths, *x.shape[:2]), strict=True)]


def read_table(
    content: bytes, name: str, dataset: type, arguments: dict[str, Any], shape: tuple[int, ...]
) -> tuple[list[np.ndarray], dict[str, list]]:
    """Read the steps of sequences in the rows of a table: of each key, or of one sequence."""
    if not issubclass(dataset, CsvSequences):
        text = decode_text(name, content)
        table = parse_csv(name, text, header=None, delimiter=find_delimiter(text))
        rows, names, spent = {"": np.arange(len(table))}, list(table.names), None
    else:
        delimiter, spent = arguments.get("delimiter", ","), arguments["key"]
        spelling = make_spelling(arguments.get("decimal", "."), arguments.get("thousands"), delimiter)
        text = decode_text(name, content, arguments.get("encoding", "utf-8"))
        table = parse_csv(name, text, delimiter=delimiter, spelling=spelling)
        order = arguments.get("order")
        rows = group_rows(table, spent, order)
        others = [each for each in table.names if each not in (spent, order, arguments["target"])]
        names = arguments.get("inputs") or others
    if shape and len(names) != shape[0]:
        raise ValueError(f"{name}: there are {len(names)} columns of numbers, expected {shape[0]} as in the training")
    fill = arguments.get("missing") if issubclass(dataset, CsvSequences) else None
    columns = [read_numbers(table, each, MISSING_VALUES, fill) for each in names]
    numbers = np.stack(columns, axis=1) if shape else columns[0]
    return [numbers[each] for each in rows.values()], ({} if spent is None else {spent: list(rows)})


def make_minibatch(
    sequences: list[np.ndarray], units: TargetScaling, model: Any, name: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Scale and pad sequences as the model takes them: x (N, T, ...), with lengths (N,) or, if it takes none, without.

    Errors: ValueError for tokens that are not whole, and for sequences longer than a model without lengths takes.
    """
    shape = tuple(units.shape or ())
    tokens = len(shape) == 1
    if tokens:
        for n, each in enumerate(sequences):
            if each.dtype.kind == "f" and (each % 1 != 0).any():
                t = int((each % 1 != 0).argmax())
                raise ValueError(f"{name}: sequence {n}, step {t}: got {each[t]:g}, expected a token, a whole number")
    scaled = [each if tokens else units.inputs(each) for each in sequences]
    x, lengths = pad_sequences(scaled, np.int64 if tokens else np.float32)
    try:
        model.one_output_shape((x.shape, lengths.shape))
    except ValueError as problem:
        long = np.flatnonzero(lengths > shape[0])
        if long.size:
            what = f"sequence {long[0]} has {lengths[long[0]]} steps"
            raise ValueError(f"{name}: {what}, expected at most {shape[0]} as in the training") from problem
        padding = np.zeros((len(x), shape[0] - x.shape[1], *x.shape[2:]), x.dtype)
        return np.concatenate([x, padding], axis=1), None
    return x, lengths
