"""States that are carried from minibatch to minibatch, a row for each sample, where minibatches are cut into shards.

A module finds the states of its samples in the first rows of its buffers. A part of a minibatch, its samples a to b,
has the rows a to b, so these are moved to the front before it runs, and back afterwards:

    state[:b - a] = rows[a:b]      part      rows[a:b] = state[:b - a]

On several ranks each has the rows of its own shards; at a pause, and where the cut changes, all get all rows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from ...modules.core.carried_state import find_rows
from ...modules.core.module import Module
from ..parallel.communicator import Ranks
from ..parallel.step_layout import StepLayout
from ..rules import Rule

Run = Callable[..., None]


def find_carried(net: Module, rule: Rule | None) -> list[tuple[np.ndarray, int]]:
    """Find the states of a model, and of a learning rule, that have a row for each sample, and the axis of the rows."""
    return find_rows([*net.all_modules(), *([] if rule is None else [copy for _, copy in rule.list_copies()])])


class CarriedRows:
    """The carried states of a training; true if there are any. `rows` are arrays with their rows on the first axis."""

    def __init__(self, net: Module, rule: Rule | None = None):
        self.rows = [np.moveaxis(array, axis, 0) for array, axis in find_carried(net, rule)]
        self._layout: StepLayout | None = None  # of the steps since all ranks had all rows

    def __bool__(self) -> bool:
        return bool(self.rows)

    def read(self) -> list[np.ndarray]:
        """Copy all states."""
        return [rows.copy() for rows in self.rows]

    def write(self, states: list[np.ndarray]) -> None:
        """Write what `read` has copied."""
        for rows, state in zip(self.rows, states, strict=True):
            rows[...] = state

    @contextmanager
    def at_front(self, first: int, last: int) -> Iterator[None]:
        """Context in which the rows of the samples first to last of a minibatch are the first ones."""
        whole = self.read()
        for rows, state in zip(self.rows, whole, strict=True):
            rows[: last - first] = state[first:last]
        yield
        for rows, state in zip(self.rows, whole, strict=True):
            state[first:last] = rows[: last - first]
        self.write(whole)

    def run_each(self, run: Run, batch_size: int) -> Run:
        """Make a runner of parts that gives each its own rows; it ends after a loss that is not finite."""

        def run_parts(piece, places, table, first, last, losses, room) -> None:
            for k in range(first, last):
                begin, end = places[k] - piece.stretch.begin
                start = begin // batch_size * batch_size
                with self.at_front(begin - start, end - start):
                    run(piece, places, table, k, k + 1, losses, room)
                if not np.isfinite(losses[k]):
                    return

        return run_parts

    # -- ranks -----------------------------------------------------------------------------------------------------

    def begin(self, layout: StepLayout, ranks: Ranks | None) -> None:
        """Begin a step: where its minibatches are cut in another way than the last one, all ranks get all rows."""
        if self._layout is not None and cut(self._layout) != cut(layout):
            self.synchronize(ranks)
        self._layout = layout

    def synchronize(self, ranks: Ranks | None) -> None:
        """Give all ranks all rows."""
        layout, self._layout = self._layout, None
        if not self.rows or layout is None or ranks is None:
            return
        places = [list_rows(layout, rank) for rank in range(ranks.size)]
        own = [rows[places[ranks.rank]] for rows in self.rows]
        for place, states in zip(places, ranks.share(own, "the carried states"), strict=True):
            for rows, state in zip(self.rows, states, strict=True):
                rows[place] = state


def cut(layout: StepLayout) -> int:
    """The size of the minibatches of a step, by which they are cut."""
    return min(layout.batch_size, layout.samples)


def list_rows(layout: StepLayout, rank: int) -> np.ndarray:
    """List the rows of a minibatch that a rank computes."""
    first, last = layout.find_parts(layout.blocks[rank])
    parts = layout.parts[first:last]
    rows = [np.arange(begin, end) for _, begin, end in parts[parts[:, 1] < layout.batch_size]]
    return np.concatenate(rows) if rows else np.zeros(0, np.int64)
