"""LLVM's half of compiling goes on beside numba's: a helper translates what is read, while this process reads on.

The helper is a process, as LLVM may only be called by one thread of a process at a time. It is started when the first
plan is compiled, where there is a second core, and ends when nothing has been compiled for a second. Without it, or if
it comes to harm, this process does the same work by the same `Translator`.
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
from .cpu import available
from .llvm_passes import Result, Translator, from_line, to_line
from .numba_api import _parse_refprune_flags, config, cpu_target, ffi, global_compiler_lock

NUMBERS = itertools.count()
LLVM_LOCK = getattr(ffi.lib, "_lock", contextlib.nullcontext())  # llvmlite's own, around each call
PIECE = 1 << 20  # bytes of an answer that are read at a time
IDLE = 1.0  # seconds after which the helper ends


class Here:
    """A translator in this process."""

    def __init__(self, settings: dict):
        self._translator = Translator(settings)

    def tell(self, what: str, *arguments) -> None:
        """Have the translator do something."""
        getattr(self._translator, what)(*arguments)

    def done(self) -> dict[int, Result]:
        """The results of its tasks."""
        return self._translator.done()

    def end(self) -> None:
        """There is nothing to end."""


class Helper:
    """A translator in a process of its own; a thread hands requests on, so that nobody waits until results are due."""

    def __init__(self, settings: dict):
        command = [sys.executable, "-S", "-P", llvm_passes.__file__]
        path = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if isinstance(entry, str))}
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(command, env=path, stdin=pipe, stdout=pipe, stderr=nowhere, bufsize=0)
        self._ends = [end.fileno() for end in (self._process.stdin, self._process.stdout)]  # type: ignore[union-attr]
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._requests.put(to_line((settings, options())))
        threading.Thread(target=self._hand_on, daemon=True).start()

    def _hand_on(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is gone; who waits for its answer will see
            while (request := self._requests.get()) is not None:
                left = memoryview(request)
                while left:
                    left = left[self._process.stdin.write(left) :]  # type: ignore[union-attr]

    def tell(self, what: str, *arguments) -> None:
        """Have the translator do something, some time."""
        self._requests.put(to_line((what, arguments)))

    def done(self) -> dict[int, Result]:
        """Wait for the results of its tasks. Errors: EOFError, OSError or ValueError if it came to harm."""
        self.tell("done")
        return {number: tuple(result) for number, result in from_line(self._line())}

    def _line(self) -> bytes:
        """What it has written, to the end of the line; no buffered reader, whose lock a fork might find taken."""
        pieces: list[bytes] = []
        while not pieces or not pieces[-1].endswith(b"\n"):
            piece = os.read(self._ends[1], PIECE)
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)

    def end(self) -> None:
        """Let it go, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._requests.put(None)
        for end in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                end.close()  # type: ignore[union-attr]

    def leave(self) -> None:
        """In a process that is a copy of the one it works for: close the ends of the pipes, and wait for nothing."""
        self._process.returncode = 0
        for end in self._ends:
            with contextlib.suppress(OSError):
                os.close(end)
        _left.append(self)  # its objects think that the ends are open, and would close others of the same numbers


