"""Full-batch optimizers on shards: what they evaluate is the same bits, whichever process computes which part of it.

    L(w) = Σₖ mₖ/M Lₖ(w)        over the minibatches k, with mₖ of all samples M; with weights they are sums of weights
    ∂L/∂w, H v, Jᵀ H_L J v      likewise; those of Lₖ are sums over the shards of minibatch k, and all are added up in
                                the order of the fixed binary tree over the shards, each of all minibatches

So each point of a line search is one step of as many minibatches as there are, without an update. Every rank has the
same loss and gradient, takes the same decisions, and moves all parameters.
"""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from ...modules.core.carried_state import reset_state
from ...modules.engine.locks import locked
from ..optimizers.full_batch import FullBatch
from ..optimizers.optimizer import Optimizer
from ..parallel.communicator import Ranks
from ..parallel.step_layout import ADDITIONS, FRESH, PLACE, StepLayout
from .compiled_step import CompiledStep
from .minibatches import Epoch, NotFinite
from .sharded_steps import Runner, ShardedEpoch, Sharding

Counters = list[tuple[Any, dict[str, int]]]


def make_sharding(optimizer: Optimizer, shards: int, ranks: Ranks | None) -> Sharding:
    """Make the sharding of a training, as its optimizer needs it."""
    return (FullBatchSharding if isinstance(optimizer, FullBatch) else Sharding)(shards, ranks)


class FullBatchSharding(Sharding):
    """How what a full-batch optimizer evaluates is cut into shards.

    `passes` counts evaluations of all samples: of the loss and its gradient, and products with the curvature.
    """

    passes = 0

    def prepare(self, epoch: Epoch, step: CompiledStep) -> "ShardedObjective":
        return ShardedObjective(self, epoch, step)

    def run(self, epoch: Epoch, step: CompiledStep, prepared: Any = None) -> Iterator[tuple[int, float]]:
        """Train for an epoch, `max_iter` iterations; yields its end. NotFinite if the loss at its beginning is not."""
        work: ShardedObjective = prepared or self.prepare(epoch, step)
        optimizer, start, before = step.optimizer, time.perf_counter(), self._sum_seconds()
        assert isinstance(optimizer, FullBatch)
        self._synced = max(epoch.first, epoch.kept_from)
        value = optimizer.minimize(step.net, work.compute_objective, work.compute_product)
        self.seconds["update"] += time.perf_counter() - start - (self._sum_seconds() - before)
        if not np.isfinite(value):
            raise NotFinite(f"the loss is {value}", 0)
        last = len(epoch.order)
        if len(epoch.outputs):  # they are of the last point that was tried
            work.compute_objective()
        work.finish_chunk(last)
        yield last, value * epoch.mass(last)

    def _sum_seconds(self) -> float:
        return sum(self.seconds.values())


