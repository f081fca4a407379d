"""A data set whose targets are its own inputs: for autoencoders, which learn what is in the inputs without labels."""

from __future__ import annotations

from functools import cached_property

from .array_dataset import ArrayDataset
from .dataset import Dataset


class Reconstruction(Dataset):
    """The inputs of another data set, both as inputs and as targets, as its minibatches have them.

    Shapes: x and y (N, *input_shape) of the other's input_shape, y in the floating point type of minibatches.
    Args: dataset: the other one; its targets are not read.
    Errors: TypeError for what is no data set.
    """

    classes = None

    def __init__(self, dataset: Dataset) -> None:
        if not isinstance(dataset, Dataset):
            raise TypeError(f"Reconstruction: dataset is {dataset!r}, expected a Dataset")
        self.dataset = dataset

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.dataset.input_shape

    @property
    def target_shape(self) -> tuple[int, ...]:
        return self.dataset.input_shape

    @property
    def has_lengths(self) -> bool:  # type: ignore[override]
        return self.dataset.has_lengths

    @cached_property
    def train(self) -> ArrayDataset:
        return _repeat_inputs(self.dataset.train)

    @cached_property
    def valid(self) -> ArrayDataset | None:
        return None if self.dataset.valid is None else _repeat_inputs(self.dataset.valid)

    @cached_property
    def test(self) -> ArrayDataset | None:
        return None if self.dataset.test is None else _repeat_inputs(self.dataset.test)


def _repeat_inputs(part: ArrayDataset) -> ArrayDataset:
    """Make a part with its inputs for targets."""
    y = part.values(slice(None))
    return ArrayDataset(part.x, y, part.sample_weight, lengths=part.lengths, scale=part.scale, shift=part.shift)
