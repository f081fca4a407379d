"""Sections of the gradients that are exchanged before the others are computed: how they are found, told and sent."""

import os
import threading
import time

import numpy as np
import pytest
from bprop.modules import Graph, Linear, Sequential, Share, SoftmaxCrossEntropy, Tanh, manual_seed
from bprop.modules.engine.operations import Operations
from bprop.modules.engine.step import write_backprop
from bprop.trainers import SGD, Adam, CompiledStep, Group
from bprop.trainers.parallel.communicator import cut_pieces
from bprop.trainers.parallel.early_sections import EarlySections
from bprop.trainers.parallel.exchange import Exchange
from bprop.trainers.parallel.send_choice import PIECE, TRIALS, SendChoice, Way
from bprop.trainers.training import shard_sum
from bprop.trainers.training.shard_sum import ShardSum, find_sections
from bprop.trainers.training.sharded_steps import Sharding


def find_in(net, monkeypatch):
    monkeypatch.setattr(shard_sum, "FEWEST", 0)
    operations = Operations()
    write_backprop(operations, net, SoftmaxCrossEntropy(), "x", "target")
    return operations.items, find_sections(operations.items, net.flat_gradients)


def test_a_section_ends_with_the_layer_that_begins_it(monkeypatch):
    net = Sequential(Linear(4, 16), Tanh(), Linear(16, 16), Tanh(), Linear(16, 16))
    operations, found = find_in(net, monkeypatch)
    assert [place for _, place in found] == [16 * 17 + 80, 80]
    done = [[each.module for each in operations[:end] if each.backward][-1] for end, _ in found]
    assert done == [net[4], net[2]]


def test_a_section_begins_at_a_multiple_of_sixteen_numbers(monkeypatch):
    _, found = find_in(Sequential(Linear(5, 3), Linear(3, 50), Linear(50, 2)), monkeypatch)
    assert [place for _, place in found] == [32]  # of 18: the numbers between belong to the next section


def test_gradients_that_others_add_to_are_late(monkeypatch):
    """The first layer is used once more at the end, so all that lies after it in the vector is ready before it."""
    nodes = {"one": (Linear(6, 6), "x"), "two": (Linear(6, 6), "one"), "again": (Share("one"), "two")}
    operations, found = find_in(Graph(nodes, outputs="again"), monkeypatch)
    ((end, place),) = found
    assert place == 48  # of 42
    assert operations[end - 1].backward
    nodes = {"one": (Linear(6, 6), "x"), "two": (Share("one"), "one")}
    assert find_in(Graph(nodes, outputs="two"), monkeypatch)[1] == []


def test_small_gradients_are_not_cut():
    net = Sequential(Linear(4, 16), Linear(16, 16))
    operations = Operations()
    write_backprop(operations, net, SoftmaxCrossEntropy(), "x", "target")
    assert find_sections(operations.items, net.flat_gradients) == []


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=pytest.mark.jit), False])
def test_sections_are_added_up_and_told_of(compiled, monkeypatch):
    monkeypatch.setattr(shard_sum, "FEWEST", 0)
    if not compiled:
        monkeypatch.setattr("bprop.modules.engine.stateful.numba.config.DISABLE_JIT", True)
    manual_seed(0)
    net = Sequential(Linear(4, 16), Linear(16, 16))
    step = CompiledStep(net, SoftmaxCrossEntropy(), SGD(lr=0.1))
    step.set_sharding(Sharding(1, None))
    whole = step.accumulator
    x, target = np.ones((3, 4), net.dtype), np.array([0, 1, 2])
    step.by_parts(x, target, sums={"share": 0.5})
    expected = whole.stack[0].copy()
    cut = ShardSum()
    cut.tell_early()
    step.accumulator = cut
    source, cut.pipe = os.pipe()
    for ticket in (0, 7):
        step.by_parts(x, target, sums={"share": 0.5, "ticket": ticket})
        np.testing.assert_array_equal(cut.stack[0], expected)
    np.testing.assert_allclose(expected, 0.5 * net.flat_gradients, rtol=1e-6)
    if compiled:
        assert cut.bounds.tolist() == [352, 80, 0]
        assert os.read(source, 9) == bytes([7])
    for end in (source, cut.pipe):
        os.close(end)


class Sent:
    """An exchange that has begun."""

    def __init__(self, number):
        self.number, self.asked = number, 0

    def is_done(self):
        self.asked += 1
        return self.asked > 2


