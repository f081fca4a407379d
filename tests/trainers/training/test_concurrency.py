"""Several threads on one net: each has its own answers, no call changes the net, and two trainings are refused."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bprop.modules import (
    BatchNorm1d,
    BatchNorm2d,
    CAddTable,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Linear,
    MaxPool2d,
    MeanSquaredError,
    Module,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
)
from bprop.modules.derivatives import jvp, sample_jacobians
from bprop.trainers import SGD, BpropClassifier, Trainer, compile_step
from bprop.trainers.callbacks import Callback
from numba import config

SIZES = (3, 17, 64, 40, 5, 128, 31, 90)  # of the threads' inputs, no two alike


def mlp():
    return Sequential(Linear(12, 32), Tanh(), Linear(32, 16), ReLU(), Linear(16, 4)), (12,)


def cnn():
    layers = Conv2d(1, 4, 3), BatchNorm2d(4), ReLU(), Dropout(0.3), MaxPool2d(2), Flatten(), Linear(36, 4)
    return Sequential(*layers), (1, 8, 8)


def graph():
    nodes = {
        "one": ([Linear(12, 16), BatchNorm1d(16), Tanh()], "x"),
        "two": ([Linear(12, 16), Dropout(0.5), ReLU()], "x"),
        "sum": (CAddTable(), ["one", "two"]),
        "out": (Linear(16, 4), "sum"),
    }
    return Graph(nodes, outputs="out"), (12,)


def trained(make):
    """A trainer whose net has seen some samples, and inputs and labels for each thread."""
    net, shape = make()
    random = np.random.default_rng(0)
    trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True)
    trainer.fit((random.standard_normal((64, *shape)), random.integers(0, 4, 64)), epochs=1, threads=1)
    data = [(random.standard_normal((n, *shape)).astype(np.float32), random.integers(0, 4, n)) for n in SIZES]
    return trainer, data


def contents(net):
    """All that a net keeps, as others see it."""
    modes = {name: module.training for name, module in net.named_modules()}
    return {**net.state_dict(), **net.counters(), **modes}


def at_once(function, count=8):
    """function(k) in so many threads, which begin together; the results."""
    start = threading.Barrier(count)

    def run(k):
        start.wait()
        return function(k)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def in_thread(function):
    """The result of a function in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def refused(function):
    """What a RuntimeError says that the function raises in a thread of its own."""
    with pytest.raises(RuntimeError) as caught:
        in_thread(function)
    return str(caught.value)


def check_threads(make, calls):
    trainer, data = trained(make)
    net = trainer.model
    net.eval()
    expected = [(net.fprop(x), trainer.evaluate((x, y))) for x, y in data]
    for mode in (True, False):
        net.train(mode)
        before = contents(net)

        def call(k):
            x, y = data[k]
            for n in range(calls):
                actual = net.fprop(x) if n % 3 == 0 and not net.training else trainer.predict(x)
                np.testing.assert_array_equal(actual, expected[k][0])
                assert n % 4 or trainer.evaluate((x, y)) == expected[k][1]

        at_once(call)
        np.testing.assert_equal(contents(net), before)


@pytest.mark.parametrize("make", [mlp, cnn, graph])
def test_each_thread_has_its_own_answers_and_nothing_changes(make):
    check_threads(make, 4 if config.DISABLE_JIT else 40)


@pytest.mark.slow
@pytest.mark.parametrize("run", range(20))
@pytest.mark.parametrize("make", [mlp, cnn, graph])
def test_many_times(make, run):
    check_threads(make, 40)


@pytest.mark.parametrize("make", [mlp, cnn])
def test_the_first_call_of_all_threads_at_once(make):
    """They compile one plan, and nets of one structure share it."""
    nets = [make()[0].eval() for _ in range(2)]
    x = np.random.default_rng(0).standard_normal((7, *make()[1])).astype(np.float32)
    results = at_once(lambda k: nets[k % 2].fprop(x), 4)
    for k, y in enumerate(results):
        np.testing.assert_array_equal(y, nets[k % 2].copy().fprop(x))


class Looking(Module):
    """Passes x on, and notes which mode other threads see meanwhile."""

    jit = False

    def __init__(self):
        super().__init__()
        self.modes = []

    def fprop(self, x):
        self.modes.append((self.training, in_thread(lambda: self.training)))
        return x

    def bprop(self, grad_y):
        return grad_y

    def output_shape(self, input_shape):
        return input_shape


