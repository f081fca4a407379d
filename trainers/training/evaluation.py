"""Evaluation of a model: metrics and outputs on a data set, in evaluation mode, batch by batch."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ...modules.core.carried_state import find_carriers, find_rows, find_streams, fresh_state
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
LEAST_PIECES = 6  # of streams: of fewer each rank evaluates all
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
        self._shared = False  # whether each rank has a part of the results of the last evaluation

    def compute_metrics(self, data: ArrayDataset, metrics: dict[str, Metric], threads: int) -> dict[str, Any]:
        """Compute the mean loss and the metrics of a data set."""
        weights, whole = cast_sample_weights(data, self.loss), reads_whole_numbers(self.model, data)
        pieces: list[tuple[float, float, Any]] = []
        with self._evaluating(threads):
            for rows, y in self._answer_pieces(data, whole):
                weight = None if weights is None else weights[rows]
                counts = self.loss.count_samples(data.y[rows], weight)
                loss = float(self.loss(y, data.y[rows], weight)) * counts
                pieces.append((loss, counts, y if metrics else None))  # y may be larger than memory, as the data may
        if self.ranks is None or not self._shared:
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
            outputs = [y for _, y in self._answer_pieces(data, whole)]
        if self.ranks is not None and self._shared:
            outputs = [y for own in self.ranks.share(outputs, "the results of an evaluation") for y in own]
        return np.concatenate(outputs)

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

    def _answer_pieces(self, data: ArrayDataset, whole: bool) -> Iterator[tuple[slice, np.ndarray]]:
        """The outputs for pieces of the data, all of them or, on several ranks, those that this one has to measure."""
        pieces = list(self._pieces(data))
        if self.ranks is None:
            self._shared = False
        elif not has_carried_state(self.model):
            self._shared = True
            first, last = (place * len(pieces) // self.ranks.size for place in (self.ranks.rank, self.ranks.rank + 1))
            pieces = pieces[first:last]
        elif (own := self._divide_streams(data, pieces, whole)) is not None:
            self._shared = True
            yield from self._answer_streams(self.ranks, data, pieces, own, whole)
            return
        else:
            self._shared = False
        for rows in pieces:
            yield rows, self._answer(data.inputs(rows, whole=whole))

    def _answer_streams(
        self, ranks: Ranks, data: ArrayDataset, pieces: list[slice], own: slice, whole: bool
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """The outputs for all pieces at rank 0, where each rank computes those of its own streams; none elsewhere."""
        for rows in pieces:
            y = self._answer(data.inputs(cut_rows(rows, own), whole=whole))
            if (parts := ranks.to_first(y, "the results of an evaluation")) is not None:
                yield rows, np.concatenate(parts)

    def _divide_streams(self, data: ArrayDataset, pieces: list[slice], whole: bool) -> slice | None:
        """Choose the streams that this rank evaluates; None where each rank has to evaluate all of them.

        That is so where an output depends on other rows of its minibatch, be it in its last bits: each rank looks, by
        the first two pieces, which take longer than they save if there are few.
        """
        ranks, streams = self.ranks, find_streams(self.model)
        if ranks is None or streams is None or len(pieces) < LEAST_PIECES or len(data) % streams:
            return None
        if streams < ranks.size or not all_have_rows(self.model):
            return None
        own = slice(ranks.rank * streams // ranks.size, (ranks.rank + 1) * streams // ranks.size)
        with fresh_state(self.model):
            alone = [self._answer(data.inputs(cut_rows(rows, own), whole=whole)) for rows in pieces[:2]]
        with fresh_state(self.model):
            among = [self._answer(data.inputs(rows, whole=whole)) for rows in pieces[:2]]
        same = all(y.tobytes() == each[own].tobytes() for y, each in zip(alone, among, strict=True))
        return own if all(ranks.share(same, "an evaluation")) else None

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


def has_carried_state(model: Module) -> bool:
    """Whether modules carry state from one minibatch to the next."""
    return any(vars(each)[name].size for each in find_carriers(model) for name in each._buffers)


def all_have_rows(model: Module) -> bool:
    """Whether all state that is carried has a row for each sample."""
    carried = [vars(each)[name] for each in find_carriers(model) for name in each._buffers]
    return len(find_rows(find_carriers(model))) == sum(array.size > 0 for array in carried)


def cut_rows(rows: slice, own: slice) -> slice:
    """The rows of a piece that belong to some of the streams."""
    return slice(rows.start + own.start, rows.start + own.stop)


def split_rows(n: int, size: int = SAMPLES) -> Iterator[slice]:
    """Split the rows 0 to n by `size`; a single last row joins the rows before, as batch statistics need two."""
    alone = n % size == 1 and n > size > 1
    return (slice(first, n if alone and first + size == n - 1 else first + size) for first in range(0, n - alone, size))
