"""Guards on cost that cannot flake, since they count instead of measuring: allocations, calls, lines of plans."""

import itertools
import sys

import bprop.trainers
import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import Linear, ReLU, Sequential, SoftmaxCrossEntropy, Tanh
from bprop.modules.engine import cache
from bprop.modules.engine.sources import hash_package
from bprop.trainers import SGD, Optimizer, Trainer, compile_step
from bprop.trainers.training.minibatches import Epoch

pytestmark = pytest.mark.jit
OPTIMIZERS = [
    value
    for value in map(bprop.trainers.__dict__.get, bprop.trainers.__all__)
    if isinstance(value, type) and issubclass(value, Optimizer) and value is not Optimizer
]


STEP_ARGUMENTS = 4  # parameters, gradients, x, target


def net(*sizes):
    layers = [layer for i, o in itertools.pairwise(sizes) for layer in (Linear(i, o), Tanh())]
    return Sequential(*layers[:-1])


def minibatch(features=6, samples=16):
    random = np.random.default_rng(0)
    return random.random((samples, features), np.float32), random.integers(0, 3, samples)


def prepared(*sizes):
    step = compile_step(net(*sizes), SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))
    x, target = minibatch(sizes[0])
    for _ in range(3):
        step(x, target)
    return step, x, target


def calls(function):
    """Names of the Python functions that run within a call of `function`."""
    lines = []
    sys.setprofile(lambda frame, event, argument: lines.append(frame.f_code.co_name) if event == "call" else None)
    try:
        function()
    finally:
        sys.setprofile(None)
    return lines[1:]


# -- allocations -------------------------------------------------------------------------------------------------------


def test_counting_works(allocations):
    step, x, target = prepared(6, 8, 3)
    before = allocations()
    step(x, target)
    assert allocations() - before == STEP_ARGUMENTS
    before = allocations()
    step(*minibatch(samples=17))
    assert allocations() - before > STEP_ARGUMENTS, "another size of minibatch needs other buffers"


@pytest.mark.parametrize("sizes", [(6, 3), (6, 40, 3), (6, *[9] * 12, 3)], ids=str)
def test_a_step_allocates_nothing(sizes, allocations):
    step, x, target = prepared(*sizes)
    before = allocations()
    for _ in range(100):
        step(x, target)
    assert allocations() - before == 100 * STEP_ARGUMENTS


def test_an_epoch_allocates_no_more_for_more_minibatches(allocations):
    step, _, _ = prepared(6, 8, 3)
    data = ArrayDataset(*minibatch(samples=3200))
    steps = Epoch(data, np.arange(3200), 16, np.empty((3200, 3), np.float32)).prepare(step)
    steps(0, 32, 0.0)
    counts = []
    for last in (160, 3200):
        before = allocations()
        steps(0, last, 0.0)
        counts.append(allocations() - before)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda cls: cls.__name__)
def test_an_update_allocates_nothing(optimizer, allocations):
    model, rule = net(6, 8, 3), optimizer(lr=0.01)
    counts = []
    for _ in range(5):
        before = allocations()
        rule.update(model)
        counts.append(allocations() - before)
    assert counts[2:] == [2] * 3, "parameters and gradients"


# -- Python ------------------------------------------------------------------------------------------------------------


def test_a_step_runs_few_python_functions():
    step, x, target = prepared(6, 8, 3)
    assert len(calls(lambda: step(x, target))) <= 9, calls(lambda: step(x, target))
    deep, x, target = prepared(6, *[9] * 12, 3)
    assert len(calls(lambda: deep(x, target))) == len(calls(lambda: step(x, target)))


def test_a_chunk_of_an_epoch_runs_no_python_for_each_minibatch(monkeypatch):
    monkeypatch.setattr(
        "bprop.modules.engine.step.specialize_often_called", lambda: None
    )  # which runs Python every 0.1 s
    step, _, _ = prepared(6, 8, 3)
    data = ArrayDataset(*minibatch(samples=3200))
    steps = Epoch(data, np.arange(3200), 16, np.empty((0, 3), np.float32)).prepare(step)
    steps(0, 16, 0.0)
    few, many = (calls(lambda last=last: steps(0, last, 0.0)) for last in (16, 3200))
    assert len(few) == len(many)


def test_predicting_runs_few_python_functions():
    model = net(6, 8, 3)
    x, _ = minibatch()
    model.fprop(x)
    assert len(calls(lambda: model.fprop(x))) <= 16, calls(lambda: model.fprop(x))


def test_reading_sources_happens_once():
    before = hash_package.cache_info().misses
    prepared(6, 8, 3)
    prepared(6, 8, 8, 3)
    assert hash_package.cache_info().misses - before <= 1


# -- plans -------------------------------------------------------------------------------------------------------------


def source(step, x, target):
    plan = step.plan(x, target)
    return plan, cache.plan_source(plan.plan.module.__name__).splitlines()


def test_the_plan_of_a_small_net():
    plan, lines = source(*prepared(6, 8, 3))
    assert [f"{type(o.module).__name__}.{o.method}" for o in plan.function.operations] == [
        *("Linear.fprop", "Tanh.fprop", "Linear.fprop", "SoftmaxCrossEntropy.fprop"),
        *("SoftmaxCrossEntropy.bprop", "Linear.bprop", "Tanh.bprop", "Linear.bprop", "SGD.update"),
    ]
    assert len(lines) <= 130


def test_a_plan_grows_with_its_operations_alone():
    lengths, functions, kinds = [], [], []
    for depth in (2, 4, 8):
        plan, lines = source(*prepared(6, *[9] * depth, 3))
        assert len(plan.function.operations) == 4 * depth + 5
        lengths.append(len(lines))
        functions.append(sum("= method(" in line for line in lines))
        kinds.append(sum("= StateType(" in line for line in lines))
    assert lengths[2] - lengths[1] == 2 * (lengths[1] - lengths[0])
    assert functions == [7] * 3, "two of each class, and the update: compiled once, however many layers there are"
    assert len(set(kinds)) == 1


def test_compiled_functions_are_shared_by_nets_of_other_sizes():
    names = {source(*prepared(6, width, 3))[0].plan.module.__name__ for width in (8, 9, 50)}
    assert len(names) == 1


def test_relu_and_tanh_nets_differ_in_their_units_only():
    x, target = minibatch()
    texts = []
    for unit in (ReLU, Tanh):
        model = Sequential(Linear(6, 8), unit(), Linear(8, 3))
        _, lines = source(compile_step(model, SoftmaxCrossEntropy(), SGD(lr=0.1)), x, target)
        texts.append("\n".join(line.split("@")[0] for line in lines).replace(unit.__name__, "Unit"))
    assert texts[0] == texts[1]


def test_training_compiles_three_functions():
    """The loop of steps, prediction, and the loss by itself."""
    model, loss = net(6, 7, 3), SoftmaxCrossEntropy()
    data = ArrayDataset(*minibatch(samples=40))
    trainer = Trainer(model, loss, SGD(lr=0.1, momentum=0.9), quiet=True)
    trainer.fit(data, data, epochs=1, batch_size=16)
    (step,) = {id(plan): plan for plan in trainer.compiled_step._plans.values()}.values()
    assert sorted(name for name, *_ in step.plan._entries) == ["steps"]
    plans = [*model._plans.values(), *loss._plans.values()]
    assert [list(plan._entries) for plan in plans] == [["fprop"], ["fprop"]]
