"""Digests of data sets, by which a resumed training recognises its data."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...datasets import ArrayDataset, Dataset
from .atomic_files import write_json

WHOLE = 2**28  # bytes: inputs up to that size count wholly,
SPREAD = 2**24  # larger ones by so many bytes of rows, evenly spread
FILE = "data.json"  # in a run folder
NAMES = {
    "form": "shapes and types",
    "x": "inputs",
    "y": "targets",
    "sample_weight": "sample weights",
    "lengths": "lengths",
}


def compute_data_digests(data: ArrayDataset | None) -> dict[str, str] | None:
    """Compute digests of the shapes and dtypes, inputs x, targets y, sample weights and lengths of a data set.

    All targets, weights and lengths count, and all inputs up to 256 MiB; of larger ones, which may lie in a file, rows
    that are evenly spread over the set, 16 MiB of them.
    """
    if data is None:
        return None
    more = {name: getattr(data, name, None) for name in ("sample_weight", "lengths")}
    form = (len(data), data.x.shape, data.x.dtype.str, data.y.shape, data.y.dtype.str, data.scale, data.shift)
    arrays = {name: array if name == "y" else select_rows(array) for name, array in data.contents.items()} | {
        name: array for name, array in more.items() if array is not None
    }
    return {"form": compute_digest(repr(form).encode())} | {
        name: compute_digest(array) for name, array in arrays.items()
    }


def describe_difference(actual: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Describe in what two data sets differ by their digests; "" where they are equal."""
    names = [text for name, text in NAMES.items() if actual.get(name) != expected.get(name)]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def write_data_digests(folder: Path, data: Dataset) -> None:
    """Write the digests of a training's data into its run folder."""
    write_json(folder / FILE, {part: compute_data_digests(getattr(data, part)) for part in ("train", "valid", "test")})


def check_same_data(who: str, folder: Path, part: str, data: ArrayDataset | None, hint: str = "") -> None:
    """Raise ValueError if a part of a run's data has changed since the training began."""
    try:
        expected = json.loads((folder / FILE).read_bytes())[part]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # of an older bprop, or damaged
        return
    actual = compute_data_digests(data)
    if isinstance(expected, dict) and (which := describe_difference(actual or {}, expected)):
        raise ValueError(
            f"{who}: the {part} data are others than when {folder} was trained, expected the same {which}{hint}"
        )


def select_rows(x: np.ndarray) -> np.ndarray:
    """Select all rows of small inputs, some of large ones."""
    if x.nbytes <= WHOLE:
        return x
    count = max(2, SPREAD // (x.nbytes // len(x)))
    return x[np.unique(np.linspace(0, len(x) - 1, count).astype(np.int64))]


def compute_digest(content: bytes | np.ndarray) -> str:
    """Compute sixteen hexadecimal digits of bytes, or of an array's numbers."""
    if isinstance(content, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(content).reshape(-1).view(np.uint8).data).hexdigest()[:16]
    return hashlib.sha256(content).hexdigest()[:16]
