"""Worker threads of compiled code: Python threads that run the loop of kernels/threads.py.

Within a session they spin in compiled code, without the interpreter's lock; outside of one they sleep.
"""

import contextlib
import os
import threading

import numba

from ..kernels import threads as kernels
from . import cache
from .sources import digest, hash_package

SERVE = '''"""The loop of a worker thread."""

from bprop.modules.engine.generated_imports import *
from bprop.modules.engine.compiler import get_dispatcher
from bprop.modules.kernels import threads

body = get_dispatcher(threads.serve)


@entry
def serve(session, thread):
    body(session, thread)
'''


class _WorkerThreads:
    """The pool of worker threads, for one context at a time: the one that sets `users["context"]` first."""

    def __init__(self):
        self.users: dict[str, object] = {}
        self.semaphores: list[threading.Semaphore] = []
        self.session = 0

    def reset_after_fork(self) -> None:
        """Forget the threads, which a forked process does not have."""
        self.users, self.semaphores = {}, []
        kernels.CONTROL[:] = 0

    def start_session(self, count: int) -> None:
        """Start a session of `count` worker threads."""
        serve = get_compiled_serve()
        while len(self.semaphores) < count:
            semaphore = threading.Semaphore(0)
            arguments = semaphore, serve, len(self.semaphores) + 1
            threading.Thread(target=self._serve, args=arguments, name="bprop", daemon=True).start()
            self.semaphores.append(semaphore)  # now that it is there: Ctrl-C may come in between
        self.session += 1
        kernels.CONTROL[kernels.WORKERS] = count
        kernels.CONTROL[kernels.SESSION] = self.session
        for semaphore in self.semaphores[:count]:
            semaphore.release()

    def end_session(self) -> None:
        """End the session: no further job runs in parallel, though a thread may still be leaving its loop."""
        kernels.CONTROL[kernels.SESSION] = kernels.CONTROL[kernels.WORKERS] = 0

    def _serve(self, semaphore: threading.Semaphore, serve, thread: int) -> None:
        while True:
            semaphore.acquire()
            serve(self.session, thread)


_workers = _WorkerThreads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.reset_after_fork)
_compiled: list = []


def get_compiled_serve():
    """`serve`, compiled once and cached with the plans."""
    if not _compiled:
        name = "threads_" + digest("threads", hash_package())
        cache.write_plan(name, SERVE)
        function = cache.load_plan(name, {}).serve
        function.compile((numba.types.intp, numba.types.intp))
        _compiled.append(function)
    return _compiled[0]


def count_parallel_jobs() -> int:
    """The number of jobs that ran in parallel so far, as a counter that wraps."""
    return int(kernels.CONTROL[kernels.NUMBER])


class num_threads(contextlib.ContextDecorator):
    """Context in which large kernels of this thread run in parallel on `threads` threads, itself included.

    with num_threads(4): value = step(x, target)

    The results are the same bits for any number. Contexts do not nest: within one, another changes nothing. Threads
    wait by spinning, so keep the context around many calls, and use no more threads than there are cores; 64 at most
    are used.
    Args: threads: how many, at least 1.
    Errors: ValueError for fewer than 1.
    """

    def __init__(self, threads: int):
        if threads < 1:
            raise ValueError(f"num_threads: got {threads}, expected at least 1")
        self.threads = threads

    def __enter__(self) -> None:
        if self.threads < 2 or numba.config.DISABLE_JIT:
            return
        try:  # wherever Ctrl-C comes, the session ends
            if _workers.users.setdefault("context", self) is self:
                _workers.start_session(min(self.threads, kernels.MAX_THREADS) - 1)
        except BaseException:
            self._end_session()
            raise

    def __exit__(self, *exception) -> None:
        self._end_session()

    def _end_session(self) -> None:
        if _workers.users.get("context") is self:
            try:
                _workers.end_session()
            finally:  # again: Ctrl-C may have come before the first call began
                _workers.end_session()
                del _workers.users["context"]

    def _recreate_cm(self) -> "num_threads":
        return num_threads(self.threads)  # for each call of a function that it decorates
