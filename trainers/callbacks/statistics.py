"""Statistics of each module during training: sizes of outputs, gradients and updates, and dead units."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets import epoch_order
from ...datasets.files.paths import expand_path
from ...modules.core.carried_state import find_streams
from ..files.atomic_files import append_text, write_atomically
from ..optimizers import FullBatch
from .callback import Callback
from .layerwise_step import ModuleRecord, run_layerwise_step
from .sample_weights import cast_sample_weights

COLUMNS = ("epoch", "module", "output", "dead", "grad_output", "weight", "grad_weight", "update_ratio")


class Statistics(Callback):
    """Writes a row for each epoch and module into `statistics.csv` of the run folder.

        output         √mean y²                         of the module's output y
        dead           share of y's units that are the same for all samples
        grad_output    √mean grad_y²
        weight         |w|                              of all its parameters w, as one vector
        grad_weight    |grad_w|
        update_ratio   |w_new - w| / |w|                of a step; 1e-3 is usual, 1e-1 too much

    They are of one training step on copies of model, loss and optimizer, so nothing of the training changes.

    Args: samples: of the training data, that this step takes, at least 2; epochs: after every so many; folder: where to
        write; by default the run folder.
    Errors: ValueError for settings out of range, and without a folder.
    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks (2010).
    """

    first_rank_only = True

    def __init__(self, samples: int = 256, epochs: int = 1, folder: str | Path | None = None):
        for name, value, least in (("samples", samples, 2), ("epochs", epochs, 1)):
            if value < least:
                raise ValueError(f"Statistics: {name} is {value}, expected at least {least}")
        self.samples, self.epochs, self.folder = samples, epochs, folder

    def on_fit_start(self, trainer) -> None:
        if self.folder is None and trainer.folder is None:
            raise ValueError("Statistics: there is no run folder, expected a folder: Statistics(folder=...)")
        folder = expand_path(self.folder) if self.folder is not None else Path(trainer.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.path, rows = folder / "statistics.csv", []
        if trainer.resumed and self.path.exists():
            with self.path.open(
                newline="", encoding="utf-8", errors="replace"
            ) as file:  # the last row may have been cut
                rows = [row for row in list(csv.reader(file))[1:] if len(row) == len(COLUMNS) and row[0].isdecimal()]
        done = [",".join(row) for row in rows if int(row[0]) <= trainer.epoch]
        write_atomically(self.path, "\n".join([",".join(COLUMNS), *done, ""]))

    def on_epoch_end(self, trainer, row: dict) -> None:
        if row["epoch"] % self.epochs == 0:
            rows = [[row["epoch"], *compute_statistics(stage)] for stage in run_probe_step(trainer, self.samples)]
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows)
            append_text(self.path, text.getvalue())


def run_probe_step(trainer, samples: int) -> list[ModuleRecord]:
    """Run a training step on copies of a trainer's parts; returns its stages."""
    net, loss, optimizer = trainer.model.copy(), trainer.loss.copy(), None
    if not isinstance(trainer.optimizer, FullBatch):
        optimizer = trainer.optimizer.copy()
        optimizer.attach(net)
        optimizer.load_state_dict(trainer.optimizer.state_dict())
    data, weights = trainer.data, cast_sample_weights(trainer.data, loss)
    samples = min(samples, find_streams(net) or samples)
    rows = epoch_order(len(data), seed=trainer.seed, epoch=0)[:samples]
    batch = (*data[rows], *([] if weights is None else [weights[rows]]))
    return run_layerwise_step(net.train(), loss, optimizer, *batch).stages


def compute_statistics(stage: ModuleRecord) -> list[Any]:
    """Compute the statistics of a module; None for values that the step did not reach."""
    units = stage.y.reshape(len(stage.y), -1)
    dead = float(np.mean(units.max(axis=0) == units.min(axis=0)))
    weight, change = compute_norm(stage.before), compute_norm(stage.changes)
    ratio = change / weight if weight and change is not None else None
    grad_output = None if stage.grad_y is None else root_mean_square(stage.grad_y)
    return [stage.path, root_mean_square(stage.y), dead, grad_output, weight, compute_norm(stage.gradients), ratio]


def root_mean_square(array: np.ndarray) -> float:
    """√mean a²."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))


def compute_norm(arrays: dict[str, np.ndarray] | None) -> float | None:
    """Compute the norm of some arrays as one vector, None if there are none."""
    return float(np.sqrt(sum(np.square(a, dtype=np.float64).sum() for a in arrays.values()))) if arrays else None
