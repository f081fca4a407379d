"""Inputs of runs on sequences of unequal lengths: from the content of a file to a padded minibatch with lengths."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
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
from .json_inputs import as_array, describe, find_shape, is_json, parse_json
from .target_scaling import TargetScaling

NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"  # how such files begin
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
