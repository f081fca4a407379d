"""Full-batch optimizers whose samples are cut into shards, in one process."""

import numpy as np
import pytest
from bprop.modules import (
    LSTM,
    BatchNorm1d,
    Dropout,
    Linear,
    MeanSquaredError,
    Module,
    Parameter,
    PoissonNLL,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
)
from bprop.modules.derivatives import curvature
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import LBFGS, Callback, Checkpoint, ConjugateGradient, NewtonCG, Trainer, TrainingError
from bprop.trainers.optimizers.newton_cg import compute_difference
from bprop.trainers.training import epoch
from bprop.trainers.training.full_batch_shards import FullBatchSharding

OPTIMIZERS = {
    "LBFGS": lambda: LBFGS(max_iter=3),
    "ConjugateGradient": lambda: ConjugateGradient(max_iter=3),
    "Gauss-Newton": lambda: NewtonCG(max_iter=2, max_products=3),
    "Hessian": lambda: NewtonCG(max_iter=2, max_products=3, curvature="hessian"),
}
each = pytest.mark.parametrize("name", OPTIMIZERS)


def noisy():
    return Sequential(Linear(4, 5), Tanh(), Dropout(0.2), BatchNorm1d(5), Linear(5, 3))


def recurrent():
    return Sequential(LSTM(4, 3, streams=8), Linear(3, 2))


def train(optimizer, data, build=None, *, loss=None, callbacks=(), saved=None, **settings):
    """Train a net in float64 as plain Python, or go on with a training that is saved; returns the trainer."""
    manual_seed(0)
    net = build() if build else Sequential(Linear(4, 5), Tanh(), Linear(5, 3))
    trainer = Trainer(net.to("float64"), loss or SoftmaxCrossEntropy(), optimizer, quiet=True, callbacks=callbacks)
    if saved is not None:
        trainer.load(saved)
    with uncompiled():
        trainer.fit(data, **{"epochs": 2, "batch_size": 16, "shards": 4} | settings)
    return trainer


def samples(n=50, weights=False):
    random = np.random.default_rng(0)
    data = random.normal(size=(n, 4)), random.integers(0, 3, n)
    return (*data, random.choice([0, 0.5, 1, 3], n)) if weights else data


def assert_close(one, other, rtol=1e-9):
    np.testing.assert_allclose(one.model.flat_parameters, other.model.flat_parameters, rtol=rtol)
    for name, value in one.history[-1].items():
        if name != "seconds":
            assert other.history[-1][name] == pytest.approx(value, rel=rtol), name


@each
def test_the_result_of_whole_minibatches_up_to_rounding(name):
    """Also of class weights, weights of samples, and a last minibatch that is smaller."""
    data, loss = samples(weights=name in ("LBFGS", "ConjugateGradient")), SoftmaxCrossEntropy(class_weights=[1, 2, 0.5])
    shards, whole = (train(OPTIMIZERS[name](), data, loss=loss.copy(), shards=shards) for shards in (4, None))
    assert_close(shards, whole)
    assert isinstance(shards.compiled_step.sharding, FullBatchSharding)


def test_losses_that_are_sums():
    data = samples()[0], np.random.default_rng(1).poisson(2.0, (50, 3)).astype(float)
    results = [train(LBFGS(max_iter=2), data, loss=PoissonNLL(reduction="sum"), shards=s) for s in (3, None)]
    assert_close(*results)


class Probe(NewtonCG):
    """Keeps a product, and the difference of two gradients in its place."""

    def minimize(self, net, closure, product=None):
        v = np.random.default_rng(0).normal(size=net.flat_parameters.size)
        vars(self)["products"] = product("hvp", v), compute_difference(net, closure, v)
        return super().minimize(net, closure, product)


def sequences(samples=24):
    random = np.random.default_rng(0)
    return random.normal(size=(samples, 3, 4)), random.normal(size=(samples, 3, 2))


def test_products_are_the_change_of_the_gradient():
    probe = Probe(max_iter=1, max_products=1)
    train(probe, samples(), loss=SoftmaxCrossEntropy(class_weights=[1, 2, 0.5]), epochs=1)
    exact, estimated = probe.products
    np.testing.assert_allclose(exact, estimated, rtol=1e-6, atol=1e-9)


def test_products_of_carried_states():
    """Each shard goes on with the states of its own samples."""
    products = []
    for shards in (4, 1):
        probe = Probe(max_iter=1, max_products=1)
        how = {"loss": MeanSquaredError(), "epochs": 1, "batch_size": 8, "shuffle": False, "shards": shards}
        train(probe, sequences(), recurrent, **how)
        products.append(probe.products[0])
    np.testing.assert_allclose(*products, rtol=1e-9, atol=1e-12)


