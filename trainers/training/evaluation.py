"""Evaluation of a model: metrics and outputs on a data set, in evaluation mode, batch by batch."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ...modules.core.carried_state import find_streams, fresh_state
from ...modules.core.modes import evaluation_mode
from ...modules.core.module import Module
from ...modules.display.summary import record_output_shapes
from ...modules.engine.entry_points import convert_input
from ...modules.engine.tables import flatten_shapes
from ...modules.engine.threads import num_threads
from ...modules.losses.loss import Loss
from ..callbacks.sample_weights import cast_sample_weights
from ..metrics import Metric, compute_metrics
from ..optimizers import Optimizer
from ..parallel.communicator import Ranks
from ..rules import Rule
from .inputs import reads_whole_numbers
from .minibatches import compute_mean

SAMPLES = 1000  # at a time, fewer if
BYTES = 2**22  # one output of a module would be larger: what fits a cache is soon done


class Evaluation:
    """A model under evaluation, with the weights that the optimizer chooses, which may be averaged ones.

    State that modules carry from minibatch to minibatch begins anew, and is afterwards as it was; minibatches have as
    many samples as there are streams.

    Args: model, loss, optimizer, rule: of a training; ranks: among which the samples are shared out, each of which gets
        the result.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        rule: Rule | None = None,
        ranks: Ranks | None = None,
    ):
        self.model, self.loss, self.optimizer, self.rule, self.ranks = model, loss, optimizer, rule, ranks
        self._sizes: dict[tuple[int, ...], int] = {}

    def compute_metrics(self, data: ArrayDataset, metrics: dict[str, Metric], threads: int) -> dict[str, Any]:
        """Compute the mean loss and the metrics of a data set."""
        weights, whole = cast_sample_weights(data, self.loss), reads_whole_numbers(self.model, data)
        pieces: list[tuple[float, float, Any]] = []
        with self._evaluating(threads):
            for rows in self._own_pieces(data):
                y = self._answer(data.inputs(rows, whole=whole))
                weight = None if weights is None else weights[rows]
                counts = self.loss.count_samples(data.y[rows], weight)
                loss = float(self.loss(y, data.y[rows], weight)) * counts
                pieces.append((loss, counts, y if metrics else None))  # y may be larger than memory, as the data may
        if self.ranks is None or self._shares_nothing():
            return self._sum_up(pieces, data, metrics, weights)
        found = self.ranks.to_first(pieces, "the results of an evaluation")  # so that it alone reads all targets
        values = None
        if found is not None:
            values = self._sum_up([each for own in found for each in own], data, metrics, weights)
        return self.ranks.from_first(values, "the metrics of an evaluation")

    def _sum_up(self, pieces: list, data: ArrayDataset, metrics: dict[str, Metric], weights: Any) -> dict[str, Any]:
        """Compute the mean loss and the metrics from the results of all pieces."""
        total, mass = 0.0, 0.0
        for loss, counts, _ in pieces:
            total += loss
            mass += counts
        values: dict[str, Any] = {}
        if metrics:
            outputs = np.concatenate([y for _, _, y in pieces])
            values = compute_metrics(metrics, self.loss, outputs, data.y, data, weights)
        return {"loss": compute_mean(total, mass)} | values

    def compute_outputs(self, data: ArrayDataset, threads: int) -> np.ndarray:
        """Compute the model's outputs for a data set (N, ...)."""
        whole = reads_whole_numbers(self.model, data)
        with self._evaluating(threads):
            outputs = [self._answer(data.inputs(rows, whole=whole)) for rows in self._own_pieces(data)]
        return np.concatenate(outputs if self.ranks is None else self._gather(outputs))

    def _answer(self, x: Any) -> np.ndarray:
        """The model's outputs for some inputs."""
        if self.rule is None:
            return self.model.fprop(x)
        return self.rule.answer(self.model, convert_input(self.model, 0, x))

    @contextmanager
    def _evaluating(self, threads: int) -> Iterator[None]:
        """Context of evaluation mode, with the weights that the optimizer evaluates; other threads see neither."""
        with (
            evaluation_mode(self.model),
            num_threads(threads),
            self.optimizer.evaluated_weights(self.model),
            fresh_state(self.model),
        ):
            yield

    def _shares_nothing(self) -> bool:
        """Whether each rank evaluates all samples, as state is carried from one minibatch to the next."""
        return find_streams(self.model) is not None

    def _own_pieces(self, data: ArrayDataset) -> list[slice]:
        """The pieces of this rank; with state that is carried, all of them."""
        pieces = list(self._pieces(data))
        if self.ranks is None or self._shares_nothing():
            return pieces
        first, last = (place * len(pieces) // self.ranks.size for place in (self.ranks.rank, self.ranks.rank + 1))
        return pieces[first:last]

    def _gather(self, own: list[Any]) -> list[Any]:
        """The results of all pieces, of those of this rank."""
        if self.ranks is None or self._shares_nothing():
            return own
        return [each for results in self.ranks.share(own, "the results of an evaluation") for each in results]

    def _pieces(self, data: ArrayDataset) -> Iterator[slice]:
        """Split the rows of a data set, so that outputs have a moderate size."""
        if (streams := find_streams(self.model)) is not None:
            return (slice(first, first + streams) for first in range(0, len(data), streams))
        size = self._largest_output(data) * self.model.dtype.itemsize
        return split_rows(len(data), max(1, min(SAMPLES, BYTES // max(1, size))))

    def _largest_output(self, data: ArrayDataset) -> int:
        """The size of the largest output of a module for a sample of this set, computed once."""
        input_shape = data.minibatch_shape(1)
        if input_shape not in self._sizes:
            shapes = record_output_shapes(self.model, input_shape).values()
            self._sizes[input_shape] = max(
                (math.prod(shape) for each in shapes for shape in flatten_shapes(each)), default=1
            )
        return self._sizes[input_shape]


def split_rows(n: int, size: int = SAMPLES) -> Iterator[slice]:
    """Split the rows 0 to n by `size`; a single last row joins the rows before, as batch statistics need two."""
    alone = n % size == 1 and n > size > 1
    return (slice(first, n if alone and first + size == n - 1 else first + size) for first in range(0, n - alone, size))
