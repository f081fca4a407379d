"""A trained run for plots: the model with its weights, the data, and the model's outputs."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ...datasets.columns import Numeric
from ...modules.losses.distributions import Bernoulli, Categorical
from ..files.data_digests import check_same_data
from ..metrics.probabilities import find_distribution
from ..optimizers import SGD
from ..runs.inference import Part, choose_part, rebuild_run
from ..runs.target_scaling import TargetScaling
from ..runs.trust import restrict_to_trusted
from ..training.trainer import Trainer
from .style import escape_name


class UnsuitableRun(ValueError):
    """A plot does not fit the model or the data; the message says why."""


class TrainedRun:
    """A run folder, read as far as a plot needs it.

    Args: part: of the data, by default test, or valid where there is no test part, or train; weights: another file of
        weights than the run's; overrides: of the data set alone.
    """

    def __init__(
        self,
        folder: Path,
        part: Part | None = None,
        weights: Path | None = None,
        overrides: tuple[str, ...] = (),
    ):
        self.folder, self.requested_part, self.weights, self.overrides = folder, part, weights, overrides

    @cached_property
    def experiment(self) -> Any:
        """Model, loss and data set; the model has the run's weights."""
        with restrict_to_trusted(self.folder):
            return rebuild_run("plot", self.folder, self.overrides, self.weights)

    @property
    def model(self) -> Any:
        return self.experiment.model.eval()

    @property
    def loss(self) -> Any:
        return self.experiment.loss

    @property
    def rule(self) -> Any:
        return self.experiment.rule

    @cached_property
    def part(self) -> str:
        """The name of the plotted part of the data; train where there is no other."""
        data = self.experiment.dataset
        alone = data.test is None and data.valid is None
        name = choose_part("plot", data, self.requested_part or ("train" if alone else None))
        if not self.overrides:
            check_same_data("plot", self.folder, name, getattr(data, name), "; an override of the data set allows that")
        return name

    @cached_property
    def data(self) -> ArrayDataset:
        return getattr(self.experiment.dataset, self.part)

    @cached_property
    def outputs(self) -> np.ndarray:
        """The model's outputs for `data`."""
        return Trainer(self.model, self.loss, SGD(lr=0.0), rule=self.rule, quiet=True).predict(self.data)

    @cached_property
    def distribution(self) -> object:
        """The distribution that the loss defines by the outputs, or None."""
        return find_distribution(self.loss, self.outputs)

    @cached_property
    def is_classification(self) -> bool:
        """Whether the outputs are scores of classes."""
        if self.distribution is None and self.outputs.ndim > 1:
            return self.data.classes == self.outputs.shape[-1]
        return isinstance(self.distribution, Categorical | Bernoulli)

    def class_names(self, count: int) -> list[str]:
        """A name for each class, its number where the data set has no names."""
        names = self.experiment.dataset.class_names
        return [str(k) for k in range(count)] if names is None or len(names) != count else [*map(escape_name, names)]

    @property
    def token_names(self) -> list[str] | None:
        """A name for each token that the model reads; None where the data have no vocabulary."""
        vocabulary = getattr(self.experiment.dataset, "vocabulary", None)
        return None if vocabulary is None else list(vocabulary.names)

    @property
    def feature_names(self) -> list[str]:
        """A name for each input of a table, its number where the data set has no names."""
        preprocessing = getattr(self.experiment.dataset, "preprocessing", None)
        if preprocessing is None:
            return [str(k) for k in range(self.data.x[0].size)]
        return [*map(escape_name, preprocessing.features)]

    @property
    def target_name(self) -> str:
        """What a regression predicts."""
        preprocessing = getattr(self.experiment.dataset, "preprocessing", None)
        return "target" if preprocessing is None else escape_name(preprocessing.target.name)

    @property
    def input_name(self) -> str:
        """What a regression on one number starts from."""
        preprocessing = getattr(self.experiment.dataset, "preprocessing", None)
        return "x" if preprocessing is None else escape_name(preprocessing.features[0])

    @property
    def source_input(self) -> tuple[float, float]:
        """(a, b): a x + b is the single input x at its original scale."""
        preprocessing = getattr(self.experiment.dataset, "preprocessing", None)
        if preprocessing is not None:
            (column,) = preprocessing.columns
            return (column.std, column.mean) if isinstance(column, Numeric) else (1.0, 0.0)
        units = TargetScaling.from_dataset(self.experiment.dataset, self.data)
        mean, std = (float(np.ravel(value)[0]) for value in (units.mean, units.std))
        return std / units.scale, mean - std * units.shift / units.scale

    @property
    def title(self) -> str:
        """The title of a plot: the folder, and the part of the data."""
        return f"{escape_name(self.folder.resolve().name)}, {len(self.data)} {self.part} samples"


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether an input of this shape is an image (C, H, W), grey or in colours."""
    return len(shape) == 3 and shape[0] in (1, 3)


def find_image_shape(run: TrainedRun) -> tuple[int, int, int]:
    """Find the shape of inputs that are images; UnsuitableRun if they are none."""
    shape = tuple(run.experiment.dataset.input_shape)
    if not is_image(shape):
        raise UnsuitableRun(f"an input has shape {shape}, expected an image (C, H, W) of 1 or 3 channels")
    return shape


def show_image(axes: Any, x: np.ndarray) -> None:
    """Show one input (C, H, W), grey or in colours, from its smallest value to its largest."""
    x = x.astype(np.float64)
    x = (x - x.min()) / (np.ptp(x) or 1)
    axes.imshow(x[0] if len(x) == 1 else x.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
