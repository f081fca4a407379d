"""Compiling goes on beside a helper; the code is the same without it, and nothing is lost with it."""

import os
import subprocess
import sys
import time

import numba
import numpy as np
import pytest
from bprop.modules import Linear, Sequential, Tanh, manual_seed
from bprop.modules.compiler import llvm_passes, llvm_worker
from bprop.modules.compiler.kernel import kernel
from bprop.modules.compiler.llvm_worker import InProcessWorker, WorkerProcess
from numba.core import registry

pytestmark = pytest.mark.jit
ours = llvm_worker.compile_queue
NET = """
import numpy as np
from bprop.modules import Linear, Sequential, Tanh, manual_seed
from bprop.modules.compiler import llvm_worker
llvm_worker.count_cores, llvm_worker.IDLE = lambda: 2, 60
manual_seed(0)
y = Sequential(Linear(3, 4), Tanh(), Linear(4, 2)).fprop(np.ones((5, 3), np.float32))
print(type(llvm_worker.compile_queue._worker).__name__, y.tobytes().hex())
"""


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """A second core, or so it seems, and no helper yet; one that rests does not end."""
    monkeypatch.setattr(llvm_worker, "count_cores", lambda: 2)
    monkeypatch.setattr(llvm_worker, "IDLE", 60)
    ours.end()
    yield
    ours.end()


@pytest.fixture
def double_area():
    """A kernel that calls another, both new."""

    @kernel
    def area(a, b):
        return a * b

    @kernel
    def double_area(a, b):
        return 2 * area(a, b)

    return double_area


def compile_for(dispatcher, kind=numba.float64):
    dispatcher.compile((kind, kind))


def call(dispatcher, a, b):
    @numba.njit
    def entry(a, b):
        return dispatcher(a, b)

    return entry(a, b)


def test_the_same_code_with_a_helper(double_area, monkeypatch):
    sent, send = [], InProcessWorker.send
    monkeypatch.setattr(InProcessWorker, "send", lambda self, *request: sent.append(request) or send(self, *request))
    compile_for(double_area)
    (overload,) = double_area.overloads.values()
    assert len(overload.library.names()) == 2
    libraries = {each.number: each for each in (overload.library, *overload.library.collect_calls({}))}
    helper = WorkerProcess(llvm_worker.codegen_settings(registry.cpu_target.target_context.codegen()))
    for request in sent:
        helper.send(*request)
    results = helper.take_results()
    helper.end()
    assert results == {number: library.result for number, library in libraries.items()}


def test_a_process_ends_with_its_helper(tmp_path):
    environment = os.environ | {"BPROP_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", NET]
    done = subprocess.run(command, env=environment, check=True, text=True, capture_output=True)
    manual_seed(0)
    y = Sequential(Linear(3, 4), Tanh(), Linear(4, 2)).fprop(np.ones((5, 3), np.float32))
    assert done.stdout.split() == ["WorkerProcess", y.tobytes().hex()]
    assert not done.stderr


def test_the_last_session_waits_for_the_helper(double_area):
    with ours.session(use_worker=True):
        with ours.session():
            compile_for(double_area)
        assert isinstance(ours._worker, WorkerProcess)
        assert len(ours._pending) == 2
    assert not ours._pending
    assert call(double_area, 3.0, 4.0) == 24


