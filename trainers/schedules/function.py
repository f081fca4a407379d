"""A schedule that is given by a function."""

import inspect
from collections.abc import Callable

from .schedule import Schedule, Unit


class LambdaSchedule(Schedule):
    """value = base function(t), or base function(t, total), if the function takes two arguments.

    In a config the function is a name such as `my_schedules.decay`, of the file my_schedules.py beside the config.

    Args: function: of the time t, counted from 0, or of t and the total time; gives a factor; per: unit of time.
    Errors: TypeError for what is no function of one or two arguments; ValueError for a factor that is no number.
    Source: torch.optim.lr_scheduler.LambdaLR.
    """

    def __init__(self, function: Callable[..., float], per: Unit = "epoch"):
        super().__init__(per)
        if not callable(function):
            raise TypeError(f"LambdaSchedule: function is {function!r}, expected a function of t, or of t and total")
        self.function = function
        self._takes_total = takes_total(function)

    def value(self, base: float, t: int, total: int) -> float:
        factor = self.function(t, total) if self._takes_total else self.function(t)
        try:
            return base * float(factor)
        except (TypeError, ValueError):
            message = f"{name_function(self.function)}({t}) is {factor!r}, expected a number"
            raise ValueError(f"LambdaSchedule: {message}") from None

    def __repr__(self) -> str:
        return f"LambdaSchedule(function={name_function(self.function)}, per={self.per!r})"


def takes_total(function: Callable) -> bool:
    """Whether a function takes two arguments, not one; TypeError for another number of them."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # what is written in C may have no signature
        return False
    for arguments in ((0, 1), (0,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 2
    name = name_function(function)
    raise TypeError(f"LambdaSchedule: {name} takes {signature}, expected a function of t, or of t and total")


def name_function(function: Callable) -> str:
    """The name of a function, which is the same in each process."""
    cls = type(function)
    module = getattr(function, "__module__", None) or cls.__module__
    return f"{module}.{getattr(function, '__qualname__', cls.__qualname__)}"
