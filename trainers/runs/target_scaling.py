"""Target scaling: conversion between the original scale of a data set and the standardised one of the model."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...datasets import ArrayDataset, ImageFolder


@dataclass(frozen=True)
class TargetScaling:
    """The scaling of inputs to the model's, and of its targets back to the original scale.

    x = ((x - mean) / std) scale + shift,   target = y target_std + target_mean

    And what new inputs need beside that: the shape of one, and what classes are called.
    """

    mean: float | list = 0.0
    std: float | list = 1.0
    scale: float = 1.0
    shift: float = 0.0
    target_mean: float = 0.0
    target_std: float = 1.0
    of_bytes: bool = False  # whether the source has whole numbers from 0 to 255
    shape: list | None = None
    scales_pictures: bool = False  # to that shape
    class_names: list | None = None

    @classmethod
    def from_dataset(cls, dataset: Any, train: ArrayDataset) -> "TargetScaling":
        """Make the scaling of a data set; that of a table is in its preprocessing."""
        statistics = {name: np.asarray(getattr(dataset, f"feature_{name}", None)) for name in ("mean", "std")}
        inputs = {name: value.tolist() for name, value in statistics.items() if value.dtype != object}
        targets = {"target_mean": train.target_mean, "target_std": train.target_std}
        names = getattr(dataset, "class_names", None)
        return cls(
            **inputs,
            scale=train.scale,
            shift=train.shift,
            **targets,
            of_bytes=train.x.dtype == np.uint8,
            shape=list(train.input_shape),
            scales_pictures=isinstance(dataset, ImageFolder) and dataset.size is not None,
            class_names=None if names is None else list(names),
        )

    @classmethod
    def from_notes(cls, notes: dict[str, Any]) -> "TargetScaling":
        """Make the scaling from the notes of a file of weights."""
        return cls(**notes.get("units", {}))

    def notes(self) -> dict[str, Any]:
        """Make the notes for a file of weights."""
        return {"units": asdict(self)}

    def inputs(self, x: np.ndarray) -> np.ndarray:
        """Scale x (N, ...) as the model sees it."""
        x = x[None] if x.shape == np.shape(self.mean) else x
        if np.shape(self.mean) not in ((), x.shape[1:]):
            raise ValueError(f"predict: a sample has shape {x.shape[1:]}, expected {np.shape(self.mean)}")
        plain = (self.scale, self.shift) == (1, 0) and not np.any(self.mean) and np.all(np.equal(self.std, 1))
        if x.dtype.kind in "iu" and plain:
            return x  # a model may take whole numbers
        with np.errstate(all="ignore"):  # what is not finite is refused later
            x = ((x - np.asarray(self.mean)) / np.asarray(self.std)).astype(np.float32)
            return x * np.float32(self.scale) + np.float32(self.shift)