class Fake:
    """An exchange whose sections go nowhere; the first one may fail."""

    def __init__(self, fails=False):
        self.fails, self.begun = fails, []

    def begin(self, number, covers):
        if self.fails:
            raise OSError("a broken link")
        self.begun.append((number, covers, threading.current_thread().name))
        return Sent(number)


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_thread_begins_what_is_ready():
    fake = Fake()
    early = EarlySections(fake)
    ticket = early.begin_step([1, 2])
    os.write(early.pipe, bytes([ticket]))
    wait_for(lambda: len(fake.begun) == 1)
    os.write(early.pipe, bytes([ticket]))
    wait_for(lambda: len(fake.begun) == 2)
    wait_for(lambda: all(each.asked > 2 for each in early._begun))  # MPI goes on with them
    assert [each.number for each in early.end_step()] == [0, 1]
    assert fake.begun == [(k, [1, 2], "bprop-exchange") for k in (0, 1)]
    os.write(early.pipe, bytes([ticket]))  # too late: the step has ended
    assert early.begin_step([1, 2]) == ticket + 1
    os.write(early.pipe, bytes([ticket]))  # of the step before
    time.sleep(0.05)
    assert early.end_step() == []
    early.close()
    assert not early._thread.is_alive()


def test_an_error_of_the_thread_is_the_steps():
    early = EarlySections(Fake(fails=True))
    ticket = early.begin_step([1, 1])
    os.write(early.pipe, bytes([ticket]))
    wait_for(lambda: early._error is not None)
    with pytest.raises(OSError, match="a broken link"):
        early.end_step()
    early.close()


def test_tickets_go_round():
    early = EarlySections(Fake())
    assert [early.begin_step([1]) for _ in range(256)] == [*range(1, 256), 1]
    early.close()


def test_the_fastest_way_is_kept():
    choice = SendChoice(2**20, early=True)
    seconds = {Way(False, 0): 3.0, Way(False, PIECE): 4.0, Way(True, PIECE): 2.0}
    tried = []
    while not choice.decided:
        tried.append(choice.propose())
        choice.note(tried[-1], seconds[tried[-1]] + (9.0 if len(tried) < 4 else 0.0))
    assert tried == list(seconds) * TRIALS
    assert choice.propose() == Way(True, PIECE)
    choice.note(Way(True, PIECE), 99.0)
    assert choice.propose() == Way(True, PIECE)


def test_what_cannot_be_sent_otherwise_is_not_tried():
    assert list(SendChoice(2**20, early=False).times) == [Way(False, 0), Way(False, PIECE)]
    choice = SendChoice(PIECE, early=False)
    assert choice.decided
    assert choice.propose() == Way(False, 0)


def test_arrays_are_cut_into_pieces():
    array = np.arange(5, dtype=np.float32)
    (whole,) = cut_pieces([(array, 3)], 0)
    pieces = cut_pieces([(array, 3), (array[:0], 1)], 8)
    assert whole[0].size == 20
    assert [(piece.size, rank) for piece, rank in pieces] == [(8, 3), (8, 3), (4, 3), (0, 1)]
    assert np.concatenate([piece for piece, _ in pieces]).tobytes() == array.tobytes()


class ThreeRanks:
    """A rank of three, on hosts of their own; it says and sends nothing."""

    size, rank, peers = 3, 1, ()


def test_each_rank_has_a_slice_of_each_section(monkeypatch):
    monkeypatch.setattr(Exchange, "_share_memory", lambda self: None)
    exchange = Exchange(ThreeRanks(), np.zeros(30_000), [1, 1, 1])
    assert exchange.own == [slice(10_000, 20_000)]
    exchange.cut([30_000, 12_000, 0])
    assert exchange.own == [slice(18_000, 24_000), slice(4_000, 8_000)]
    covered = sorted((each.start, each.stop) for section in exchange.sections for each in section.slices)
    assert [begin for begin, _ in covered[1:]] == [end for _, end in covered[:-1]]
    assert (covered[0][0], covered[-1][1]) == (0, 30_000)


@pytest.mark.parametrize("groups", [[], [Group("1.*", lr_factor=0.5, weight_decay=0.1)]])
def test_slices_are_updated_as_a_whole_update_does(groups):
    results = []
    for slices in (None, [slice(0, 100), slice(160, 352)], [slice(100, 160)]):
        manual_seed(0)
        net, optimizer = Sequential(Linear(4, 16), Linear(16, 16)), Adam(lr=0.1, weight_decay=0.01, groups=groups)
        before = net.flat_parameters.copy()
        for k in range(2):
            net.flat_gradients[:] = np.random.default_rng(k).normal(size=352)
            if slices is None:
                optimizer.update(net)
            else:
                optimizer.update_slices(net, slices)
        results.append((net.flat_parameters - before).copy())
    whole, outer, inner = results
    np.testing.assert_array_equal(whole, outer + inner)
    assert not outer[100:160].any()
    assert not inner[:100].any()
