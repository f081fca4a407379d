"""Threads that Python lends to compiled code: see kernels/threads.py for what they do there.

They spin in compiled code, without the interpreter's lock, until they are taken back.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

import numba

from ..kernels import threads as kernels
from . import cache
from .sources import digest, package_digest

SERVE = '''"""What a lent thread runs."""

from bprop.modules.engine.prelude import *
from bprop.modules.engine.compiler import compiled
from bprop.modules.kernels import threads

body = compiled(threads.serve)


@entry
def serve(session, thread):
    body(session, thread)
'''


class _Helpers:
    """The threads, each asleep until it is lent."""

    def __init__(self):
        self.lock = threading.Lock()
        self.process = 0
        self.wakes: list[threading.Semaphore] = []
        self.session = 0

    def lend(self, count: int) -> None:
        """Wake `count` threads for a new session."""
        if self.process != os.getpid():  # a fork has no threads but its own
            self.process, self.wakes = os.getpid(), []
            kernels.CONTROL[:] = 0
        serve = compiled_serve()
        while len(self.wakes) < count:
            wake = threading.Semaphore(0)
            self.wakes.append(wake)
            given = wake, serve, len(self.wakes)
            threading.Thread(target=self._serve, args=given, name="bprop", daemon=True).start()
        self.session += 1
        kernels.CONTROL[kernels.LENT] = count
        kernels.CONTROL[kernels.SESSION] = self.session
        for wake in self.wakes[:count]:
            wake.release()

    def take_back(self) -> None:
        """End the session: from now on nothing is shared, though a thread may take a while to leave."""
        kernels.CONTROL[kernels.SESSION] = kernels.CONTROL[kernels.LENT] = 0

    def _serve(self, wake: threading.Semaphore, serve, thread: int) -> None:
        while True:
            wake.acquire()
            serve(self.session, thread)


_helpers = _Helpers()
_compiled: list = []


def compiled_serve():
    """`serve`, compiled once and kept in the folder of plans."""
    if not _compiled:
        name = "threads_" + digest("threads", package_digest())
        cache.write_plan(name, SERVE)
        function = cache.load_plan(name, {}).serve
        function.compile((numba.types.intp, numba.types.intp))
        _compiled.append(function)
    return _compiled[0]


def shared_jobs() -> int:
    """A number that changes with each job that was shared."""
    return int(kernels.CONTROL[kernels.NUMBER])


@contextlib.contextmanager
def num_threads(threads: int) -> Iterator[None]:
    """Within this context, the large products of this thread are shared among `threads` threads, itself included.

    with num_threads(4): value = step(x, target)

    The results are the same bits for any number. Contexts do not nest: within one, another changes nothing. Threads
    wait by spinning, so keep the context around many calls, and use no more threads than there are cores; 64 at most
    are used.
    Errors: ValueError for fewer than 1.
    """
    if threads < 1:
        raise ValueError(f"num_threads: got {threads}, expected at least 1")
    if threads < 2 or numba.config.DISABLE_JIT or not _helpers.lock.acquire(blocking=False):
        yield
        return
    try:
        _helpers.lend(min(threads, kernels.MOST_THREADS) - 1)
        yield
    finally:
        _helpers.take_back()
        _helpers.lock.release()
