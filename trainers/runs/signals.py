"""Signals such as a batch system's SIGTERM, which stop a training at its next pause."""

import signal
import threading
from collections.abc import Callable
from typing import Any, Self

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopSignals:
    """Context in which SIGTERM and SIGHUP end no process: they are passed on to callbacks.

    A signal that is ignored, as SIGHUP under nohup, or that the program handles itself, is left alone; so are all of
    them outside the main thread, where Python has no handlers. More of them change nothing.

    Args: interrupts: so is the first Ctrl-C, which the launcher of several ranks sends to all of them.
    """

    def __init__(self, *, interrupts: bool = False) -> None:
        self.numbers = [*ENDING, signal.SIGINT] if interrupts else ENDING
        self.reason: str | None = None  # such as "stopped by SIGTERM", once one has come
        self._tell: Callable[[str], Any] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self.numbers:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def tell(self, tell: Callable[[str], Any]) -> None:
        """Call this with the reason when a signal comes, or now if one has come."""
        self._tell = tell
        if self.reason is not None:
            tell(self.reason)

    def _note(self, number: int, frame: Any) -> None:
        if number == signal.SIGINT and self.reason is not None:  # Ctrl-C again
            raise KeyboardInterrupt
        self.reason = f"stopped by {signal.Signals(number).name}"
        if self._tell is not None:
            self._tell(self.reason)
