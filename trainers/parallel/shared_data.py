"""Data that rank 0 has read, for all ranks: parsed files as arrays, files that are mapped by their names.

What a data set has read are the values in its cached properties. They go to the same data set of another rank, which
then has no need to read its files; what cannot be sent, such as a custom class, each rank reads by itself.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets import ArrayDataset, Dataset, Preprocessing
from ...datasets.sequences.vocabulary import Vocabulary
from ...datasets.sequences.vocabulary_files import make_vocabulary
from ...datasets.sequences.windows import TokenWindows
from ..files.data_digests import compute_digest
from .broadcast import broadcast
from .communicator import Ranks

Receive = Callable[[Dataset], None]
PARTS = ("train", "valid", "test")
NAMES = ("input_shape", "target_shape", "classes", "class_names", "has_lengths", *PARTS)
LOOK = 16  # rows of a mapped array that tell whether it is the same on all ranks


class NotSharedError(TypeError):
    """A value that is not sent to other ranks."""


def share_data(ranks: Ranks, data: Dataset | None) -> Receive:
    """Share what rank 0 has read of a data set; returns what writes it into the data set of another rank.

    Args: data: of rank 0, None elsewhere.
    Errors: ValueError, of what it returns, where a mapped file has other content than that of rank 0.
    """
    what, arrays = "the data that rank 0 has read", list[np.ndarray]()
    description = None if data is None else describe_dataset(data, arrays)
    shapes = [(array.dtype.str, array.shape) for array in arrays]
    description, shapes = ranks.from_first((description, shapes), what)
    if not ranks.is_first:
        arrays = [np.empty(tuple(shape), np.dtype(dtype)) for dtype, shape in shapes]
    for array in arrays:
        if array.size:
            broadcast(ranks, array, what)
    return lambda dataset: restore_dataset(dataset, description, arrays)


# -- describing --------------------------------------------------------------------------------------------------------


def describe_dataset(data: Dataset, arrays: list[np.ndarray]) -> dict[str, Any]:
    """Describe what a data set has read; appends its arrays."""
    described = {}
    for name in (*NAMES, *data.shared):
        if name in vars(data):
            count = len(arrays)
            try:
                described[name] = describe(vars(data)[name], arrays)
            except NotSharedError:
                del arrays[count:]
    inner = {name: value for name, value in vars(data).items() if isinstance(value, Dataset)}
    return described | {name: {"dataset": describe_dataset(value, arrays)} for name, value in inner.items()}


def describe(value: Any, arrays: list[np.ndarray]) -> dict[str, Any]:
    """Describe a value in what a message can hold; appends its arrays. NotSharedError for one of another kind."""
    if type(value) is ArrayDataset:
        return {"part": {name: describe(each, arrays) for name, each in vars(value).items() if name != "dtype"}}
    if type(value) is TokenWindows:
        return {"windows": None}
    if isinstance(value, np.ndarray):
        mapped = find_map(value)
        if mapped is not None:
            return {"file": mapped}
        arrays.append(np.ascontiguousarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, Preprocessing):
        return {"preprocessing": value.to_json()}
    if isinstance(value, Vocabulary):
        return {"vocabulary": value.describe()}
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return {"value": value}
    if isinstance(value, tuple | list):
        return {"tuple" if isinstance(value, tuple) else "list": [describe(each, arrays) for each in value]}
    raise NotSharedError(type(value).__name__)


def find_map(array: np.ndarray) -> dict[str, Any] | None:
    """Find the file from which an array is mapped, and the place in it; None for one in memory."""
    root: Any = array
    while isinstance(root, np.ndarray) and not (isinstance(root, np.memmap) and not isinstance(root.base, np.ndarray)):
        root = root.base
    if not isinstance(root, np.memmap) or not array.flags.c_contiguous:
        return None
    start = array.__array_interface__["data"][0] - root.__array_interface__["data"][0] + root.offset
    where = {"path": str(Path(str(root.filename)).absolute()), "offset": int(start), "dtype": array.dtype.str}
    return where | {"shape": list(array.shape), "digest": look_at(array)}


def look_at(array: np.ndarray) -> str:
    """Compute a digest of some rows of an array, evenly spread."""
    return compute_digest(array[np.unique(np.linspace(0, len(array) - 1, LOOK).astype(np.int64))])


# -- restoring ---------------------------------------------------------------------------------------------------------


class MissingFileError(Exception):
    """A file that this host does not have; the data set reads, or makes, its own."""


def restore_dataset(data: Dataset, description: dict[str, Any], arrays: list[np.ndarray]) -> None:
    """Write into a data set what `describe_dataset` has described of one like it."""
    for name, value in description.items():
        if "dataset" in value:
            restore_dataset(vars(data)[name], value["dataset"], arrays)
        elif "windows" not in value:
            try:
                vars(data)[name] = restore(value, arrays)
            except MissingFileError:
                vars(data).pop(name, None)
    for name, value in description.items():
        if "windows" in value:  # views of the tokens, which are there now
            vars(getattr(data, name))["received"] = True


def restore(value: dict[str, Any], arrays: list[np.ndarray]) -> Any:
    """Restore a value that `describe` has described."""
    ((kind, content),) = value.items()
    if kind == "part":
        return ArrayDataset.restore({name: restore(each, arrays) for name, each in content.items()})
    if kind == "file":
        return map_file(content)
    if kind == "array":
        return arrays[content]
    if kind == "preprocessing":
        return Preprocessing.from_json(content)
    if kind == "vocabulary":
        return make_vocabulary(content)
    if kind in ("tuple", "list"):
        items = [restore(each, arrays) for each in content]
        return tuple(items) if kind == "tuple" else items
    return content


def map_file(where: dict[str, Any]) -> np.ndarray:
    """Map an array of a file that rank 0 has mapped."""
    path, shape, dtype = Path(where["path"]), tuple(where["shape"]), np.dtype(where["dtype"])
    if not path.is_file():
        raise MissingFileError(path)
    try:
        array = np.memmap(path, dtype, "c", where["offset"], shape)
    except ValueError:  # it is shorter
        array = None
    if array is None or look_at(array) != where["digest"]:
        raise ValueError(f"{path} has other content on this host than on that of rank 0, expected the same file")
    return array
