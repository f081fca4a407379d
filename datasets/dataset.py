"""What the trainer asks of a data set: three parts, and the shapes of one sample. The shapes are known
before any data is read, so a model that does not fit is refused at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from .array_checks import Shapes, infer_minibatch_shape
from .array_dataset import ArrayDataset


class Dataset(ABC):
    """A training part and, where there are any, a validation and a test part.

    A data set of one's own names its shapes as class attributes and loads its parts when they are first
    asked for:

        class Halves(Dataset):
            input_shape, target_shape, classes = (1,), (), 2

            @cached_property
            def train(self):
                x = np.linspace(-1, 1, 100).reshape(100, 1)
                return ArrayDataset(x, x[:, 0] > 0)
    """

    shared: ClassVar[tuple[str, ...]] = ()  # what another process may be given, beside shapes, classes and parts:
    # the names of cached properties, so that their values are in `vars`

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch axis; must not load data."""

    has_lengths = (
        False  # whether the parts have lengths, so that a model gets tables (x, lengths); loads no data, either
    )

    def minibatch_shape(self, samples: int) -> Shapes:
        """Shape of what a model gets of some samples: (samples, ...), or of the table (x, lengths)."""
        return infer_minibatch_shape(self.input_shape, samples, self.has_lengths)

    @property
    @abstractmethod
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one target, without the batch axis: () for class labels; must not load data."""

    @property
    @abstractmethod
    def classes(self) -> int | None:
        """Number of classes, None for regression; must not load data."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What class k is called, None where classes are numbers."""
        return None

    @property
    @abstractmethod
    def train(self) -> ArrayDataset:
        """The part the model learns from; loaded when first asked for, like the other parts."""

    @property
    def valid(self) -> ArrayDataset | None:
        """The part that settings are chosen on, None if there is none."""
        return None

    @property
    def test(self) -> ArrayDataset | None:
        """The part that is looked at once, at the end, None if there is none."""
        return None

    def __repr__(self) -> str:
        target = str(self.target_shape) if self.classes is None else f"{self.classes} classes"
        return f"{type(self).__name__}({self.input_shape} -> {target})"