@pytest.mark.parametrize("executable", ["", None, "/usr/bin/editor", "/nowhere/python"])
def test_without_a_helper_where_none_can_be_started(double_area, monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    with ours.session(use_worker=True):
        compile_for(double_area)
        assert isinstance(ours._worker, InProcessWorker)
    assert call(double_area, 3.0, 4.0) == 24


def test_a_helper_that_dies_is_not_missed(double_area):
    with ours.session(use_worker=True):
        compile_for(double_area)
        ours._worker._process.kill()
        compile_for(double_area, numba.float32)
    assert ours._worker is None
    assert call(double_area, 3.0, 4.0) == 24
    assert call(double_area, numba.float32(3), numba.float32(5)) == 30


def test_a_helper_that_cannot_begin_is_not_missed(double_area, monkeypatch):
    monkeypatch.setattr(llvm_passes, "__file__", "nothing_of_this_name.py")
    with ours.session(use_worker=True):
        compile_for(double_area)
    assert call(double_area, 3.0, 4.0) == 24


def compile_and_raise(dispatcher, error):
    with ours.session(use_worker=True):
        compile_for(dispatcher)
        raise error


def test_an_error_leaves_what_was_compiled(double_area):
    with pytest.raises(ZeroDivisionError):
        compile_and_raise(double_area, ZeroDivisionError)
    assert isinstance(ours._worker, WorkerProcess)
    assert not ours._pending
    assert call(double_area, 3.0, 4.0) == 24


def test_an_interrupt_does_not_wait(double_area):
    with pytest.raises(KeyboardInterrupt):
        compile_and_raise(double_area, KeyboardInterrupt)
    assert ours._worker is None
    assert len(ours._pending) == 2
    assert call(double_area, 3.0, 4.0) == 24
    assert not ours._pending


def test_an_interrupt_while_waiting(double_area, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(WorkerProcess, "take_results", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compile_and_raise(double_area, ZeroDivisionError)
    assert ours._worker is None
    assert call(double_area, 3.0, 4.0) == 24


def test_what_an_interrupt_left_is_done_by_the_next_helper(double_area):
    with pytest.raises(KeyboardInterrupt):
        compile_and_raise(double_area, KeyboardInterrupt)

    @kernel
    def four_areas(a, b):
        return 2 * double_area(a, b)

    with ours.session(use_worker=True):
        compile_for(four_areas)
        assert isinstance(ours._worker, WorkerProcess)
    assert call(four_areas, 3.0, 4.0) == 48


def test_what_one_helper_did_another_knows(double_area):
    with ours.session(use_worker=True):
        compile_for(double_area)
    ours.end()

    @kernel
    def four_areas(a, b):
        return 2 * double_area(a, b)

    with ours.session(use_worker=True):
        compile_for(four_areas)
        assert len(ours._pending) == 1
    assert call(four_areas, 3.0, 4.0) == 48


def test_an_idle_helper_ends(double_area, monkeypatch):
    with ours.session(use_worker=True):
        compile_for(double_area)
        process = ours._worker._process
    assert ours._timer.is_alive()
    with ours.session():  # for which it stays
        assert ours._timer.finished.is_set()
        monkeypatch.setattr(llvm_worker, "IDLE", 0.01)
    deadline = time.monotonic() + 60
    while ours._worker is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ours._worker is None
    assert process.returncode is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_leaves_the_helper_to_its_parent(double_area):
    with ours.session(use_worker=True):
        compile_for(double_area)
    child = os.fork()
    if not child:
        right = False
        try:
            with ours.session():
                compile_for(double_area, numba.float32)
                right = isinstance(ours._worker, InProcessWorker)
            right = right and call(double_area, numba.float32(3), numba.float32(4)) == 24
        finally:
            os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
    with ours.session(use_worker=True):
        compile_for(double_area, numba.float32)
        assert isinstance(ours._worker, WorkerProcess)
    assert call(double_area, numba.float32(3), numba.float32(4)) == 24


def test_lines():
    message = [1, 'two\n"lines"', b"\x00\xff\n", {"three": None}, [True]]
    line = llvm_passes.to_line(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert llvm_passes.from_line(line) == message
    with pytest.raises(EOFError):
        llvm_passes.from_line(b"")
    with pytest.raises(ValueError, match="Unterminated string"):
        llvm_passes.from_line(line[:10])


def test_code_can_be_read(double_area):
    compile_for(double_area)
    (overload,) = double_area.overloads.values()
    assert "fmul double" in overload.library.get_llvm_str()
    assert "mulsd" in overload.library.get_asm_str() or "fmul" in overload.library.get_asm_str()
    assert "double" in str(overload.library.get_function(overload.library.symbol))
