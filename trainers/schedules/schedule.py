"""The base class of schedules: a setting such as a learning rate as a function of time."""

from typing import Any, Literal

Unit = Literal["epoch", "step"]


class Schedule:
    """What a setting is at time t, from 0 to total - 1, counted in epochs or in steps.

        setting = value(base, t, total)      base: what the setting was when the trainer was made

    A subclass writes `value`, a pure function, so that a training that is resumed goes on as if it had not stopped.

    Args: per: whether time counts epochs or steps (minibatches).
    Errors: ValueError for another unit.
    """

    def __init__(self, per: Unit = "epoch"):
        if per not in ("epoch", "step"):
            raise ValueError(f"{type(self).__name__}: per is {per!r}, expected 'epoch' or 'step'")
        self.per = per

    @property
    def monitored(self) -> str | None:
        """The metric that this schedule depends on."""
        return None

    def value(self, base: float, t: int, total: int) -> float:
        """The setting at time t of `total`."""
        raise NotImplementedError(f"{type(self).__name__} has no value: write `def value(self, base, t, total)`")

    def observe(self, row: dict[str, Any]) -> None:
        """Update the state by an epoch's metrics; for schedules that depend on them."""

    def state_dict(self) -> dict[str, float]:
        """The numbers that `observe` has set."""
        return {}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restore the numbers of `state_dict`; ValueError if the names differ."""
        own = self.state_dict()
        if set(state) != set(own):
            raise ValueError(f"{type(self).__name__}: the state has {sorted(state)}, expected {sorted(own)}")
        for name, value in state.items():
            setattr(self, name, type(own[name])(value))

    def __repr__(self) -> str:
        settings = [f"{name}={value!r}" for name, value in vars(self).items() if name not in self.state_dict()]
        return f"{type(self).__name__}({', '.join(settings)})"