def test_carried_states_are_those_of_whole_minibatches():
    how = {"loss": MeanSquaredError(), "batch_size": 8, "shuffle": False}
    shards, whole = (train(LBFGS(max_iter=3), sequences(), recurrent, shards=s, **how) for s in (4, None))
    assert_close(shards, whole)
    np.testing.assert_allclose(shards.model[0].hidden_state, whole.model[0].hidden_state, rtol=1e-9)
    assert np.abs(shards.model[0].hidden_state).min() > 0


def test_products_leave_statistics_and_random_numbers_alone(monkeypatch):
    """Each part of each minibatch draws its own ones, the same in each product."""
    seen, own = [], curvature.run

    def run(kind, net, *more):
        seen.append(net.counters()["2.step"])
        return own(kind, net, *more)

    class Watch(NewtonCG):
        def minimize(self, net, closure, product=None):
            before = net.state_dict(), net.counters()
            products = [product("gauss_newton", np.ones(net.flat_parameters.size)) for _ in range(2)]
            vars(self)["found"] = before, (net.state_dict(), net.counters()), products
            return closure()

    watch = Watch()
    monkeypatch.setattr(curvature, "run", run)
    train(watch, samples(32), noisy, epochs=1)
    before, after, (one, other) = watch.found
    assert before[1] == after[1]
    assert all(np.array_equal(array, after[0][name]) for name, array in before[0].items())
    assert np.array_equal(one, other)
    assert seen[:8] == seen[8:]
    assert len(set(seen)) == 8
    assert np.abs(one).max() > 0


class Stopping(Callback):
    def __init__(self, at):
        self.at, self.pauses = at, 0

    def on_pause(self, trainer):
        self.pauses += 1
        if self.pauses == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["LBFGS", "ConjugateGradient", "Hessian"])
def test_a_stop_between_epochs(name, tmp_path):
    """With other random numbers, orders of the samples and memories of directions in each epoch."""
    how = {"batch_size": 12, "shards": 3}
    whole = train(OPTIMIZERS[name](), samples(24), noisy, **how)
    saving = Checkpoint(tmp_path, seconds=0, minutes=0)
    with pytest.raises(KeyboardInterrupt):
        train(OPTIMIZERS[name](), samples(24), noisy, callbacks=[saving, Stopping(1)], **how)
    how |= {"callbacks": [saving, Stopping(0)], "saved": tmp_path, "shards": None}  # those of the checkpoint
    again = train(OPTIMIZERS[name](), samples(24), noisy, **how)
    assert again.resumed
    assert np.array_equal(again.model.flat_parameters, whole.model.flat_parameters)
    for key, value in whole.optimizer.state_dict().items():
        assert np.array_equal(again.optimizer.state_dict()[key], value), key


def test_outputs_that_are_not_all_kept(monkeypatch):
    """Metrics of the training part are of the last minibatches, if all would take too much memory."""
    found = []
    for shards in (4, None):
        monkeypatch.setattr(epoch, "KEPT", 20 * 3 * 8)
        found.append(train(LBFGS(max_iter=2), samples(), shards=shards))
    assert_close(*found)
    monkeypatch.setattr(epoch, "KEPT", 2**30)
    assert train(LBFGS(max_iter=2), samples()).history[-1]["train_accuracy"] != found[0].history[-1]["train_accuracy"]


class Log(Module):
    """y = log(x + w), NaN below 0."""

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.array([1.0]))

    def fprop(self, x):
        self.z = x + self.weight[0]
        return np.log(self.z)

    def bprop(self, grad_y):
        grad_x = grad_y / self.z
        self.grad_weight[0] += grad_x.sum()
        return grad_x


def test_points_that_are_not_finite():
    """A step too far is taken back; a loss that is not finite at the beginning ends the training."""
    x = np.random.default_rng(0).uniform(size=(40, 1))
    data = x, np.full((40, 1), -9.0)
    trainer = train(LBFGS(max_iter=4), data, lambda: Sequential(Log(), Dropout(0.2)), loss=MeanSquaredError(), epochs=1)
    assert -x.min() < trainer.model[0].weight[0] < 0
    trainer.model[0].weight[0] = -x.min() - 1e-3
    with uncompiled(), pytest.raises(TrainingError, match=r"^the loss is inf in epoch 2, step 1; the model has its w"):
        trainer.fit(data, epochs=1, batch_size=16, shards=4)


def test_what_is_refused():
    with pytest.raises((ValueError, TrainingError), match=r"NewtonCG\(.*\): takes no sample_weight"):
        train(NewtonCG(), samples(weights=True))
    what = "Trainer: shards is 4, expected None, as state is carried from minibatch to minibatch, and with LBFGS, which"
    with pytest.raises(ValueError, match=f"{what} adds up all minibatches, the last one has 6 samples in place of 8"):
        train(LBFGS(), sequences(22), recurrent, loss=MeanSquaredError(), batch_size=8)
