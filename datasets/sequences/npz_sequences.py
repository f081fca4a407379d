"""Sequences in NumPy's .npz files: padded arrays with a length for each sample."""

from __future__ import annotations

from pathlib import Path

from ..array_checks import count_classes
from ..checks import check_whole_number
from ..files.npy import read_npz
from .sequence_parts import SequenceDataset, Sequences, check_lengths, choose_sizes


class NpzSequences(SequenceDataset):
    """Sequences of unequal lengths in an .npz file: padded inputs, targets and lengths.

    Shapes: x (N, T, D) numbers, or (N, T) tokens; lengths (N,), 1 to T; y (N,) or (N, T) labels, or floats.
    Args: path: of the file; x, y, lengths: names of its arrays; valid_path, test_path: files of other parts;
        valid_size, test_size: or a share or number of the sequences, at random, by default 0.15 and 0.2; seed: of the
        split; standardize: take off the mean of each feature and divide by its standard deviation, over the real steps
        of the training part; ignore_index: a label that counts nothing, by default that of the loss in a config;
        with_lengths: give the lengths to the model, which then takes a table (x, lengths).
    Errors: FileNotFoundError; ValueError for a damaged file, a name that it lacks, and lengths out of range (with row).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        x: str = "x",
        y: str = "y",
        lengths: str = "lengths",
        valid_path: str | Path | None = None,
        test_path: str | Path | None = None,
        valid_size: float | None = None,
        test_size: float | None = None,
        seed: int = 0,
        standardize: bool = False,
        ignore_index: int | None = None,
        with_lengths: bool = True,
    ) -> None:
        self.path, self.x, self.y, self.lengths = path, x, y, lengths
        self.paths = {"train": path, "valid": valid_path, "test": test_path}
        self.valid_size, self.test_size = choose_sizes("NpzSequences", valid_path, test_path, valid_size, test_size)
        self.seed = check_whole_number("NpzSequences", "seed", seed)
        self.standardize, self.ignore_index, self.with_lengths = standardize, ignore_index, with_lengths

    def read(self, part: str) -> Sequences | None:
        path = self.paths[part]
        if path is None:
            return None
        x, y, lengths = (read_npz(path, name) for name in (self.x, self.y, self.lengths))
        if x.ndim < 2 or x.dtype.kind not in "biuf":
            raise ValueError(f"{path}: {self.x} is {x.dtype} {x.shape}, expected sequences (N, T, D) or tokens (N, T)")
        if not len(x) or len(y) != len(x):
            raise ValueError(f"{path}: {self.x} has {len(x)} samples and {self.y} {len(y)}, expected as many, and some")
        return Sequences(x, check_lengths(str(path), lengths, len(x), x.shape[1]), y)

    def count_classes(self) -> int | None:
        labels = [part.y for name in self.paths if (part := self._read(name)) is not None]
        if labels[0].dtype.kind not in "biu":
            return None
        return max(count_classes(each, None, self.ignore_index) for each in labels)
