"""What `ArrayDataset` asks of the arrays it is given. Each check looks at every value once, when the set
is made, so that a wrong row is named before it reaches a model."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .checks import check_whole_number

Shapes: TypeAlias = tuple[Any, ...]  # a shape, or a table of shapes
Rows: TypeAlias = slice | np.ndarray | list[int]
CHECKED_AT_ONCE = 1 << 22  # numbers; the array may lie in a file that is larger than memory


def convert_to_real(name: str, values: ArrayLike) -> np.ndarray:
    """Convert `values` to an array of real numbers with at least one sample."""
    array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise TypeError(f"ArrayDataset: {name} has dtype {array.dtype}, expected whole or floating point numbers")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"ArrayDataset: {name} has shape {array.shape}, expected at least one sample")
    return array


def choose_float_type(array: np.ndarray) -> np.dtype[Any]:
    """Choose float64 for doubles, float32 for every other number."""
    return np.dtype(np.float64 if array.dtype.kind == "f" and array.dtype.itemsize > 4 else np.float32)


def choose_input_type(array: np.ndarray) -> np.dtype[Any]:
    """Choose the dtype of inputs: bytes, whole numbers as int64, all others as `float_type` says."""
    if array.dtype.kind in "iu":
        return np.dtype(np.uint8 if array.dtype == np.uint8 else np.int64)
    return choose_float_type(array)


def check_finite(name: str, array: np.ndarray) -> None:
    """Refuse an array that holds NaN or infinity, and name the first row that does."""
    if array.dtype.kind != "f":
        return
    rows = max(1, CHECKED_AT_ONCE // (array.size // len(array)))
    for first in range(0, len(array), rows):
        finite = np.isfinite(array[first : first + rows]).all(axis=tuple(range(1, array.ndim)))
        if not finite.all():
            row = first + finite.argmin()
            raise ValueError(f"ArrayDataset: row {row} of {name} holds NaN or infinity, expected finite numbers")


def count_classes(labels: np.ndarray, classes: int | None, ignore_index: int | None = None) -> int:
    """Count the classes of labels (N, ...): 0..classes-1, or the ignored label."""
    counted = labels if ignore_index is None else labels[labels != ignore_index]
    if classes is None:
        classes = max(int(counted.max(initial=0)) + 1, 1)
    classes = check_whole_number("ArrayDataset", "classes", classes, least=1)
    wrong = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        wrong &= labels != ignore_index
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0])
        hint = "; ignore_index names a label that counts nothing" if labels[place] < 0 else ""
        hint += ", and numbers to predict are given as floats" if hint and labels.ndim > 1 else ""
        raise ValueError(
            f"ArrayDataset: row {place[0]} of y has label {labels[place]}, expected 0 to {classes - 1}{hint}"
        )
    return classes


def convert_labels(y: np.ndarray) -> np.ndarray:
    """Convert floating-point labels to whole numbers; ValueError that names the first row with another."""
    wrong = np.argwhere(np.floor(y) != y)
    if wrong.size:
        row, value = wrong[0][0], y[tuple(wrong[0])]
        raise ValueError(f"ArrayDataset: row {row} of y has label {value:g}, expected a whole number")
    return y.astype(np.int64)


def check_weights(values: ArrayLike, n: int) -> np.ndarray:
    """Convert `values` to n weights (n,), float32 or float64; none may be negative, one must be positive."""
    array = convert_to_real("sample_weight", values)
    if array.shape != (n,):
        raise ValueError(f"ArrayDataset: sample_weight has shape {array.shape}, expected ({n},)")
    check_finite("sample_weight", array)
    if (array < 0).any():
        row = (array < 0).argmax()
        raise ValueError(f"ArrayDataset: row {row} of sample_weight is {array[row]}, expected at least 0")
    if not array.any():
        raise ValueError("ArrayDataset: sample_weight is 0 for every sample, expected a positive one")
    return np.ascontiguousarray(array, dtype=choose_float_type(array))


def infer_minibatch_shape(input_shape: tuple[int, ...], samples: int, has_lengths: bool) -> Shapes:
    """Infer the shape of what a model gets of some samples: (samples, ...), or of the table (x, lengths)."""
    shape = (samples, *input_shape)
    return (shape, (samples,)) if has_lengths else shape


def check_rows(rows: Rows) -> slice | np.ndarray:
    """Convert `rows` to a slice or a 1-D array of row numbers (or truth values); a single number is refused."""
    if isinstance(rows, slice):
        return rows
    array = np.asarray(rows)
    if array.ndim != 1 or array.dtype.kind not in "bui":
        raise TypeError(f"ArrayDataset: rows is {rows!r}, expected a slice or a 1-D array of row numbers")
    return array


def check_lengths(values: ArrayLike, x: np.ndarray) -> np.ndarray:
    """Convert `values` to the lengths (N,), int64, of the sequences x (N, T, ...): whole numbers from 1 to T."""
    array = convert_to_real("lengths", values)
    if x.ndim < 2:
        raise ValueError(f"ArrayDataset: x has shape {x.shape} and lengths are given, expected sequences (N, T, ...)")
    if array.shape != (len(x),):
        raise ValueError(f"ArrayDataset: lengths has shape {array.shape}, expected ({len(x)},)")
    wrong = ~((array >= 1) & (array <= x.shape[1]) & (np.floor(array) == array))
    if wrong.any():
        row = wrong.argmax()
        expected = f"a whole number from 1 to {x.shape[1]}, the steps of x"
        raise ValueError(f"ArrayDataset: row {row} of lengths is {array[row]:g}, expected {expected}")
    return np.ascontiguousarray(array, dtype=np.int64)
