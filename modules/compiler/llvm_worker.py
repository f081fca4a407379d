"""The compile worker: a process in which LLVM compiles one function while numba types and lowers the next here.

It is a process, as LLVM may only be called by one thread of a process at a time. It starts when the first plan is
compiled, where there is a second core, and ends when nothing has been compiled for a second. Without it, or if it
fails, this process does the same work by the same `LLVMCompiler`.
"""

import atexit
import contextlib
import itertools
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

from . import llvm_passes
from .cpu import count_cores
from .llvm_passes import LLVMCompiler, Result, from_line, to_line
from .numba_api import _parse_refprune_flags, config, cpu_target, ffi, global_compiler_lock

NUMBERS = itertools.count()
LLVM_LOCK = getattr(ffi.lib, "_lock", contextlib.nullcontext())  # llvmlite's own, around each call
PIECE = 1 << 20  # bytes of an answer that are read at a time
IDLE = 1.0  # seconds after which the worker ends


class InProcessWorker:
    """Runs LLVM in this process."""

    def __init__(self, settings: dict):
        self._compiler = LLVMCompiler(settings)

    def send(self, what: str, *arguments) -> None:
        """Call a method of the compiler."""
        getattr(self._compiler, what)(*arguments)

    def take_results(self) -> dict[int, Result]:
        """Take the results, by task number."""
        return self._compiler.take_results()

    def end(self) -> None:
        """Nothing: there is no process to end."""


class WorkerProcess:
    """Runs LLVM in another process; a thread writes the requests, so that the caller waits for results only."""

    def __init__(self, settings: dict):
        self._process = start_program(llvm_passes.__file__, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._ends = [end.fileno() for end in (self._process.stdin, self._process.stdout)]  # type: ignore[union-attr]
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._requests.put(to_line((settings, llvm_options())))
        threading.Thread(target=self._write_requests, daemon=True).start()

    def _write_requests(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has ended; who waits for its answer gets the error
            while (request := self._requests.get()) is not None:
                left = memoryview(request)
                while left:
                    left = left[self._process.stdin.write(left) :]  # type: ignore[union-attr]

    def send(self, what: str, *arguments) -> None:
        """Call a method of the compiler, asynchronously."""
        self._requests.put(to_line((what, arguments)))

    def take_results(self) -> dict[int, Result]:
        """Wait for the results. Errors: EOFError, OSError or ValueError if the process has failed."""
        self.send("take_results")
        return {number: tuple(result) for number, result in from_line(self._line())}

    def _line(self) -> bytes:
        """Read a line of its output, unbuffered: a buffered reader has a lock that a fork might find locked."""
        pieces: list[bytes] = []
        while not pieces or not pieces[-1].endswith(b"\n"):
            piece = os.read(self._ends[1], PIECE)
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        self._requests.put(None)
        for end in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                end.close()  # type: ignore[union-attr]

    def detach(self) -> None:
        """Close the ends of the pipes in a forked process, and wait for nothing."""
        self._process.returncode = 0
        for end in self._ends:
            with contextlib.suppress(OSError):
                os.close(end)
        _detached.append(self)  # its objects think that the ends are open, and would close others of the same numbers


class CompileQueue:
    """The queue of libraries to compile, and the worker that compiles them. A `library` is one of code_library.py."""

    def __init__(self):
        self._depth = 0
        self.use_worker = False  # whether a worker process runs, or starts with the next task
        self._worker: InProcessWorker | WorkerProcess | None = None
        self._known: set[int] = set()  # the numbers of the libraries that the worker has
        self._pending: dict = {}
        self._later: list[Callable[[], None]] = []
        self._timer = threading.Timer(IDLE, self._rest)

    @contextlib.contextmanager
    def session(self, use_worker: bool = False) -> Iterator[None]:
        """Context for compiling; at its end all submitted code is compiled. Sessions nest.

        If `use_worker`, a worker process may be started: it pays for more than a function or two.
        """
        with global_compiler_lock:
            self._timer.cancel()
            self._depth += 1
            self.use_worker |= use_worker and can_start_worker()
            try:
                yield
            except (KeyboardInterrupt, SystemExit):  # nobody waits for the results
                self.end()
                raise
            finally:
                self._depth -= 1
                if not self._depth:
                    self._finish()

    def run_later(self, action: Callable[[], None]) -> None:
        """Call a function at the end of the session; at once if there is none."""
        if self._depth:
            self._later.append(action)
        else:
            action()

    def submit(self, library) -> None:
        """Submit a library's code for optimisation and compilation."""
        self._send(library)
        self._pending[library.number] = library

    def result(self, library) -> Result:
        """Wait for the compiled code of a library."""
        if library.result is None:
            self._collect()
        return library.result

    def end(self) -> None:
        """End the worker; code that it has not compiled yet is compiled again when needed."""
        if self._worker is not None:
            self._worker.end()
        self._worker = None
        self._known = set()

    def _rest(self) -> None:
        with global_compiler_lock:
            if not self._depth:
                self.end()

    def reset_after_fork(self) -> None:
        """In a forked process: leave the worker to the parent; the timer's thread does not exist here."""
        if isinstance(self._worker, WorkerProcess):
            self._worker.detach()
        self._worker = None
        self._known = set()
        self._timer = threading.Timer(IDLE, self._rest)
        unlock_compiling()

    def _finish(self) -> None:
        """Wait for submitted code, then store it."""
        actions, self._later, self.use_worker = self._later, [], False
        if self._worker is None:
            return
        self._collect()
        for action in actions:
            action()
        if isinstance(self._worker, WorkerProcess):
            self._timer = threading.Timer(IDLE, self._rest)
            self._timer.daemon = True
            self._timer.start()
        else:
            self.end()

    def _send(self, library) -> None:
        worker = self._worker or self._start()
        for each in library.inlined_libraries():
            if each.number not in self._known:
                worker.send("load_bitcode", each.number, each.result[0])
                self._known.add(each.number)
        copied = [each.number for each in library.inlined_libraries()]
        called = [(each.symbol, each.result[1] if each.result else each.number) for each in library.called_libraries()]
        symbol = "" if library.process_bound else library.symbol
        worker.send("compile", library.number, library.name, library.texts, copied, called, symbol)
        self._known.add(library.number)

    def _collect(self) -> None:
        """Wait for pending code. If the worker has failed, compile all of it again in this process."""
        if not self._pending:
            return
        try:
            results = (self._worker or self._start()).take_results()
        except (EOFError, OSError, ValueError):
            self.end()
            self.use_worker = False
            results = self._start().take_results()
        except BaseException:  # half an answer is none
            self.end()
            raise
        for number, library in self._pending.items():
            library.result, library.texts = results[number], []
        self._pending = {}

    def _start(self) -> InProcessWorker | WorkerProcess:
        """Start a worker with the code that another left undone."""
        settings = codegen_settings(cpu_target.target_context.codegen())
        self._worker = InProcessWorker(settings)
        if self.use_worker:
            try:
                self._worker = WorkerProcess(settings)
            except OSError:
                self.use_worker = False
        pending, self._pending = self._pending, {}
        for library in pending.values():
            self.submit(library)
        return self._worker


def start_program(path: str, **streams) -> subprocess.Popen:
    """Start a Python program that imports what this process can, and nothing by itself."""
    command = [sys.executable, "-S", "-P", path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if isinstance(entry, str))}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, **streams)


