"""A pair of arrays as a data set: checked once when it is made, then cut into minibatches by NumPy,
without a Python loop over samples."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .array_checks import (
    Rows,
    Shapes,
    check_finite,
    check_lengths,
    check_rows,
    check_weights,
    choose_float_type,
    choose_input_type,
    convert_labels,
    convert_to_real,
    count_classes,
    infer_minibatch_shape,
)
from .checks import check_finite_number, check_whole_number
from .order import epoch_order
from .order import group_by_length as sort_by_length

Inputs: TypeAlias = Any  # an array x, or the table (x, lengths)
Pair: TypeAlias = tuple[Inputs, np.ndarray]


class ArrayDataset:
    """Inputs x and targets y with the same first axis.

    `ds[rows]` is a pair of new arrays: x * scale + shift in the floating point type `ds.dtype`, and y. Of sequences
    with lengths it is ((x, lengths), y), and (x, lengths) is what a model gets.

    Shapes: x (N, ...), kept as uint8, int64 (all other whole numbers), float32 or float64; y (N, ...) whole
        numbers are class labels, kept as int64; y (N, ...) floating point is kept as float32 or float64.
        An array that already has its dtype and is C-contiguous is not copied, so it may lie in a file.
    Args: sample_weight (N,): how much each sample counts in losses and metrics, kept as float32 or float64;
        lengths (N,): how many steps of the sequence x[n] (T, ...) are real, 1 to T, kept as int64;
        scale, shift: applied to every minibatch, so that images stay uint8 in memory; classes: number of
        classes, default the largest label plus one, None with floating point y; where it is given, whole
        numbers in floating point are labels, too; ignore_index: a label that counts nothing and is no class;
        target_mean, target_std: what was done to y, which y * target_std + target_mean undoes, for metrics
        at the original scale.
    Errors: TypeError for arrays that do not hold real numbers; ValueError for different lengths, an
        empty set, NaN or infinity (names the first such row), labels that are not in 0..classes-1 (names
        row and label), weights that are negative or all 0, lengths that are no whole numbers in 1..T (names
        row and length).
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        scale: float = 1.0,
        shift: float = 0.0,
        classes: int | None = None,
        ignore_index: int | None = None,
        target_mean: float = 0.0,
        target_std: float = 1.0,
    ) -> None:
        x, y = convert_to_real("x", x), convert_to_real("y", y)
        if len(x) != len(y):
            raise ValueError(f"ArrayDataset: x has {len(x)} samples and y has {len(y)}, expected as many")
        if classes is not None and y.dtype.kind == "f":
            check_finite("y", y)
            y = convert_labels(y)
        labels = y.dtype.kind in "bui"
        self.x = np.ascontiguousarray(x, dtype=choose_input_type(x))
        self.y = np.ascontiguousarray(y, dtype=np.int64 if labels else choose_float_type(y))
        self.scale = check_finite_number("ArrayDataset", "scale", scale)
        self.shift = check_finite_number("ArrayDataset", "shift", shift)
        self.dtype = choose_float_type(self.x)
        self.ignore_index = ignore_index
        self.classes = count_classes(self.y, classes, ignore_index) if labels else None
        self.target_mean = check_finite_number("ArrayDataset", "target_mean", target_mean)
        self.target_std = check_finite_number("ArrayDataset", "target_std", target_std)
        check_finite("x", self.x)
        check_finite("y", self.y)
        self.sample_weight = None if sample_weight is None else check_weights(sample_weight, len(self.x))
        self.lengths = None if lengths is None else check_lengths(lengths, self.x)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch axis."""
        return self.x.shape[1:]

    streams: int | None = None  # how many streams each minibatch goes on with, where it does
    received = False  # whether another process has read, and checked, all of it for this one

    @classmethod
    def restore(cls, attributes: dict[str, Any]) -> ArrayDataset:
        """Make a data set of the attributes of one that another process has checked, all but `dtype`."""
        part = object.__new__(cls)
        vars(part).update(attributes, received=True)
        part.dtype = choose_float_type(part.x)
        return part

    @property
    def checked_targets(self) -> np.ndarray:
        """The targets whose values tell whether a loss allows all of them."""
        return self.y

    @property
    def contents(self) -> dict[str, np.ndarray]:
        """The arrays, each with the name of what it is, by which the data are told from others."""
        return {"x": self.x, "y": self.y}

    @property
    def has_lengths(self) -> bool:
        """Whether the samples are sequences with lengths."""
        return self.lengths is not None

    def minibatch_shape(self, samples: int) -> Shapes:
        """Shape of what a model gets of some samples: (samples, ...), or of the table (x, lengths)."""
        return infer_minibatch_shape(self.input_shape, samples, self.has_lengths)

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one target, without the batch axis: () for class labels."""
        return self.y.shape[1:]

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        target = f"y {self.target_shape} {self.y.dtype}" if self.classes is None else f"{self.classes} classes"
        target += "" if self.lengths is None else f", lengths {self.lengths.min()} to {self.lengths.max()}"
        return f"ArrayDataset({len(self)} samples, x {self.input_shape} {self.x.dtype}, {target})"

    def __getitem__(self, rows: Rows) -> Pair:
        """The samples of a slice or a 1-D index array as new arrays (x (B, ...) of `dtype`, y (B, ...)).

        With lengths x is the table of that array and lengths (B,).
        """
        rows = check_rows(rows)
        return self.inputs(rows), self.y[rows].copy() if isinstance(rows, slice) else self.y[rows]

    def inputs(self, rows: Rows, *, whole: bool = False) -> Inputs:
        """What a model gets of these rows: x as of `values`, or the table (x, lengths) of new arrays."""
        rows = check_rows(rows)
        x = self.values(rows, whole=whole)
        return x if self.lengths is None else (x, np.array(self.lengths[rows]))

    def values(self, rows: Rows, *, whole: bool = False) -> np.ndarray:
        """The x of these rows, a new array (B, ...) of `dtype`; `whole` leaves whole numbers as they are."""
        rows = check_rows(rows)
        cut = isinstance(rows, slice)  # NumPy returns a view of a slice, a copy of anything else
        if whole and self.x.dtype.kind in "iu" and self.scale == 1.0 and self.shift == 0.0:
            return self.x[rows].astype(np.int64, copy=cut)
        x = self.x[rows].astype(self.dtype, copy=cut)
        if self.scale != 1.0:
            x *= self.dtype.type(self.scale)
        if self.shift != 0.0:
            x += self.dtype.type(self.shift)
        return x

    def with_labels(self, ignore_index: int | None = None) -> ArrayDataset:
        """The same with targets that are whole numbers as class labels, if they are floating point; x is shared."""
        labelled = copy.copy(self)
        labelled.y = np.ascontiguousarray(self.y, np.int64)
        labelled.ignore_index = ignore_index
        labelled.classes = count_classes(labelled.y, None, ignore_index)
        return labelled

    def take(self, rows: Rows) -> ArrayDataset:
        """The samples of a slice (its memory is shared) or of a 1-D index array (copied), as a data set."""
        rows = check_rows(rows)
        part = copy.copy(self)  # its values are checked already
        part.x, part.y = np.ascontiguousarray(convert_to_real("x", self.x[rows])), np.ascontiguousarray(self.y[rows])
        if self.sample_weight is not None:
            part.sample_weight = check_weights(self.sample_weight[rows], len(part))
        if self.lengths is not None:
            part.lengths = np.ascontiguousarray(self.lengths[rows])
        return part

    def minibatches(
        self,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        group_by_length: bool = False,
    ) -> Iterator[tuple[Any, ...]]:
        """Pairs `self[rows]` of `batch_size` samples that visit the set once; (x, y, sample_weight) if it has weights.

        Args: batch_size: from 1 to len(self); shuffle: visit in `epoch_order(len(self), seed=seed,
            epoch=epoch)` instead of row by row; drop_last: leave out a last minibatch of fewer samples;
            group_by_length: put samples of similar lengths together, as `order.group_by_length` does with that order,
            and cut each minibatch to its longest sample, x[:, :longest], and targets with as many steps likewise.
        Errors: ValueError for a batch_size below 1 or above the number of samples, and for group_by_length without
            lengths or without shuffle, at the call.
        """
        n = len(self)
        batch_size = check_whole_number("ArrayDataset", "batch_size", batch_size, least=1)
        if batch_size > n:
            raise ValueError(f"ArrayDataset: batch_size {batch_size} is larger than the set of {n} samples")
        order = epoch_order(n, seed=seed, epoch=epoch) if shuffle else None
        if group_by_length:
            if self.lengths is None or order is None:
                raise ValueError("ArrayDataset: group_by_length is true, expected lengths, and shuffle to be true")
            order = sort_by_length(order, self.lengths, batch_size, seed=seed, epoch=epoch)
        starts = range(0, n - batch_size + 1 if drop_last else n, batch_size)
        pieces = (slice(start, start + batch_size) for start in starts)
        chosen = (piece if order is None else order[piece] for piece in pieces)
        pairs = ((rows, *self[rows]) for rows in chosen)
        if group_by_length:
            pairs = ((rows, *cut_to_longest(*pair)) for rows, *pair in pairs)
        if self.sample_weight is None:
            return ((x, y) for _, x, y in pairs)
        weights = self.sample_weight
        return ((x, y, weights[rows].copy()) for rows, x, y in pairs)


def cut_to_longest(inputs: Inputs, y: np.ndarray, cuts_targets: bool = True) -> Pair:
    """Cut the sequences of a minibatch to the longest one, x[:, :longest]; targets (B, T, ...) likewise, if asked."""
    x, lengths = inputs
    steps, longest = x.shape[1], lengths.max()
    cut = cuts_targets and y.ndim > 1 and y.shape[1] == steps
    x, y = (np.ascontiguousarray(array[:, :longest]) if is_cut else array for array, is_cut in ((x, True), (y, cut)))
    return (x, lengths), y