class Translation:
    """What has been ordered, and who does it. A `library` is one of libraries.py."""

    def __init__(self):
        self._depth = 0
        self.helped = False  # whether a helper works, or will as soon as there is something to do
        self._side: Here | Helper | None = None
        self._known: set[int] = set()  # the numbers of what the side has
        self._pending: dict = {}
        self._afterwards: list[Callable[[], None]] = []
        self._timer = threading.Timer(IDLE, self._rest)

    @contextlib.contextmanager
    def session(self, helped: bool = False) -> Iterator[None]:
        """Compile within this context; at its end all that was ordered is there. Sessions nest.

        If `helped`, a helper may be started; it should pay for more than a function or two.
        """
        with global_compiler_lock:
            self._timer.cancel()
            self._depth += 1
            self.helped |= helped and can_be_helped()
            try:
                yield
            except (KeyboardInterrupt, SystemExit):  # nobody waits
                self.end()
                raise
            finally:
                self._depth -= 1
                if not self._depth:
                    self._finish()

    def afterwards(self, action: Callable[[], None]) -> None:
        """Do this when the session is over, or now."""
        if self._depth:
            self._afterwards.append(action)
        else:
            action()

    def order(self, library) -> None:
        """Have a library's code optimised and translated."""
        self._tell(library)
        self._pending[library.number] = library

    def result(self, library) -> Result:
        """What became of a library's code, once it is there."""
        if library.result is None:
            self._collect()
        return library.result

    def end(self) -> None:
        """End the helper. What it has not done yet is done again when it is needed."""
        if self._side is not None:
            self._side.end()
        self._side = None
        self._known = set()

    def _rest(self) -> None:
        with global_compiler_lock:
            if not self._depth:
                self.end()

    def forked(self) -> None:
        """Leave the helper to the process that this one is a copy of; its timer's thread is not here."""
        if isinstance(self._side, Helper):
            self._side.leave()
        self._side = None
        self._known = set()
        self._timer = threading.Timer(IDLE, self._rest)
        allow_compiling()

    def _finish(self) -> None:
        """Take in what was ordered, and store it."""
        actions, self._afterwards, self.helped = self._afterwards, [], False
        if self._side is None:
            return
        self._collect()
        for action in actions:
            action()
        if isinstance(self._side, Helper):
            self._timer = threading.Timer(IDLE, self._rest)
            self._timer.daemon = True
            self._timer.start()
        else:
            self.end()

    def _tell(self, library) -> None:
        side = self._side or self._start()
        for each in library.copied():
            if each.number not in self._known:
                side.tell("know", each.number, each.result[0])
                self._known.add(each.number)
        copied = [each.number for each in library.copied()]
        called = [(each.symbol, each.result[1] if each.result else each.number) for each in library.called()]
        symbol = "" if library.personal else library.symbol
        side.tell("do", library.number, library.name, library.texts, copied, called, symbol)
        self._known.add(library.number)

    def _collect(self) -> None:
        """Wait for what is pending. If the helper came to harm, do all of it once more in this process."""
        if not self._pending:
            return
        try:
            results = (self._side or self._start()).done()
        except (EOFError, OSError, ValueError):
            self.end()
            self.helped = False
            results = self._start().done()
        except BaseException:  # half an answer is none
            self.end()
            raise
        for number, library in self._pending.items():
            library.result, library.texts = results[number], []
        self._pending = {}

    def _start(self) -> Here | Helper:
        """Begin, with what another left undone."""
        settings = settings_of(cpu_target.target_context.codegen())
        self._side = Here(settings)
        if self.helped:
            try:
                self._side = Helper(settings)
            except OSError:
                self.helped = False
        pending, self._pending = self._pending, {}
        for library in pending.values():
            self.order(library)
        return self._side


def can_be_helped() -> bool:
    """Whether there are a core for a helper and a Python to run it."""
    return available() > 1 and os.path.basename(sys.executable or "").startswith("python")


def settings_of(codegen) -> dict:
    """What decides about numba's code, besides the function."""
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


def options() -> list[str]:
    """What numba tells LLVM of a whole process."""
    return ["-vector-library=SVML"] if config.USING_SVML else []


def stop_compiling() -> None:
    """Wait until no other thread compiles, or is in LLVM: a lock that it has would never be free in a fork."""
    global_compiler_lock.acquire()
    LLVM_LOCK.__enter__()


def allow_compiling() -> None:
    """The end of it."""
    LLVM_LOCK.__exit__(None, None, None)
    global_compiler_lock.release()


_left: list[Helper] = []
translation = Translation()
atexit.register(translation.end)
if hasattr(os, "register_at_fork"):  # a fork waits until no other thread compiles
    os.register_at_fork(before=stop_compiling, after_in_parent=allow_compiling, after_in_child=translation.forked)
