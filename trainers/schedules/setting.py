"""Scheduled settings: their owner, name, and initial value."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from ...modules.core.module import Module
from ...modules.core.type_errors import describe_wrong_type
from ...modules.engine.stateful import Stateful, find_stored_names
from ..files.suggest import format_suggestion
from .schedule import Schedule

BATCH_SIZE = "batch_size"


@dataclass
class Setting:
    """`owner.name` follows `schedule` from `base` on; `path` is what the user calls it."""

    path: str
    owner: Stateful
    name: str
    schedule: Schedule
    base: float

    def at(self, t: int, total: int) -> float:
        """The value at time t."""
        value = self.schedule.value(self.base, t, total)
        if not np.isfinite(value):
            raise ValueError(f"schedules: {self.path} would be {value} at {self.schedule.per} {t}, expected a number")
        return float(value)

    def write(self, value: float) -> None:
        setattr(self.owner, self.name, value)


def find_settings(schedules: Mapping[str, Schedule], roots: dict[str, Stateful]) -> list[Setting]:
    """Find the settings of these paths, in alphabetical order, without batch_size.

    Errors: TypeError for what is no schedule, ValueError for a path at which no number stands, and for numbers that
        no factor moves.
    """
    settings = []
    for path in sorted(schedules):
        schedule = schedules[path]
        if not isinstance(schedule, Schedule):
            raise TypeError(f"schedules: {path} is {describe_wrong_type(schedule, 'a Schedule')}")
        if path == BATCH_SIZE:
            if schedule.per == "step":
                raise ValueError("schedules: batch_size has a schedule per step, expected one per epoch")
            continue
        known = dict(list_settings(roots))
        if path not in known:
            expected = suggest_path(path, known) or f", expected some of {', '.join(sorted([*known, BATCH_SIZE]))}"
            raise ValueError(f"schedules: there is no {path!r}{expected}")
        owner, name = known[path]
        base = getattr(owner, name)
        if base == 0 or not np.isfinite(base):
            raise ValueError(f"schedules: {path} is {base}, expected another number, as schedules multiply it")
        settings.append(Setting(path, owner, name, schedule, base))
    with_state = [id(setting.schedule) for setting in settings if setting.schedule.state_dict()]
    if len(set(with_state)) < len(with_state):
        raise ValueError("schedules: one schedule with state serves two settings, expected one for each")
    return settings


def suggest_path(path: str, known: Iterable[str]) -> str:
    """Suggest the known path whose last word is most similar, as a question; "" where none is."""
    by_word: dict[str, list[str]] = {}
    for each in known:
        by_word.setdefault(each.rpartition(".")[2], []).append(each)
    words = get_close_matches(path.rpartition(".")[2], by_word, n=1)
    return format_suggestion(path, by_word[words[0]], least=0.0) if words else ""


def list_settings(roots: dict[str, Stateful]) -> Iterator[tuple[str, tuple[Stateful, str]]]:
    """List (path, (owner, name)) of every number that is a setting: `optimizer.lr`, `model.2.p`."""
    for root, stateful in roots.items():
        owners = stateful.named_modules() if isinstance(stateful, Module) else [("", stateful)]
        for prefix, owner in owners:
            place = f"{root}.{prefix}" if prefix else root
            for name, value in vars(owner).items():
                own = not name.startswith("_") and name not in find_stored_names(type(owner))
                if own and type(value) is float:
                    yield f"{place}.{name}", (owner, name)


def shorten_names(settings: list[Setting]) -> dict[str, str]:
    """Shorten paths to column names: the setting's own name, or the whole path where two have one."""
    names = [setting.name for setting in settings]
    return {s.path: s.name if names.count(s.name) == 1 and s.name != BATCH_SIZE else s.path for s in settings}
