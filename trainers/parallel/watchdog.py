"""Waiting for other ranks: never longer than a limit, and never without knowing for whom."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_NAME = "BPROP_MPI_TIMEOUT"
LIMIT = 600.0  # seconds that a rank waits for others, by default
NOTICE = 20.0  # seconds after which a line says for whom
LOOK = 0.1  # seconds between two looks whether they are alive
SPIN = 0.002  # seconds of waiting without sleep; other processes get the core between two looks
SLEEP = 0.05  # of the time waited so far, between two looks
LONGEST = 0.01  # seconds between two looks


yield_core: Callable[[], Any] = getattr(os, "sched_yield", lambda: time.sleep(0))


class RankError(RuntimeError):
    """The training cannot go on because of another rank; the message names it and its host."""


@dataclass(frozen=True)
class Peer:
    """A rank of the job: its number, its host, and its process there."""

    rank: int
    host: str
    pid: int

    def __str__(self) -> str:
        return f"rank {self.rank} on {self.host}"

    def is_alive(self) -> bool:
        """Whether the process runs, as far as this host knows; a zombie does not."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        with contextlib.suppress(OSError, IndexError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
        return True


def read_limit() -> float:
    """Read how long a rank waits for others, in seconds; ValueError for what is no time."""
    text = os.environ.get(LIMIT_NAME, "")
    try:
        limit = float(text) if text else LIMIT
    except ValueError:
        limit = -1.0
    if not limit > 0:
        raise ValueError(f"{LIMIT_NAME} is {text!r}, expected seconds above 0")
    return limit


class Watchdog:
    """Waits until something is done, looks meanwhile after those that it depends on, and ends the wait by an error.

    Args: own: this rank; poll: called now and then, to hear of errors of others; `seconds` is the time spent waiting so
        far; `alarmed` makes a wait look at once.
    """

    def __init__(self, own: Peer, poll: Callable[[], None]):
        self.own, self.poll = own, poll
        self.limit, self.seconds, self.alarmed = read_limit(), 0.0, False

    def wait(self, is_done: Callable[[], bool], missing: Callable[[], Sequence[Peer]], what: str) -> None:
        """Wait until it is done; RankError where a missing rank has died, or does not come within the limit."""
        if is_done():
            return
        start = time.perf_counter()
        look, noticed, waited = LOOK, False, 0.0
        try:
            while not is_done():
                waited = time.perf_counter() - start
                if waited > SPIN:
                    time.sleep(min(LONGEST, SLEEP * waited))
                else:
                    yield_core()
                if waited > look or self.alarmed:
                    look, self.alarmed = waited + LOOK, False
                    self.look(missing(), waited, what)
                    if waited > NOTICE and not noticed and self.own.rank == 0:
                        noticed = True
                        self.tell(missing(), waited, what)
        finally:
            self.seconds += time.perf_counter() - start

    def look(self, missing: Sequence[Peer], waited: float, what: str) -> None:
        """Raise RankError if one of the missing ranks has died, or the limit is over."""
        self.poll()
        for peer in missing:
            if peer.host == self.own.host and not peer.is_alive():
                raise RankError(f"{peer} has died (process {peer.pid})")
        if waited > self.limit:
            names = ", ".join(map(str, missing[:8])) + (" and others" if len(missing) > 8 else "")
            raise RankError(f"{names} did not answer within {waited:.0f} s ({what}); {LIMIT_NAME} sets another limit")

    def tell(self, missing: Sequence[Peer], waited: float, what: str) -> None:
        """Say for whom this rank waits."""
        names = ", ".join(map(str, missing[:8]))
        print(f"bprop: {self.own} has waited {waited:.0f} s for {names} ({what})", file=sys.stderr, flush=True)
