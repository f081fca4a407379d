"""A time limit for trainings, which can be resumed later."""

import time

from .callback import Callback


class TimeBudget(Callback):
    """Stop when the training has taken so long, within an epoch if need be; `bprop resume` goes on, with as much again.

    Args: seconds: from the beginning of the fit, or of its resuming; it ends at the first pause after that.
    Errors: ValueError unless seconds is above 0.
    """

    def __init__(self, seconds: float):
        if not seconds > 0:
            raise ValueError(f"TimeBudget: seconds is {seconds}, expected more than 0")
        self.seconds = seconds

    def on_fit_start(self, trainer) -> None:
        self._start = time.perf_counter()

    def is_due(self, trainer) -> bool:
        return not trainer.ended and time.perf_counter() - self._start >= self.seconds

    def on_pause(self, trainer) -> None:
        trainer.stop(f"the time of {self.seconds:g} s is up", for_now=True)
