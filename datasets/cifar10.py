"""CIFAR-10, read from the files of its binary version: small photographs of ten kinds of things.
The pickled version is refused, since loading it could run anything."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from .array_dataset import ArrayDataset
from .checks import check_whole_number, count_samples
from .dataset import Dataset
from .files.idx import read_bytes
from .files.paths import expand_path


class CIFAR10(Dataset):
    """60,000 photographs of 32 by 32 pixels in red, green and blue: airplane 0, automobile, bird, cat, deer, dog, frog,
    horse, ship, truck 9; five batches of 10,000 to train and validate on, and 10,000 to test.

    Shapes: x (N, 3, 32, 32), uint8 in memory, pixel / 255 as float32 in minibatches; y (N,) labels 0..9.
    Args: root: folder of `data_batch_1.bin` ... and `test_batch.bin`, plain or gzipped, or the folder above their
        `cifar-10-batches-bin`, `~` is the home folder; batches: which of the batches 1 to 5 to use, each once;
        valid_size: how many of the last training images validate (int, or float for a fraction), 0 for none.
    Errors: ValueError for other batches and for a valid_size that leaves nothing to train on. When a part is first
        asked for: FileNotFoundError for a missing file; ValueError that names a wrong one, or the pickled version.
    Source: Krizhevsky, Learning multiple layers of features from tiny images (2009).
    """

    input_shape = (3, 32, 32)
    target_shape = ()
    classes = 10
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    batch_count: ClassVar[int] = 10000
    address = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"

    def __init__(
        self,
        root: str | Path = "data/cifar-10",
        *,
        batches: list[int] | tuple[int, ...] = (1, 2, 3, 4, 5),
        valid_size: float = 5000,
    ) -> None:
        self.root = expand_path(root)
        self.batches = [check_whole_number("CIFAR10", "batches", batch, least=1, most=5) for batch in batches]
        if not self.batches or len(set(self.batches)) < len(self.batches):
            raise ValueError(f"CIFAR10: batches is {list(batches)}, expected some of 1 to 5, each once")
        self.valid_size = valid_size
        total = self.batch_count * len(self.batches)
        self._kept = total - count_samples("CIFAR10", "valid_size", valid_size, total)

    @cached_property
    def train(self) -> ArrayDataset:
        return self._training.take(slice(0, self._kept))

    @cached_property
    def valid(self) -> ArrayDataset | None:
        return None if self._kept == len(self._training) else self._training.take(slice(self._kept, None))

    @cached_property
    def test(self) -> ArrayDataset | None:
        return self._read(["test_batch"])

    @cached_property
    def _training(self) -> ArrayDataset:
        return self._read([f"data_batch_{batch}" for batch in self.batches])

    def _read(self, names: list[str]) -> ArrayDataset:
        rows = np.concatenate([self._records(self._find(name)) for name in names])
        return ArrayDataset(rows[:, 1:].reshape(-1, *self.input_shape), rows[:, 0], scale=1 / 255, classes=self.classes)

    def _records(self, path: Path) -> np.ndarray:
        """Read the rows of a file: a label, then 1024 numbers of red, of green, of blue."""
        data, size = read_bytes(path), 1 + 3 * 32 * 32
        if len(data) != self.batch_count * size:
            expected = f"{self.batch_count * size}: {self.batch_count} records of {size}"
            raise ValueError(f"{path}: holds {len(data)} bytes, expected {expected}")
        rows = np.frombuffer(data, np.uint8).reshape(-1, size)
        if rows[:, 0].max() >= self.classes:
            row = int(rows[:, 0].argmax())
            raise ValueError(f"{path}: record {row} has label {rows[row, 0]}, expected 0 to 9")
        return rows

    def _find(self, name: str) -> Path:
        """Find the path of a batch under any of the names it goes by."""
        for folder in (self.root, self.root / "cifar-10-batches-bin"):
            for candidate in (folder / f"{name}.bin", folder / f"{name}.bin.gz"):
                if candidate.is_file():
                    return candidate
        for pickled in (self.root / name, self.root / "cifar-10-batches-py" / name):
            if pickled.is_file():
                raise ValueError(
                    f"CIFAR10: {pickled} is of the pickled version, which could run anything when loaded; "
                    f"expected the binary version ({self.address})"
                )
        raise FileNotFoundError(
            f"CIFAR10: {name}.bin is not in {self.root}; unpack {self.address} there, or pass the folder that holds it "
            f"as root"
        )
