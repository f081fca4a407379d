"""A fork while other threads compile or run nets: the child has whole nets and free locks."""

import os
import threading
import time

import numpy as np
import pytest
from bprop.modules import BatchNorm1d, Linear, Sequential, Tanh, num_threads
from bprop.modules.compiler import llvm_worker
from bprop.modules.compiler.kernel import kernel
from bprop.modules.engine import locks, threads
from bprop.modules.kernels.threads import CONTROL
from numba import float64, int64

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def in_fork(function, seconds=120) -> bool:
    """Whether function() is true in a child, which is killed if it takes too long."""
    child = os.fork()
    if not child:
        right = False
        try:
            right = bool(function())
        finally:
            os._exit(0 if right else 1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


class Running:
    """Within this context another thread calls a function, again and again."""

    def __init__(self, function):
        self.function, self.stop = function, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            self.function()

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *exception):
        self.stop.set()
        self.thread.join()


def test_while_another_thread_runs_the_net(random):
    net = Sequential(Linear(20, 30), BatchNorm1d(30), Tanh(), Linear(30, 4)).eval()
    x, other = random.standard_normal((7, 20)), random.standard_normal((300, 20))
    expected = net.fprop(x)
    with Running(lambda: net.fprop(other)):
        for _ in range(10):
            assert in_fork(lambda: np.array_equal(net.fprop(x), expected))
    np.testing.assert_array_equal(net.fprop(x), expected)


@pytest.mark.jit
def test_while_another_thread_compiles(random, monkeypatch):
    monkeypatch.setattr(llvm_worker, "count_cores", lambda: 2)
    llvm_worker.compile_queue.end()
    compiling = threading.Thread(target=lambda: Sequential(Linear(3, 5), Tanh(), Tanh(), Linear(5, 2)).fprop(x))
    x = np.ones((4, 3), np.float32)
    small = Linear(3, 2)
    compiling.start()
    while llvm_worker.compile_queue._worker is None and compiling.is_alive():
        time.sleep(0.0001)
    assert in_fork(lambda: small.fprop(x).shape == (4, 2))
    compiling.join()
    assert small.fprop(x).shape == (4, 2)


@pytest.mark.jit
def test_while_another_thread_has_the_compiler(monkeypatch):
    """No net is locked here: the thread compiles a kernel, and waits for its helper."""
    monkeypatch.setattr(llvm_worker, "count_cores", lambda: 2)
    llvm_worker.compile_queue.end()

    @kernel
    def triple(a):
        return 3 * a

    @kernel
    def sextuple(a):
        return 2 * triple(a)

    begun = threading.Event()

    def compile_slowly():
        with llvm_worker.compile_queue.session(use_worker=True):
            sextuple.compile((float64,))
            begun.set()
            time.sleep(0.3)

    compiling = threading.Thread(target=compile_slowly)
    compiling.start()
    begun.wait()
    try:
        assert in_fork(lambda: triple.compile((int64,)) is not None, 30)
    finally:
        compiling.join()
    llvm_worker.compile_queue.end()


def test_a_lock_that_is_never_free_is_a_new_one_in_the_child(monkeypatch):
    monkeypatch.setattr(locks, "FORK_SECONDS", 0.05)
    net, x = Linear(3, 2), np.ones((4, 3))
    expected, is_locked, done = net.fprop(x), threading.Event(), threading.Event()

    def hold():
        with locks.locked(net), locks.training(net, net):
            is_locked.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_locked.wait()
    try:
        assert in_fork(lambda: np.array_equal(net.fprop(x), expected) and net.bprop(expected).shape == x.shape)
    finally:
        done.set()
        thread.join()


def test_a_fork_by_the_thread_that_has_the_lock():
    net, x = Linear(3, 2), np.ones((4, 3))
    expected = net.fprop(x)
    with locks.locked(net):
        assert in_fork(lambda: np.array_equal(net.fprop(x), expected))
    assert in_fork(lambda: np.array_equal(net.fprop(x), expected))


@pytest.mark.jit
def test_the_child_has_no_worker_threads():
    net, x = Linear(300, 200), np.ones((150, 300), np.float32)

    def alone():
        before = CONTROL[:24].any() or len(threads._workers.semaphores)
        with num_threads(2):
            return not before and np.array_equal(net.fprop(x), expected) and CONTROL[0] == 1

    with num_threads(2):
        expected = net.fprop(x)
        assert in_fork(alone)
        assert threads._workers.users
    assert not threads._workers.users
