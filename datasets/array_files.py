"""Arrays in NumPy's files as data sets. An .npy file may be larger than memory: it is mapped, and each minibatch picks
its rows out of the file."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path

import numpy as np

from .array_checks import count_classes
from .array_dataset import ArrayDataset
from .dataset import Dataset
from .files.npy import read_npy, read_npz
from .side_by_side import side_by_side
from .split import split_sizes

Name = str | list[str]  # of one array, or of several that stand side by side


class ArrayFiles(Dataset):
    """Family base of `NpyDataset` and `NpzDataset`: names of arrays become parts.

    The parts of one array are its first, its next and its last samples, so that nothing is copied: the samples must not
    be sorted. Errors are those of `ArrayDataset` and name the file.
    """

    def __init__(
        self,
        train: tuple[Name, Name],
        valid: tuple[Name | None, Name | None],
        test: tuple[Name | None, Name | None],
        *,
        valid_size: float,
        test_size: float,
        scale: float,
        shift: float,
        classes: int | None,
        ignore_index: int | None,
    ) -> None:
        who = type(self).__name__
        for part, (x, y), size in (("valid", valid, valid_size), ("test", test, test_size)):
            if (x is None) != (y is None):
                raise ValueError(f"{who}: one of {part}_x and {part}_y is given, expected both or none")
            if x is not None and size:
                raise ValueError(f"{who}: both {part}_x and {part}_size are given, expected one of them")
        self.arrays = {"train": train, "valid": valid, "test": test}
        self.valid_size, self.test_size = valid_size, test_size
        self.scale, self.shift, self.stated_classes, self.ignore_index = scale, shift, classes, ignore_index

    @abstractmethod
    def read(self, name: Name) -> np.ndarray:
        """Read the array of that name, or those of these names side by side."""

    @abstractmethod
    def where(self, name: Name) -> str:
        """The file, and the place in it, of the array of that name."""

    @cached_property
    def _pair(self) -> tuple[np.ndarray, np.ndarray]:
        return self.read(self.arrays["train"][0]), self.read(self.arrays["train"][1])  # type: ignore[arg-type]

    @cached_property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self._pair[0].shape[1:]

    @cached_property
    def target_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self._pair[1].shape[1:]

    @cached_property
    def classes(self) -> int | None:  # type: ignore[override]
        y = self._pair[1]
        labels = y.dtype.kind in "bui" and y.size
        return count_classes(y, self.stated_classes, self.ignore_index) if labels else self.stated_classes

    @cached_property
    def train(self) -> ArrayDataset:
        n = len(self._whole)
        valid, test = split_sizes(type(self).__name__, n, self.valid_size, self.test_size)
        return self._whole.take(slice(0, n - valid - test)) if valid + test else self._whole

    @cached_property
    def valid(self) -> ArrayDataset | None:
        valid, test = split_sizes(type(self).__name__, len(self._whole), self.valid_size, self.test_size)
        end = len(self._whole) - test
        return self._whole.take(slice(end - valid, end)) if valid else self._part("valid")

    @cached_property
    def test(self) -> ArrayDataset | None:
        _, test = split_sizes(type(self).__name__, len(self._whole), self.valid_size, self.test_size)
        return self._whole.take(slice(len(self._whole) - test, None)) if test else self._part("test")

    @cached_property
    def _whole(self) -> ArrayDataset:
        whole = self._part("train")
        assert whole is not None
        return whole

    def _part(self, part: str) -> ArrayDataset | None:
        x, y = self.arrays[part]
        if x is None or y is None:
            return None
        pair = self._pair if part == "train" else (self.read(x), self.read(y))
        try:
            options = {"scale": self.scale, "shift": self.shift}
            return ArrayDataset(*pair, classes=self.classes, ignore_index=self.ignore_index, **options)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{error}; x is {self.where(x)} and y {self.where(y)}") from None


class NpyDataset(ArrayFiles):
    """Inputs and targets in two .npy files, which may be larger than memory.

    Shapes: x (N, ...) uint8, int64, float32 or float64; y (N, ...) whole numbers are labels, floats a regression.
    Args: x, y: paths; valid_x, valid_y, test_x, test_y: those of other parts; valid_size, test_size: or how many of the
        last samples are these parts (int, or float for a fraction); memory_map: leave the arrays in their files; scale,
        shift, classes, ignore_index: as of `ArrayDataset`; in a config the last is by default that of the loss.
    Errors: FileNotFoundError; ValueError that names a damaged file, and for a mapped x of another type or order.
    """

    def __init__(
        self,
        x: str | Path,
        y: str | Path,
        *,
        valid_x: str | Path | None = None,
        valid_y: str | Path | None = None,
        test_x: str | Path | None = None,
        test_y: str | Path | None = None,
        valid_size: float = 0,
        test_size: float = 0,
        memory_map: bool = True,
        scale: float = 1.0,
        shift: float = 0.0,
        classes: int | None = None,
        ignore_index: int | None = None,
    ) -> None:
        names = [None if path is None else str(path) for path in (valid_x, valid_y, test_x, test_y)]
        options = {"valid_size": valid_size, "test_size": test_size, "scale": scale, "shift": shift}
        super().__init__(
            (str(x), str(y)),
            (names[0], names[1]),
            (names[2], names[3]),
            classes=classes,
            ignore_index=ignore_index,
            **options,
        )
        self.memory_map = memory_map

    def read(self, name: Name) -> np.ndarray:
        array = read_npy(str(name), memory_map=self.memory_map)
        large = array.ndim != 1  # what has one axis may be copied
        if self.memory_map and large and array.dtype not in (np.uint8, np.int64, np.float32, np.float64):
            kinds = "uint8, int64, float32 or float64"
            raise ValueError(
                f"{name}: holds {array.dtype}, expected {kinds}; 'memory_map: false' reads and converts it"
            )
        if self.memory_map and large and not array.flags.c_contiguous:
            raise ValueError(f"{name}: is in Fortran's order, expected C's; 'memory_map: false' reads and reorders it")
        return array

    def where(self, name: Name) -> str:
        return str(name)


class NpzDataset(ArrayFiles):
    """Inputs and targets in one .npz file, read into memory.

    A model of several inputs or answers names several arrays for x or y, such as `x=["picture", "notes"]`: they stand
    side by side, as by `side_by_side`, and the model takes them apart by NarrowTable, its loss by LossPart.

    Shapes: x (N, ...), y (N, ...) whole numbers are labels, floats a regression; of several arrays (N, ΣK).
    Args: path: of the file; x, y, valid_x, valid_y, test_x, test_y: names of its arrays, or lists of names; valid_size,
        test_size: or how many of the last samples are these parts (int, or float for a fraction); scale, shift,
        classes, ignore_index: as of `ArrayDataset`; in a config the last is by default that of the loss.
    Errors: FileNotFoundError; ValueError that names a damaged file, the arrays of one that lacks a name, and arrays of
        different lengths.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        x: str | list[str] = "x",
        y: str | list[str] = "y",
        valid_x: str | list[str] | None = None,
        valid_y: str | list[str] | None = None,
        test_x: str | list[str] | None = None,
        test_y: str | list[str] | None = None,
        valid_size: float = 0,
        test_size: float = 0,
        scale: float = 1.0,
        shift: float = 0.0,
        classes: int | None = None,
        ignore_index: int | None = None,
    ) -> None:
        options = {"valid_size": valid_size, "test_size": test_size, "scale": scale, "shift": shift}
        super().__init__(
            (x, y), (valid_x, valid_y), (test_x, test_y), classes=classes, ignore_index=ignore_index, **options
        )
        self.path = path

    def read(self, name: Name) -> np.ndarray:
        return read_named(self.path, name)

    def where(self, name: Name) -> str:
        return f"{name!r} of {self.path}"


def read_named(path: str | Path, name: str | list[str]) -> np.ndarray:
    """Read the array of that name in an .npz file, or those of these names side by side; errors as of `read_npz`."""
    if isinstance(name, str):
        return read_npz(path, name)
    try:
        return side_by_side({each: read_npz(path, each) for each in name})
    except TypeError as error:
        raise ValueError(f"{error}; of {path}") from None
