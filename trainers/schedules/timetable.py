"""The timetable of a training: the value of each scheduled setting by epoch and step."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...modules.engine.stateful import Stateful
from .schedule import Schedule
from .setting import BATCH_SIZE, find_settings, shorten_names


class Timetable:
    """Sets the settings of `schedules`, a mapping such as {"optimizer.lr": CosineSchedule(), "batch_size": ...}.

    Args: schedules: by path; roots: what paths start from, such as the optimizer.
    Errors: ValueError and TypeError for what is no setting or no schedule.
    """

    def __init__(self, schedules: Mapping[str, Schedule], roots: dict[str, Stateful]):
        self.schedules = dict(schedules)
        self.settings = find_settings(schedules, roots)
        self.by_epoch = [setting for setting in self.settings if setting.schedule.per == "epoch"]
        self.by_step = [setting for setting in self.settings if setting.schedule.per == "step"]
        self.names = shorten_names(self.settings)

    def batch_size(self, base: int, epoch: int, epochs: int, samples: int) -> int:
        """The batch size of an epoch."""
        if BATCH_SIZE not in self.schedules:
            return base
        size = round(self.schedules[BATCH_SIZE].value(base, epoch, epochs))
        if not 1 <= size <= samples:
            message = f"schedules: batch_size would be {size} in epoch {epoch + 1}, expected 1 to {samples}"
            raise ValueError(f"{message}, the number of samples")
        return size

    def begin_epoch(
        self, epoch: int, epochs: int, base: int, samples: int, drop_last: bool, accumulate: int = 1
    ) -> np.ndarray | None:
        """Set the settings that change by epochs; returns values (steps, settings) of those that change by steps."""
        self._set_by_epoch(epoch, epochs)
        epoch_of_steps = range(epoch, epoch + 1), epochs, base, samples, drop_last, accumulate
        return self._table(*epoch_of_steps) if self.by_step else None

    def begin_steps(self, epoch: int, epochs: int, steps: range, total: int) -> np.ndarray | None:
        """As `begin_epoch`, for a row of metrics of these steps, of `total`, that counts as an epoch."""
        self._set_by_epoch(epoch, epochs)
        return self._values(steps, total) if self.by_step else None

    def _set_by_epoch(self, epoch: int, epochs: int) -> None:
        for setting in self.by_epoch:
            setting.write(setting.at(epoch, epochs))

    def _values(self, steps: range, total: int) -> np.ndarray:
        """The values (steps, settings) of the settings that change by steps."""
        return np.array([[setting.at(t, total) for setting in self.by_step] for t in steps])

    def _table(
        self, which: range, epochs: int, base: int, samples: int, drop_last: bool, accumulate: int = 1
    ) -> np.ndarray:
        """Compute values (steps, settings) in the steps of some epochs."""
        if BATCH_SIZE in self.schedules and self.schedules[BATCH_SIZE].state_dict():
            raise ValueError("schedules: batch_size depends on the figures, so other schedules cannot count steps")

        def steps(until: int) -> int:
            """How many there are in the first epochs."""
            alike = BATCH_SIZE not in self.schedules
            sizes = [accumulate * self.batch_size(base, each, epochs, samples) for each in range(1 if alike else until)]
            counts = [samples // size if drop_last else -(-samples // size) for size in sizes]
            return counts[0] * until if alike else sum(counts)

        first, last, total = steps(which.start), steps(which.stop), steps(epochs)
        return self._values(range(first, last), total)

    def check_steps_so_far(self, steps: range, old: int, new: int, epochs: range, rows: tuple[int, int]) -> None:
        """Raise ValueError unless these steps are equal for `old` and for `new` steps in all.

        Args: epochs: those of these steps, which are rows of metrics; rows: how many rows there are then in all.
        """
        changed = self._list_changed(epochs, *rows)
        if self.by_step and old != new and not np.array_equal(self._values(steps, old), self._values(steps, new)):
            changed += [setting.path for setting in self.by_step]
        self._refuse_changed(changed, f"{new} steps, not {old}")

    def _list_changed(self, epochs: range, old: int, new: int) -> list[str]:
        """List the settings that change by epochs and differ in some for `old` and for `new` epochs in all."""
        return [
            setting.path
            for setting in self.by_epoch
            if any(setting.at(each, old) != setting.at(each, new) for each in epochs)
        ]

    def _refuse_changed(self, changed: list[str], what: str) -> None:
        if changed:
            raise ValueError(
                f"schedules: with {what}, {', '.join(changed)} would have been different until now, "
                "so such a training must start anew"
            )

    def check_so_far(
        self, until: int, old: int, new: int, base: int, samples: int, drop_last: bool, accumulate: int = 1
    ) -> None:
        """Raise ValueError unless the first `until` epochs are equal for `old` and for `new` epochs in all."""
        changed = self._list_changed(range(until), old, new)
        sizes = [[self.batch_size(base, each, epochs, samples) for each in range(until)] for epochs in (old, new)]
        changed += [BATCH_SIZE] if sizes[0] != sizes[1] else []
        if self.by_step and old != new:
            tables = [self._table(range(until), epochs, base, samples, drop_last, accumulate) for epochs in (old, new)]
            if not np.array_equal(tables[0], tables[1]):
                changed += [setting.path for setting in self.by_step]
        self._refuse_changed(changed, f"{new} epochs, not {old}")

    def row(self, batch_size: int) -> dict[str, float]:
        """The current settings, by column name."""
        values = {self.names[s.path]: float(getattr(s.owner, s.name)) for s in self.settings}
        return values | ({BATCH_SIZE: batch_size} if BATCH_SIZE in self.schedules else {})

    def observe(self, row: dict[str, Any]) -> None:
        """Pass an epoch's metrics to all schedules."""
        for schedule in {id(schedule): schedule for schedule in self.schedules.values()}.values():
            schedule.observe(row)

    def restore(self) -> None:
        """Restore the settings' initial values."""
        for setting in self.settings:
            setting.write(setting.base)

    def state_dict(self) -> dict[str, dict[str, float]]:
        """The numbers of schedules with state, by path."""
        return {path: state for path, state in self._states() if state}

    def load_state_dict(self, state: Mapping[str, dict[str, float]]) -> None:
        """Restore the numbers of `state_dict`; ValueError if the paths or names differ."""
        own = self.state_dict()
        if set(state) != set(own):
            raise ValueError(f"schedules: the state has {sorted(state)}, expected {sorted(own)}")
        for path, numbers in state.items():
            self.schedules[path].load_state_dict(numbers)

    def _states(self) -> Iterator[tuple[str, dict[str, float]]]:
        for path in sorted(self.schedules):
            yield path, self.schedules[path].state_dict()
