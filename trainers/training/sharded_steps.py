"""Steps whose minibatches are cut into shards: the same bits, whichever process computes which of them.

    gradient = Σₛ (nₛ/n) gradientₛ     in the order of a fixed binary tree over the shards s

Each rank runs its own shards in one compiled call, then the sums are exchanged, and each rank takes the same update.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...modules.engine.locks import YIELD_SECONDS, locked
from ..optimizers.slices import SliceOptimizer
from ..parallel.communicator import Pending, Ranks
from ..parallel.early_sections import EarlySections
from ..parallel.exchange import Exchange
from ..parallel.send_choice import STEPS, SendChoice, Way
from ..parallel.step_layout import SHARE, TICKET, StepLayout
from ..parallel.tree import Block, count_sums, divide_shards
from .carried_rows import CarriedRows
from .changing_buffers import ChangingBuffers
from .compiled_step import CompiledStep
from .minibatches import CHUNK_SECONDS, Epoch, NotFinite, write_outputs
from .passes import Piece
from .shard_sum import ShardSum
from .shares import averages, count_each

Runner = Callable[[Piece, np.ndarray, np.ndarray, int, int, np.ndarray, np.ndarray], None]
OVERLAPS = os.name == "posix"  # whether gradients are exchanged while others are being computed, between hosts
SHARDS = 8  # of a training on several ranks, unless it says otherwise


@dataclass(eq=False)
class Sharding:
    """How the steps of a training are cut: into `shards` each, which `ranks` share, if there are several.

    `run(epoch, step)` trains on an epoch. The rest is memory: layouts by the sizes of steps, the exchange, the work of
    rank 0's clock.
    """

    shards: int
    ranks: Ranks | None
    blocks: list[Block] = field(init=False)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("compute", "exchange", "update"), 0.0))
    _layouts: dict[tuple[int, int], StepLayout] = field(default_factory=dict)
    _exchange: Exchange | None = None
    _choice: SendChoice | None = None
    _way: Way | None = None
    _increments: dict[tuple[Any, str], int] | None = None
    _synced: int = 0  # the place up to which rank 0 has all outputs
    _late: "ShardedEpoch | None" = None  # the epoch whose gradients and optimizer's state are in parts of the ranks

    def __post_init__(self):
        self.blocks = divide_shards(self.shards, 1 if self.ranks is None else self.ranks.size)

    @property
    def rank(self) -> int:
        """The number of this rank."""
        return 0 if self.ranks is None else self.ranks.rank

    def make_accumulator(self) -> ShardSum:
        """Make the sum of gradients, with room for all sums that this rank has at once."""
        return ShardSum(count_sums(self.shards, self.blocks[self.rank]))

    def find_layout(self, samples: int, batch_size: int) -> StepLayout:
        """Find how a step of so many samples is cut."""
        key = samples, batch_size
        if key not in self._layouts:
            self._layouts[key] = StepLayout(samples, batch_size, self.shards, self.blocks, self.rank)
        return self._layouts[key]

    def find_exchange(self, vector: np.ndarray) -> Exchange:
        """Find the exchange of a model's gradients."""
        if self._exchange is None or self._exchange.vector is not vector:
            assert self.ranks is not None
            self._exchange = Exchange(self.ranks, vector, [count_sums(self.shards, each) for each in self.blocks])
            self._choice = None
        return self._exchange

    def choose_steps(self, count: int) -> int:
        """The number of steps before the next pause, as rank 0 has chosen it by its clock; sets how these are sent."""
        exchange, choice = self._exchange, self._choice
        if self.ranks is None or exchange is None:
            return count
        if choice is None:
            return self.ranks.from_first(count, "the next steps")
        way = choice.propose()
        count = count if choice.decided else min(count, STEPS)
        count, early, exchange.piece = self.ranks.from_first((count, way.early, way.piece), "the next steps")
        self._way = Way(early, exchange.piece)
        return count

    def choose_way(self, exchange: Exchange) -> None:
        """Begin to choose how gradients are sent, by the times of steps."""
        if self._choice is None:
            self._choice = SendChoice(exchange.vector.nbytes, early=len(exchange.sections) > 1)

    def complete(self) -> None:
        """Get the parts of the gradients, and of the optimizer's state, that other ranks have."""
        late, self._late = self._late, None
        if late is not None:
            late.gather_parts()

    # -- looking for what is not finite ----------------------------------------------------------------------------

    @contextmanager
    def alone(self, step: CompiledStep) -> Iterator["Sharding"]:
        """Context in which this process computes all shards of the steps, by itself, to the same bits."""
        own = step.sharding, step.accumulator
        step.set_sharding(Sharding(self.shards, None))  # which has room for the sums of all shards
        try:
            yield step.sharding
        finally:
            step.sharding, step.accumulator = own

    def iterate_parts(self, epoch: Epoch, step: CompiledStep, place: int) -> Iterator[tuple[int, tuple]]:
        """Iterate over the parts of the step that begins at a place: the shard, and the minibatch (x, y, ...) of each.

        While the caller has it, carried states have its rows.
        """
        size, carried = epoch.batch_size * epoch.accumulate, CarriedRows(step.net, step.rule)
        layout = self.find_layout(min(place + size, epoch.find_piece(place).last) - place, epoch.batch_size)
        for shard, first, last in layout.parts.tolist():
            start = first // epoch.batch_size * epoch.batch_size
            with carried.at_front(first - start, last - start):
                yield shard, epoch.cut_batch(step, place + first, place + last)

    # -- an epoch --------------------------------------------------------------------------------------------------

    def prepare(self, epoch: Epoch, step: CompiledStep) -> "ShardedEpoch":
        """Compile what `run` needs."""
        return ShardedEpoch(self, epoch, step)

    def run(self, epoch: Epoch, step: CompiledStep, prepared: Any = None) -> Iterator[tuple[int, float]]:
        """Train; yields, after each chunk of steps, the position and the sum of the losses. NotFinite stops it."""
        work = prepared or self.prepare(epoch, step)
        total, size = epoch.total, epoch.batch_size * epoch.accumulate
        self._synced = max(epoch.first, epoch.kept_from)
        with work.exchange_early():
            for piece, first in epoch._begin_pieces(step):
                while first < piece.last:
                    count = self.choose_steps(1 if epoch.singly else epoch.chunk)
                    last, start = min(piece.last, first + count * size), time.perf_counter()
                    for begin in range(first, last, size):
                        total = work.run_step(piece, begin, min(begin + size, piece.last), total)
                    seconds = time.perf_counter() - start
                    work.finish_chunk(last)
                    yield last, total
                    done = -(-(last - first) // size)
                    if self._choice is not None and self._way is not None and first > epoch.first:
                        self._choice.note(self._way, seconds / done)
                    longest = int(done * CHUNK_SECONDS / max(seconds, 1e-6))
                    epoch.chunk = max(1, min(max(epoch.chunk, done * 8), longest))
                    first = last


class ShardedEpoch:
    """The steps of one epoch on this rank."""

    def __init__(self, sharding: Sharding, epoch: Epoch, step: CompiledStep):
        self.sharding, self.epoch, self.step = sharding, epoch, step
        self.net = step.net
        self.counts = None
        if averages(step.loss):
            counts = count_each(step.loss, epoch.data.y, epoch.order, epoch.weights)
            self.counts = np.append(0.0, np.cumsum(counts))
        step.optimizer.attach(step.net)
        self.dtype = step.net.dtype
        self.accumulator: ShardSum = step.accumulator  # type: ignore[assignment]
        self.exchange: Exchange | None = None
        if sharding.ranks is None:
            self.accumulator.attach(step.net)
        else:
            self.exchange = sharding.find_exchange(step.net.flat_gradients)
            self.accumulator.use_stack(self.exchange.stack)
            if self.exchange.sends_gradients and OVERLAPS:
                self.accumulator.tell_early()
        epoch.plan(step)  # by which a rule gets its arrays; the stack must be there
        if self.exchange is not None and self.exchange.sends_gradients:
            self.exchange.cut(self.accumulator.bounds.tolist())
            sharding.choose_way(self.exchange)
        self.buffers = ChangingBuffers(step.net, step.loss, step.rule)
        self.carried = CarriedRows(step.net, step.rule)
        self.early: EarlySections | None = None
        self.slices = self._choose_slices()
        self.run_parts = self._compile() or self._run_in_python
        if self.carried:
            self.run_parts = self.carried.run_each(self.run_parts, epoch.batch_size)
        self._started = False
        self.offsets: dict[tuple[Any, str], int] = {}
        if sharding.ranks is not None:
            self.offsets = {key: getattr(*key) for key in self._find_increments()}

    # -- parts -----------------------------------------------------------------------------------------------------

    def _compile(self) -> Runner | None:
        """Get the compiled loop over parts; None where a part is not one compiled function."""
        epoch, step = self.epoch, self.step
        if (found := epoch.find_loop_arguments(step)) is None:
            return None
        plan, before, (x, target), more = found
        run: Callable | None = None

        def run_parts(piece, places, table, first, last, losses, room) -> None:
            nonlocal run
            order, start = piece.stretch.order, piece.stretch.begin
            arguments = (*before, order, start, first, last, 1, losses, x, target, room, places, *more, table)
            if run is None:
                run = plan.find_loop(*arguments)
            if first < last:
                run(*arguments)

        with locked(step.net):
            nothing = np.zeros((1, 5), self.dtype), 0, 0, np.zeros(1), epoch.outputs[:0]
            run_parts(epoch.pieces[0], np.zeros((1, 2), np.int64), *nothing)
        return run_parts

    def _run_in_python(self, piece, places, table, first, last, losses, room) -> None:
        """Run parts one by one, of several functions each, or as plain Python."""
        epoch, step = self.epoch, self.step
        names = ("share", "fresh", "place", "additions", "ticket")
        for k in range(first, last):
            begin, end = (places[k] + piece.shift).tolist()
            settings = dict(zip(names, table[k].tolist(), strict=True))
            value, y = step.by_parts(*epoch.cut_batch(step, begin, end), sums=settings)
            weights = epoch._weights(epoch.order[begin:end])
            losses[k] = value * (weights[0].sum() if weights else end - begin)
            if not np.isfinite(value):
                return
            if len(room):
                write_outputs(room[places[k, 0] - piece.stretch.begin :][: end - begin], y)

    # -- counters --------------------------------------------------------------------------------------------------

    def _find_increments(self) -> dict[tuple[Any, str], int]:
        """Find by how much a part changes each counter of the model, loss and rule, by running one, once."""
        if self.sharding._increments is None:
            epoch, step = self.epoch, self.step
            piece = epoch.find_piece(epoch.first)
            if piece.stretch.number >= 0:
                step.augmentation.begin(piece.stretch.number, step.net.dtype)
            keys: list[tuple[Any, str]] = [
                (module, name)
                for module in (*step.net.all_modules(), *step.loss.all_modules())
                for name in module._counters
            ]
            keys += [] if step.rule is None else step.rule.list_counters()
            before, buffers, carried = [getattr(*key) for key in keys], self.buffers.read(), self.carried.read()
            size = min(epoch.batch_size * epoch.accumulate, piece.last - epoch.first)
            layout = self.sharding.find_layout(size, epoch.batch_size)
            table = np.zeros((len(layout.parts), 5), self.dtype)
            places = layout.parts[:, 1:] + (max(epoch.first, piece.place) - piece.shift)
            with locked(step.net):
                self.run_parts(piece, places, table, 0, 1, np.zeros(len(places)), epoch.outputs[:0])
                changes = {key: getattr(*key) - old for key, old in zip(keys, before, strict=True)}
                for (module, name), old in zip(keys, before, strict=True):
                    module.write_number(name, old)
                self.buffers.write(buffers)
                self.carried.write(carried)
            self.sharding._increments = {key: change for key, change in changes.items() if change}
        return self.sharding._increments

    def _set_counters(self, parts: int) -> None:
        """Set the counters to what they are after so many parts of the step, of whatever ranks."""
        for (module, name), offset in self.offsets.items():
            increments = self.sharding._increments
            assert increments is not None
            module.write_number(name, offset + parts * increments[module, name])

    def _choose_slices(self) -> list[slice] | None:
        """Choose which slices of the parameters this rank updates, before it gets the others; None for all of them."""
        exchange, optimizer = self.exchange, self.step.optimizer
        if exchange is None or exchange.whole or self.epoch.singly or not isinstance(optimizer, SliceOptimizer):
            return None
        return exchange.own if optimizer.can_update_slices else None

    def gather_parts(self) -> None:
        """Get the parts of vectors that other ranks have updated."""
        assert self.exchange is not None
        assert isinstance(self.step.optimizer, SliceOptimizer)
        for array in (self.net.flat_gradients, *self.step.optimizer.find_arrays()):
            self.exchange.spread(array)

    def finish_chunk(self, last: int) -> None:
        """Bring all up to date for a pause: rank 0 gets the outputs of others, all get the carried states.

        At the end each rank gets all vectors.
        """
        self.carried.synchronize(self.sharding.ranks)
        if last == len(self.epoch.order):
            self.sharding.complete()
        if self.sharding.ranks is not None and len(self.epoch.outputs):
            self._send_outputs(last)
        time.sleep(YIELD_SECONDS)  # for a thread that waits for the lock of the model

    def _send_outputs(self, last: int) -> None:
        """Send rank 0 the outputs of this rank's samples since the last pause."""
        ranks, epoch, sharding = self.sharding.ranks, self.epoch, self.sharding
        assert ranks is not None
        rows: list[list[np.ndarray]] = [[] for _ in range(ranks.size)]
        size, first = epoch.batch_size * epoch.accumulate, sharding._synced
        while first < last:
            end = min(first + size, epoch.find_piece(first).last)
            layout = sharding.find_layout(end - first, epoch.batch_size)
            for rank, block in enumerate(sharding.blocks):
                begin, stop = layout.find_parts(block)
                rows[rank] += [np.arange(a, b) + first for _, a, b in layout.parts[begin:stop]]
            first = end
        sharding._synced = max(last, sharding._synced)
        places = [np.concatenate(each) - epoch.kept_from if each else np.zeros(0, np.int64) for each in rows]
        what = "the outputs of the training part"
        if ranks.is_first:
            rooms = [np.empty((len(each), *epoch.outputs.shape[1:]), epoch.outputs.dtype) for each in places]
            ranks.exchange([], [(room, rank) for rank, room in enumerate(rooms) if rank and room.size], what)
            for place, room in zip(places[1:], rooms[1:], strict=True):
                epoch.outputs[place] = room
        else:
            own = np.ascontiguousarray(epoch.outputs[places[ranks.rank]])
            ranks.exchange([(own, 0)] if own.size else [], [], what)

    # -- a step ----------------------------------------------------------------------------------------------------

    @contextmanager
    def exchange_early(self) -> Iterator[None]:
        """Context in which sections of the gradients are exchanged while others are being computed, if there are any.

        The first step is not among these: it may be run twice, the first time with bounds checks.
        """
        self.early, self._started = None, False
        try:
            yield
        finally:
            if self.early is not None:
                self.early.close()
                self.accumulator.ticket, self.accumulator.pipe = 0.0, -1

    def run_step(self, piece: Piece, first: int, last: int, total: float) -> float:
        """Run a step, on the samples first to last of the order; returns the sum of the losses."""
        epoch, sharding, start = self.epoch, self.sharding, time.perf_counter()
        layout = sharding.find_layout(last - first, epoch.batch_size)
        epoch.set_schedules(first)
        table = layout.settings.astype(self.dtype)
        table[:, SHARE] = self.find_shares(layout, first, last)
        places = layout.parts[:, 1:] + (first - piece.shift)
        losses, room = np.zeros(len(places)), epoch._find_room(piece.place)
        with locked(self.net):
            if self.offsets:
                self._set_counters(layout.own[0])
            self.carried.begin(layout, sharding.ranks)
            early = self._begin_early()
            if early is not None and layout.own[0] < layout.own[1]:
                table[layout.own[1] - 1, TICKET] = early.begin_step(layout.covers)
            old, changes = self._run_own(layout, piece, places, table, losses, room)
            middle = time.perf_counter()
            losses, changes = self._sum_up(layout, losses, changes, [] if early is None else early.end_step())
            end = time.perf_counter()
            wrong = np.flatnonzero(~np.isfinite(losses))
            if len(wrong):
                self._restore(old)
                sharding.complete()
                raise NotFinite(f"the loss is {losses[wrong[0]]}", first)
            if self.buffers.size:
                self.buffers.combine(old, changes, layout.sizes / layout.samples, layout.all_sums)
            if self.offsets:
                self._set_counters(len(layout.parts))
                self.offsets = {key: getattr(*key) for key in self.offsets}
            updated = self._update()
        seconds = sharding.seconds
        seconds["compute"] += middle - start
        seconds["exchange"] += end - middle + time.perf_counter() - updated
        seconds["update"] += updated - end
        return self.add_losses(total, losses)

    def find_shares(self, layout: StepLayout, first: int, last: int) -> np.ndarray | float:
        """Find the share that the gradient of each part has in that of the step."""
        return 1.0 if self.counts is None else layout.compute_shares(self.counts[first : last + 1])

    def add_losses(self, total: float, losses: np.ndarray) -> float:
        """Add the losses of all parts of a step to those before it."""
        for loss in losses.tolist():
            total += loss
        return total

    def _update(self) -> float:
        """Update the model, or the own slices of it, and get the others; returns the time when the own one was done."""
        if self.slices is None:
            self.step.update()
            return time.perf_counter()
        assert self.exchange is not None
        assert isinstance(self.step.optimizer, SliceOptimizer)
        self.sharding._late = self
        self.step.optimizer.update_slices(self.net, self.slices)
        updated = time.perf_counter()
        self.exchange.spread(self.net.flat_parameters)
        return updated

    def _restore(self, old: np.ndarray) -> None:
        if self.buffers.size:
            self.buffers.write(old)

    def _run_own(self, layout: StepLayout, piece, places, table, losses, room) -> tuple[np.ndarray, dict]:
        """Run the parts of this rank; returns the buffers of before, and how each shard changes them."""
        old = self.buffers.read()
        changes: dict[int, np.ndarray] = {}
        if not self.buffers.size:
            self.run_parts(piece, places, table, *layout.own, losses, room)
            return old, changes
        for shard, first, last in layout.own_shards:
            self.run_parts(piece, places, table, first, last, losses, room)
            changes[shard] = self.buffers.read() - old
            self.buffers.write(old)
            if not np.isfinite(losses[first:last]).all():
                break
        return old, changes

    def _begin_early(self) -> EarlySections | None:
        """Find the thread of early exchanges, from the second step of an epoch on, if sections are sent early now."""
        way, started, self._started = self.sharding._way, self._started, True
        if way is None or not (way.early and started):
            return None
        if self.early is None:
            assert self.exchange is not None
            self.early = EarlySections(self.exchange)
            self.accumulator.pipe = self.early.pipe
        return self.early

    def _sum_up(
        self, layout: StepLayout, losses: np.ndarray, changes: dict, begun: list[Pending]
    ) -> tuple[np.ndarray, dict]:
        """Sum up the gradients of all ranks; returns the losses of all parts, and the changes by all shards."""
        sharding, exchange = self.sharding, self.exchange
        if exchange is None:
            self.net.flat_gradients[:] = self.accumulator.stack[0]
            return losses, changes
        size, rank = self.buffers.size, sharding.rank
        first, last = layout.own
        own = [changes.get(shard, np.zeros(size)) for shard in layout.rank_shards[rank]] if size else []
        notes = np.concatenate([[0.0], losses[first:last], *own])
        each = list(zip(layout.rank_parts, layout.rank_shards, strict=True))
        sizes = [1 + b - a + len(s) * size for (a, b), s in each]
        noted = exchange.sum_up(layout.covers, layout.rest, notes, sizes, begun)
        if self.slices is None:
            exchange.spread(exchange.vector)
        for ((a, b), shards), note in zip(each, noted, strict=True):
            losses[a:b] = note[1 : 1 + b - a]
            if size:
                changes |= dict(zip(shards, note[1 + b - a :].reshape(-1, size), strict=True))
        return losses, changes