def can_start_worker() -> bool:
    """Whether there are a second core and a Python for a worker process."""
    return count_cores() > 1 and can_start_program()


def can_start_program() -> bool:
    """Whether there is a Python for another process."""
    return os.path.basename(sys.executable or "").startswith("python")


def codegen_settings(codegen) -> dict:
    """The settings of numba's code generator that determine its code."""
    machine = {"opt": int(config.OPT)}
    codegen._customize_tm_options(machine)
    return {
        "triple": codegen._llvm_module.triple,
        "layout": codegen._data_layout,
        "machine": machine,
        "speed": int(config.OPT),
        "loops": bool(config.LOOP_VECTORIZE),
        "lines": bool(config.SLP_VECTORIZE),
        "prune": int(_parse_refprune_flags()) if config.LLVM_REFPRUNE_PASS else None,
    }


def llvm_options() -> list[str]:
    """LLVM's process-wide options that numba sets."""
    return ["-vector-library=SVML"] if config.USING_SVML else []


def lock_compiling() -> None:
    """Wait until no other thread compiles or runs LLVM: a lock that it held would stay locked in a fork."""
    global_compiler_lock.acquire()
    LLVM_LOCK.__enter__()


def unlock_compiling() -> None:
    """Let other threads compile again."""
    LLVM_LOCK.__exit__(None, None, None)
    global_compiler_lock.release()


_detached: list[WorkerProcess] = []
compile_queue = CompileQueue()
atexit.register(compile_queue.end)
if hasattr(os, "register_at_fork"):  # a fork waits until no other thread compiles
    os.register_at_fork(
        before=lock_compiling, after_in_parent=unlock_compiling, after_in_child=compile_queue.reset_after_fork
    )