class ShardedObjective(ShardedEpoch):
    """The loss of all samples of an epoch on this rank, its gradient, and products with its curvature."""

    def __init__(self, sharding: Sharding, epoch: Epoch, step: CompiledStep):
        super().__init__(sharding, epoch, step)
        self.layout = sharding.find_layout(len(epoch.order), epoch.batch_size)
        self.shares, self.masses = self._compute_shares()
        if len(epoch.pieces) > 1:  # only the last of them keeps outputs
            self.run_parts = run_by_pieces(self.run_parts, epoch)

    def _compute_shares(self) -> tuple[np.ndarray, np.ndarray]:
        """Compute the share of each part in the loss, mₖ/M times that in its minibatch's, and its mass."""
        epoch, (_, first, last) = self.epoch, self.layout.parts.T
        masses = np.arange(len(epoch.order) + 1.0) if epoch.weights is None else epoch._masses
        starts = first // epoch.batch_size * epoch.batch_size
        ends = np.minimum(starts + epoch.batch_size, len(epoch.order))
        shares = (masses[ends] - masses[starts]) / (masses[-1] if masses[-1] > 0 else 1.0)
        if self.counts is not None:
            counts = self.counts[ends] - self.counts[starts]
            own = self.counts[last] - self.counts[first]
            shares *= np.divide(own, counts, out=np.zeros(len(own)), where=counts > 0)
        return shares, masses[last] - masses[first]

    # -- what a step leaves to its subclasses ------------------------------------------------------------------------

    def find_shares(self, layout: StepLayout, first: int, last: int) -> np.ndarray:
        return self.shares

    def add_losses(self, total: float, losses: np.ndarray) -> float:
        """Compute the loss: the sum of those of the parts, which come times their masses."""
        means = np.divide(losses, self.masses, out=np.zeros(len(losses)), where=self.masses > 0)
        return total + float(np.add.reduce(self.shares * means))

    def _update(self) -> float:
        return time.perf_counter()

    # -- what the optimizer asks for ---------------------------------------------------------------------------------

    def compute_objective(self) -> float:
        """Compute the loss of all samples, or infinity, which leaves all state as it was.

        Writes the gradient, zeros at infinity, and changes no parameter.
        """
        before = self._read_state()
        self._begin_pass()
        try:
            return self.run_step(self.epoch.pieces[0], 0, len(self.epoch.order), 0.0)
        except NotFinite:
            self._write_state(before)
            self.net.flat_gradients[:] = 0
            return np.inf

    def compute_product(self, kind: str, v: np.ndarray) -> np.ndarray:
        """Compute the matrix of the loss's curvature, "hvp" or "gauss_newton", times v; changes no state."""
        self.epoch.check_product(self.step)
        start, layout, before = time.perf_counter(), self.layout, self._read_state()
        increments = self._find_increments()
        counters = {key: getattr(*key) for key in increments}
        self._begin_pass()
        with locked(self.net):
            for _, first, last in layout.own_shards:
                self.buffers.write(before[1])  # which a shard of another rank does not change
                for k in range(first, last):
                    for (module, name), count in counters.items():
                        module.write_number(name, count + k * increments[module, name])
                    self._multiply_part(kind, v, k)
            self._write_state(before)
            middle = time.perf_counter()
            self._sum_up(layout, np.zeros(len(layout.parts)), {}, [])
        self.sharding.seconds["compute"] += middle - start
        self.sharding.seconds["exchange"] += time.perf_counter() - middle
        return self.net.flat_gradients.copy()

    def _multiply_part(self, kind: str, v: np.ndarray, k: int) -> None:
        """Multiply v by the curvature of a part, and add its share to the stack of sums, as ShardSum does."""
        from ...modules.derivatives.curvature import run

        epoch, net = self.epoch, self.net
        _, first, last = self.layout.parts[k].tolist()
        x, target = self.step.arrays(*epoch.cut_batch(self.step, first, last))
        start = first // epoch.batch_size * epoch.batch_size
        with self.carried.at_front(first - start, last - start):
            run(kind, net, self.step.loss, x, target, v)
        stack, settings = self.accumulator.view("stack"), self.layout.settings[k]
        place, share = int(settings[PLACE]), net.dtype.type(self.shares[k])
        if settings[FRESH]:
            np.multiply(share, net.flat_gradients, out=stack[place])
        else:
            stack[place] += share * net.flat_gradients
        for above in range(place, place - int(settings[ADDITIONS]), -1):
            stack[above - 1] += stack[above]

    # -- state -------------------------------------------------------------------------------------------------------

    def _begin_pass(self) -> None:
        """Begin a pass over the data, without the state of the last one."""
        self.sharding.passes += 1  # type: ignore[attr-defined]
        reset_state(self.net)

    def _read_state(self) -> tuple[Counters, np.ndarray, list[np.ndarray]]:
        """Read what an evaluation changes beside the gradients: counters, buffers, carried states."""
        counters = [(module, module.counters()) for module in (self.net, self.step.loss)]
        return counters, self.buffers.read(), self.carried.read()

    def _write_state(self, state: tuple[Counters, np.ndarray, list[np.ndarray]]) -> None:
        counters, buffers, carried = state
        for module, own in counters:
            module.load_counters(own)
        self.buffers.write(buffers)
        self.carried.write(carried)


def run_by_pieces(run: Runner, epoch: Epoch) -> Runner:
    """Make a runner of parts that are in several pieces of one pass."""

    def run_parts(piece, places, table, first, last, losses, room) -> None:
        pieces = np.searchsorted([each.place for each in epoch.pieces], places[first:last, 0], side="right") - 1
        bounds = [first, *(np.flatnonzero(np.diff(pieces)) + first + 1).tolist(), last]
        for begin, end in pairwise(bounds):
            piece = epoch.pieces[pieces[begin - first]] if begin < end else piece
            run(piece, places, table, begin, end, losses, epoch._find_room(piece.place))
            if not np.isfinite(losses[begin:end]).all():
                return

    return run_parts