@pytest.mark.filterwarnings("ignore:.*jit = False")
def test_an_evaluation_changes_no_mode_that_others_see():
    net = Sequential(Linear(3, 2), Looking())
    trainer = Trainer(net, MeanSquaredError(), SGD(lr=0.1), quiet=True)
    x = np.ones((4, 3), np.float32)
    modes = net[1].modes
    trainer.predict(x), trainer.evaluate((x, np.zeros((4, 2))))
    assert set(modes[-2:]) == {(False, True)}
    assert net.training
    assert net[1].training
    net.fprop(x)
    assert modes[-1] == (True, True)
    trainer.model.eval()
    trainer.predict(x)
    assert modes[-1] == (False, False)


def test_compiled_code_is_in_training_mode_again_after_an_evaluation(random):
    trainer, data = trained(cnn)
    net, (x, _) = trainer.model.train(), data[0]
    before = net.state_dict()["1.num_batches_tracked"]
    trainer.predict(x)
    net.fprop(x)
    assert net.state_dict()["1.num_batches_tracked"] == before + 1
    assert not np.array_equal(net.fprop(x), net.fprop(x)), "dropout draws"


class Meanwhile(Callback):
    """Calls a function once, in another thread, while a fit runs."""

    def __init__(self, function):
        self.function, self.result = function, None

    def on_epoch_end(self, trainer, row):
        if row["epoch"] == 1:
            self.result = in_thread(lambda: self.function(trainer))


def during_fit(function, make=cnn):
    """The result of function(trainer) in another thread than that of the fit."""
    manual_seed(0)
    (net, shape), meanwhile, random = make(), Meanwhile(function), np.random.default_rng(0)
    trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1), callbacks=[meanwhile], quiet=True)
    trainer.fit((random.standard_normal((64, *shape)), random.integers(0, 4, 64)), epochs=2, threads=1)
    return meanwhile.result


def x_of(trainer):
    return np.ones((4, *trainer.data.input_shape), np.float32)


def test_what_is_learned_does_not_depend_on_who_predicts_meanwhile():
    def weights(function):
        def call(trainer):
            function(trainer)
            nets.append(trainer.model)

        nets = []
        during_fit(call)
        return contents(nets[0])

    def evaluate(trainer):
        x = x_of(trainer)
        trainer.predict(x), trainer.evaluate((x, np.zeros(len(x), int))), trainer.model.copy().fprop(x)
        trainer.model.state_dict(), trainer.distribution(x)

    np.testing.assert_equal(weights(evaluate), weights(lambda trainer: None))


def other_fit(trainer):
    data = x_of(trainer), np.zeros(4, int)
    Trainer(trainer.model, SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True).fit(data, epochs=1, batch_size=2)


@pytest.mark.parametrize(
    ("what", "function"),
    [
        ("fit", lambda trainer: trainer.fit(trainer.data, epochs=1)),
        ("fit", other_fit),
        ("bprop", lambda trainer: trainer.model.bprop(np.zeros((4, 4), np.float32))),
        ("bprop", lambda trainer: trainer.model[0].bprop(np.zeros((4, 4, 6, 6), np.float32))),
        (
            "a step",
            lambda trainer: compile_step(trainer.model, SoftmaxCrossEntropy(), SGD(lr=0.1))(
                x_of(trainer), np.zeros(4, int)
            ),
        ),
        ("an update", lambda trainer: trainer.optimizer.update(trainer.model)),
        ("an update", lambda trainer: SGD(lr=0.1).update(trainer.model)),
        ("fprop in training mode", lambda trainer: trainer.model.fprop(x_of(trainer))),
        ("a change of its mode", lambda trainer: trainer.model.eval()),
        ("a change of its structure", lambda trainer: trainer.model.to("float64")),
        ("a change of its structure", lambda trainer: trainer.model.replace("2", Tanh())),
        ("save", lambda trainer: trainer.save("nowhere")),
        ("load", lambda trainer: trainer.load("nowhere")),
    ],
)
def test_what_would_disturb_a_fit_is_refused(what, function):
    message = during_fit(lambda trainer: refused(lambda: function(trainer)))
    assert f"): {what} while a Trainer's fit in thread " in message
    assert "trains it, " in message


def test_an_optimizer_serves_one_fit_at_a_time():
    def fit(trainer):
        net, shape = mlp()
        data = np.ones((4, *shape)), np.zeros(4, int)
        return Trainer(net, SoftmaxCrossEntropy(), trainer.optimizer, quiet=True).fit(data, epochs=1, batch_size=2)

    message = during_fit(lambda trainer: refused(lambda: fit(trainer)))
    assert message.startswith("SGD(lr=0.1): fit while a Trainer's fit in thread ")


def test_a_net_that_shares_the_weights_is_trained_with_them():
    message = during_fit(lambda trainer: refused(lambda: trainer.model.share().bprop(np.zeros((4, 4), np.float32))))
    assert "bprop while a Trainer's fit in thread " in message


