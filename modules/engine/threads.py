"""Threads that Python lends to compiled code: see kernels/threads.py for what they do there.

They spin in compiled code, without the interpreter's lock, until they are taken back.
"""

import contextlib
import os
import threading

import numba

from ..kernels import threads as kernels
from . import cache
from .sources import digest, package_digest

SERVE = '''"""What a lent thread runs."""

from bprop.modules.engine.generated_imports import *
from bprop.modules.engine.compiler import compiled
from bprop.modules.kernels import threads

body = compiled(threads.serve)


@entry
def serve(session, thread):
    body(session, thread)
'''


class _Helpers:
    """The threads, each asleep until it is lent, to the context that has put itself into `lent_to` first."""

    def __init__(self):
        self.lent_to: dict[str, object] = {}
        self.wakes: list[threading.Semaphore] = []
        self.session = 0

    def forget(self) -> None:
        """In a fork, which has no threads but its own."""
        self.lent_to, self.wakes = {}, []
        kernels.CONTROL[:] = 0

    def lend(self, count: int) -> None:
        """Wake `count` threads for a new session."""
        serve = compiled_serve()
        while len(self.wakes) < count:
            wake = threading.Semaphore(0)
            arguments = wake, serve, len(self.wakes) + 1
            threading.Thread(target=self._serve, args=arguments, name="bprop", daemon=True).start()
            self.wakes.append(wake)  # now that it is there: Ctrl-C may come in between
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
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.forget)
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


class num_threads(contextlib.ContextDecorator):
    """Within this context, the large products of this thread are shared among `threads` threads, itself included.

    with num_threads(4): value = step(x, target)

    The results are the same bits for any number. Contexts do not nest: within one, another changes nothing. Threads
    wait by spinning, so keep the context around many calls, and use no more threads than there are cores; 64 at most
    are used.
    Errors: ValueError for fewer than 1.
    """

    def __init__(self, threads: int):
        if threads < 1:
            raise ValueError(f"num_threads: got {threads}, expected at least 1")
        self.threads = threads

    def __enter__(self) -> None:
        if self.threads < 2 or numba.config.DISABLE_JIT:
            return
        try:  # wherever Ctrl-C comes, the threads are given back
            if _helpers.lent_to.setdefault("context", self) is self:
                _helpers.lend(min(self.threads, kernels.MOST_THREADS) - 1)
        except BaseException:
            self._give_back()
            raise

    def __exit__(self, *exception) -> None:
        self._give_back()

    def _give_back(self) -> None:
        if _helpers.lent_to.get("context") is self:
            try:
                _helpers.take_back()
            finally:  # once more: Ctrl-C may have come before it had begun
                _helpers.take_back()
                del _helpers.lent_to["context"]

    def _recreate_cm(self) -> "num_threads":
        return num_threads(self.threads)  # for each call of a function that it decorates
