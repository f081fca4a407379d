"""Several arrays of one set of samples as one, for models of several inputs or outputs, which they take apart again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from .array_checks import convert_to_real


def side_by_side(arrays: Mapping[str, ArrayLike]) -> np.ndarray:
    """The columns of one array (N, ΣK): each sample's numbers of the first array, then those of the next.

        x = side_by_side({"picture": pictures, "age": ages})   # (N, 1, 8, 8) and (N,) become (N, 65)
        NarrowTable([64, 1]) is the first layer of a model that gets both, LossPart(..., targets=64) a loss of the last.

    Shapes: each array (N, ...); the result float64 if one of them is, or has whole numbers that float32 has not, else
        float32.
    Errors: TypeError for arrays that do not hold real numbers, ValueError for none and for different lengths.
    """
    if not arrays:
        raise ValueError("side_by_side: got no arrays, expected at least one")
    tables = {name: convert_to_real(name, array) for name, array in arrays.items()}
    lengths = {name: len(array) for name, array in tables.items()}
    if len(set(lengths.values())) > 1:
        message = " and ".join(f"{length} in {name!r}" for name, length in lengths.items())
        raise ValueError(f"side_by_side: there are {message}, expected as many samples in each")
    rows = [array.reshape(len(array), -1) for array in tables.values()]
    wide = any(array.dtype.kind != "f" and (array.astype(np.float32) != array).any() for array in rows)
    dtype = np.float64 if wide or np.float64 in [array.dtype for array in rows] else np.float32
    return np.concatenate([array.astype(dtype, copy=False) for array in rows], axis=1)
