"""Products shared among threads: the same bits, however many; and nothing breaks when calls come together."""

import threading
import time

import numpy as np
import pytest
from bprop.modules import Linear, ReLU, Sequential, manual_seed, num_threads
from bprop.modules.engine.threads import _workers, count_parallel_jobs
from bprop.modules.kernels.threads import ACTIVE, CONTROL, SESSION, WORKERS

pytestmark = pytest.mark.jit


def make(sizes=(300, 200, 90)):
    manual_seed(0)
    return Sequential(Linear(sizes[0], sizes[1]), ReLU(), Linear(sizes[1], sizes[2]))


def results(threads, sizes=(300, 200, 90), samples=150, net=None):
    net = make(sizes) if net is None else net
    random = np.random.default_rng(0)
    x, grad_y = random.standard_normal((samples, sizes[0])), random.standard_normal((samples, sizes[2]))
    with num_threads(threads):
        for _ in range(20):
            y, grad_x = net.fprop(x), net.bprop(grad_y)
    return y, grad_x, net.flat_gradients.copy()


@pytest.mark.parametrize(
    ("sizes", "samples"), [((300, 200, 90), 150), ((1000, 33, 70), 150), ((64, 1100, 10), 150), ((784, 300, 10), 64)]
)
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_same_bits_for_any_number(sizes, samples, threads):
    before = count_parallel_jobs()
    for actual, expected in zip(results(threads, sizes, samples), results(1, sizes, samples), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert count_parallel_jobs() != before


def test_alone_without_the_context():
    before = count_parallel_jobs()
    results(1)
    assert count_parallel_jobs() == before


def test_alone_while_a_thread_that_was_taken_back_has_not_left_yet():
    results(2)  # compiles, and starts the thread
    while CONTROL[ACTIVE]:
        time.sleep(0.001)
    before = count_parallel_jobs()
    CONTROL[ACTIVE] += 1
    results(1)
    CONTROL[ACTIVE] -= 1
    assert count_parallel_jobs() == before


def test_calls_from_several_threads_at_once():
    expected, actual = results(1), {}

    def run(k):
        actual[k] = results(1, net=nets[k])

    nets = [make() for _ in range(3)]
    with num_threads(2):
        workers = [threading.Thread(target=run, args=(k,)) for k in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    for each in actual.values():
        for a, b in zip(each, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_contexts_do_not_nest():
    with num_threads(2), num_threads(3):
        actual = results(1)
    for a, b in zip(actual, results(1), strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_threads_than_can_be_used():
    for a, b in zip(results(1000), results(1), strict=True):
        np.testing.assert_array_equal(a, b)


def test_fewer_than_one_is_refused():
    with pytest.raises(ValueError, match=r"^num_threads: got 0, expected at least 1$"), num_threads(0):
        pass


@pytest.mark.parametrize("where", ["start_session", "end_session"])
def test_an_interrupt_gives_the_threads_back(monkeypatch, where):
    """Ctrl-C may come between two lines: here, as soon as a session has started, and before they are used."""
    expected = results(1)
    method = getattr(_workers, where)

    def interrupted(*arguments):
        method(*arguments)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(_workers, where, interrupted)
    with pytest.raises(KeyboardInterrupt), num_threads(2):
        assert where == "end_session", "the context is never entered"
    assert CONTROL[WORKERS] == CONTROL[SESSION] == 0
    before = count_parallel_jobs()
    for a, b in zip(results(2), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert count_parallel_jobs() != before, "the next context has the threads"


def test_a_decorated_function_has_the_threads_in_each_call():
    @num_threads(2)
    def run(depth):
        assert CONTROL[WORKERS] == 1
        return depth and run(depth - 1)

    for _ in range(2):
        run(1)
        assert CONTROL[WORKERS] == 0
