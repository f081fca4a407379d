"""Long plans are cut into sections, of which those alike are one function; the numbers are the same bits."""

import itertools

import numpy as np
import pytest
from bprop.modules import (
    CAddTable,
    Graph,
    Linear,
    MeanSquaredError,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
)
from bprop.modules.engine import cache, outlining, plan
from bprop.modules.engine.outlining import Sections, find_names
from bprop.modules.engine.sources import digest
from bprop.modules.engine.stopwatch import MONOTONIC, Stopwatch
from bprop.trainers import SGD, Trainer, compile_step

from ..index_modules import Reads

pytestmark = pytest.mark.jit


def deep(layers=6):
    manual_seed(0)
    pairs = [module for _ in range(layers) for module in (Linear(4, 4), Tanh())]
    return Sequential(Linear(3, 4), ReLU(), *pairs, Linear(4, 2))


def branches():
    manual_seed(0)
    nodes = [{"a": (Linear(4, 4), "x"), "t": (Tanh(), "a"), "sum": (CAddTable(), ["t", "x"])} for _ in range(5)]
    blocks = [Graph(each, "sum") for each in nodes]
    return Sequential(Linear(3, 4), *blocks, Linear(4, 2))


BATCH = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32), np.array([0, 1, 1, 0, 1])


def cut_at(monkeypatch, long, *sizes):
    """Cut functions of so many lines into sections of one of these sizes; their plans have other names."""
    monkeypatch.setattr(outlining, "LONG", long)
    monkeypatch.setattr(outlining, "SIZES", sizes)
    monkeypatch.setattr(plan, "digest", lambda *texts: digest(*texts, repr((long, sizes))))


def train(make):
    net = make()
    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))
    losses = [step(*BATCH) for _ in range(3)]
    source = cache.plan_source(step.plan(*BATCH).name)
    return losses, net.flat_parameters.copy(), source


@pytest.mark.parametrize("make", [deep, branches])
def test_the_same_bits_in_sections_and_in_one_piece(make, monkeypatch):
    losses, parameters, source = train(make)
    assert "section" not in source
    cut_at(monkeypatch, 4, 2, 3)
    sectioned = train(make)
    assert "@section" in sectioned[2]
    assert sectioned[0] == losses
    np.testing.assert_array_equal(sectioned[1], parameters)


def test_sections_alike_are_one_function():
    _, _, source = train(lambda: deep(40))
    calls = [line for line in source.splitlines() if "= step_section" in line]
    functions = source.count("@section")
    assert functions <= 6
    assert len(calls) > functions
    _, _, longer = train(lambda: deep(80))
    assert longer.count("@section") == functions


def test_a_loop_over_minibatches_calls_them_too(monkeypatch):
    results = []
    for long in (4, 1000):
        cut_at(monkeypatch, long, 3)
        net = deep()
        trainer = Trainer(net, MeanSquaredError(), SGD(lr=0.1))
        trainer.fit((BATCH[0], BATCH[0][:, :2]), epochs=2, batch_size=2)
        results.append(net.flat_parameters.copy())
    np.testing.assert_array_equal(*results)


@pytest.mark.skipif(MONOTONIC is None, reason="there is no clock to read")
def test_the_line_profiler_takes_a_plan_in_one_piece(monkeypatch):
    cut_at(monkeypatch, 4, 2)
    step = compile_step(deep(), SoftmaxCrossEntropy(), SGD(lr=0.1))
    step(*BATCH)
    compiled = step.plan(*BATCH).plan
    assert "@section" in cache.plan_source(compiled.module.__name__)
    lines = Stopwatch(compiled).lines
    assert not any("section" in line.text for line in lines)
    assert {module for line in lines for module in line.modules} == set(compiled.modules)


def test_an_index_out_of_range_in_a_section_is_located(monkeypatch):
    cut_at(monkeypatch, 4, 2)
    x = np.ones((8, 3), np.float32)
    x[5, 0] = 1000
    with pytest.raises(IndexError, match=r"Reads.*index 1000 is out of range for axis 0 of size"):
        Sequential(*[ReLU() for _ in range(6)], Reads(), Linear(3, 3)).fprop(x)


LINES = [
    "    x0 = Linear_fprop(m0, x)",
    "    x1 = Linear_fprop(m1, x0)",
    "    x2 = Linear_fprop(m2, x1)",
    "    x3 = Linear_fprop(m3, x2)",
    "    x4 = Loss_fprop(m4, x3, target)",
    "    if not np.isfinite(x4):",
    "        return x4",
    "    grad5 = Loss_bprop(m4)",
    "    m3.grad_weight[:] = 0",
    "    note_operation(7)",
    "    grad6 = Linear_bprop(m3, grad5)",
    "    note_operation(8)",
    "    grad7 = Linear_bprop(m2, grad6)",
]


@pytest.mark.parametrize(("size", "long"), list(itertools.product((1, 2, 3, 9), (0, 100))))
def test_what_the_lines_compute(size, long, monkeypatch):
    """Run as plain Python, with functions that record their calls, the sections do what the lines do."""
    cut_at(monkeypatch, long, size)
    states, results = dict.fromkeys(range(5), "S"), ["x4", "x3", "grad7"]
    sections = Sections("step")
    body = sections.cut(states, LINES, results)
    assert (body == LINES) == bool(long)
    source = [*sections.generate(), "", "def step(states, x, target):"]
    used = {name for name in find_names(body) if name[0] == "m"}
    source += [f"    {name} = state_at(S, states, {name[1:]})" for name in sorted(used)]
    source += [*body, f"    return {', '.join(results)}"]
    calls = []

    def record(name):
        def call(*arguments):
            calls.append((name, arguments))
            return len(calls) / 8

        return call

    class State:
        def __init__(self, number):
            self.number, self.grad_weight = number, Cleared(number)

        def __eq__(self, other):
            return self.number == other.number

    class Cleared:
        def __init__(self, number):
            self.number = number

        def __setitem__(self, index, value):
            calls.append(("clear", self.number))

    names = ("Linear_fprop", "Loss_fprop", "Loss_bprop", "Linear_bprop", "note_operation")
    scope = {name: record(name) for name in names} | {"np": np, "int64": int, "S": None, "section": lambda f: f}
    scope["state_at"] = lambda kind, table, number: State(number)
    exec("\n".join(source), scope)
    assert scope["step"](0, "x", "target") == (5 / 8, 4 / 8, 11 / 8)
    m = [State(k) for k in range(5)]
    expected = [("Linear_fprop", (m[0], "x")), *(("Linear_fprop", (m[k], k / 8)) for k in (1, 2, 3))]
    expected += [("Loss_fprop", (m[4], 4 / 8, "target")), ("Loss_bprop", (m[4],)), ("clear", 3)]
    expected += [("note_operation", (7,)), ("Linear_bprop", (m[3], 6 / 8)), ("note_operation", (8,))]
    assert calls == [*expected, ("Linear_bprop", (m[2], 9 / 8))]