def test_what_changes_nothing_is_allowed_during_a_fit():
    def calls(trainer):
        net = mlp()[0]
        loss = trainer.loss  # a loss may serve several trainings
        Trainer(net, loss, SGD(lr=0.1), quiet=True).fit((np.ones((4, 12)), np.zeros(4, int)), epochs=1, batch_size=2)
        return trainer.model.fprop(x_of(trainer)), trainer.predict(x_of(trainer))

    y, predicted = during_fit(calls, mlp)  # no module of it depends on the mode
    np.testing.assert_array_equal(y, predicted)


def test_after_a_fit_all_is_allowed_again():
    with pytest.raises(RuntimeError, match="stop it"):
        during_fit(lambda trainer: (_ for _ in ()).throw(RuntimeError("stop it")))
    trainer, data = trained(mlp)
    in_thread(lambda: trainer.fit(data[0], epochs=1, batch_size=2))
    y = in_thread(lambda: trainer.model.fprop(data[0][0]))
    assert y.shape == (3, 4)


def test_predictions_during_a_fit_are_of_one_step(random):
    """All weights are alike at the start, and after each step: were some of them older, they would not be."""
    size, epochs = (16, 2) if config.DISABLE_JIT else (256, 20)
    net = Sequential(Linear(size, size, bias=False))
    net[0].weight = np.full((size, size), 0.5, np.float32)
    trainer = Trainer(net, MeanSquaredError(), SGD(lr=0.001, ema=0.5), quiet=True)
    stop, unit, predictions = threading.Event(), np.eye(size, dtype=np.float32), []

    def predict(k):
        while not stop.is_set():
            y = trainer.predict(unit)
            predictions.append((y.min(), y.max()))

    with ThreadPoolExecutor(2) as pool:
        tasks = [pool.submit(predict, k) for k in range(2)]
        trainer.fit((np.ones((512, size)), np.zeros((512, size))), epochs=epochs, batch_size=8, threads=1)
        stop.set()
        for task in tasks:
            task.result()
    assert all(low == high for low, high in predictions)
    assert len({low for low, _ in predictions}) > 2, "they came between the steps"


def test_a_gradient_belongs_to_the_thread_of_its_fprop():
    net, shape = mlp()
    x, grad_y = np.ones((2, *shape), np.float32), np.ones((2, 4), np.float32)
    net.fprop(x)
    message = refused(lambda: net.bprop(grad_y))
    assert "bprop in another thread than the last fprop, expected both in one; module.copy() gives each" in message
    net.bprop(grad_y)
    net.fprop(x)
    in_thread(lambda: net.fprop(x[:1]))
    with pytest.raises(RuntimeError, match="another thread than the last fprop"):
        net.bprop(grad_y)
    in_thread(lambda: (net.fprop(x), net.bprop(grad_y)))
    with pytest.raises(RuntimeError, match="bprop without a matching fprop"):
        net.bprop(grad_y)


def test_steps_of_several_threads_are_taken_one_after_the_other():
    net, shape = mlp()
    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.0))
    data = [(np.full((n, *shape), n / 100, np.float32), np.zeros(n, int)) for n in SIZES]
    expected = [step(*pair) for pair in data]
    by_thread = at_once(lambda k: [step(*data[k]) for _ in range(5 if config.DISABLE_JIT else 100)])
    assert [set(losses) for losses in by_thread] == [{loss} for loss in expected]


def test_derivatives_of_several_threads():
    trainer, data = trained(graph)
    net = trainer.model.eval()
    expected = [(sample_jacobians(net, x[:5]), jvp(net, x, np.ones_like(x))) for x, _ in data]

    def call(k):
        x = data[k][0]
        for _ in range(5):
            actual = sample_jacobians(net, x[:5]), jvp(net, x, np.ones_like(x))
            for one, other in zip(actual, expected[k], strict=True):
                np.testing.assert_array_equal(one, other)

    at_once(call)


def test_what_a_module_has_stored_may_be_read_while_another_thread_runs_it():
    net, shape = mlp()
    x = [np.ones((n, *shape), np.float32) for n in SIZES]
    at_once(
        lambda k: [
            net.fprop(x[k]) if k % 2 else (net[1].y, net.copy()) for _ in range(5 if config.DISABLE_JIT else 100)
        ]
    )
    assert net[1].y.shape[1] == 32


def test_probabilities_of_an_estimator_in_several_threads():
    random = np.random.default_rng(0)
    x, y = random.standard_normal((60, 5)), random.integers(0, 3, 60)
    model = BpropClassifier((8,), epochs=2, random_state=0).fit(x, y)
    expected = [model.predict_proba(x[:n]) for n in range(1, 9)]

    def call(k):
        for _ in range(20):
            np.testing.assert_array_equal(model.predict_proba(x[: k + 1]), expected[k])

    at_once(call)
