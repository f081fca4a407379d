"""A config's objects in float64 and a minibatch of its data, for comparisons with numerical derivatives."""

from typing import NamedTuple

import numpy as np

from ...datasets import epoch_order
from ...modules.core.carried_state import find_streams
from ...modules.core.module import Module
from ...modules.engine.entry_points import convert_input
from ...modules.engine.tables import shape_of
from ...modules.losses.loss import Loss
from ..configs import Config
from ..training.inputs import reads_whole_numbers
from .warmup import BATCH_SIZE

ROWS = 32  # samples at most: differences need many runs


class ConfigInFloat64(NamedTuple):
    """A model and a loss in float64, their arguments (x, target), and descriptions of these."""

    model: Module
    loss: Loss
    arguments: tuple[np.ndarray, np.ndarray]
    source: str  # such as my.yaml
    samples: str  # such as 32 samples of Digits


def build_in_float64(config: Config) -> ConfigInFloat64:
    """Build a config's model and loss anew, and read the first minibatch of its training, at most ROWS samples of it.

    Errors: those of building the config and of reading its data.
    """
    experiment = config.build()
    model, loss = experiment.model.to("float64"), experiment.loss.to("float64")
    train = experiment.dataset.train
    size = min(experiment.settings.get("batch_size", BATCH_SIZE), ROWS, len(train), find_streams(model) or ROWS)
    rows = epoch_order(len(train), seed=config.seed, epoch=0)[:size]
    x = convert_input(model, 0, train.inputs(rows, whole=reads_whole_numbers(model, train)))
    target = convert_input(loss, 1, train.y[rows], len(model.one_output_shape(shape_of(x))))
    samples = f"{len(rows)} samples of {type(experiment.dataset).__name__}"
    return ConfigInFloat64(model, loss, (x, target), str(config.path or "the config"), samples)
