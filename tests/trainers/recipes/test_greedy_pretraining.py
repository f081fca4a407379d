"""Greedy pretraining: the RBMs of a deep belief net, one after the other; stopped and resumed."""

import re

import numpy as np
import pytest
from bprop.datasets import ArrayDataset, Digits
from bprop.modules import (
    RBM,
    ClassRBM,
    ContrastiveDivergence,
    Flatten,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    SigmoidBelief,
    SoftmaxCrossEntropy,
    manual_seed,
)
from bprop.trainers import SGD, Callback, GreedyPretraining, Trainer, UpDown


def make_net():
    manual_seed(1)
    return Sequential(SigmoidBelief(12, 8), ClassRBM(8, 3, 6))


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    y = random.integers(3, size=120)
    x = (random.uniform(size=(120, 12)) < np.where(np.arange(12) // 4 == y[:, None], 0.9, 0.1)).astype(np.float32)
    return ArrayDataset(x, y)


def make_trainer(net, *more, folder=None, epochs=3, rule=None, **settings):
    callbacks = [GreedyPretraining(epochs=epochs, batch_size=20, **settings), *more]
    loss, optimizer = SoftmaxCrossEntropy(), SGD(lr=0.05)
    return Trainer(net, loss, optimizer, callbacks=callbacks, rule=rule, quiet=True, folder=folder)


def test_each_layer_learns_by_its_rbm(data):
    net = make_net()
    before = net.state_dict()
    make_trainer(net).fit(data, epochs=0)
    belief, top = net
    for name in ("weight", "bias", "generative_bias"):
        assert np.abs(vars(belief)[name] - before[f"0.{name}"]).max() > 1e-3
    np.testing.assert_array_equal(belief.generative_weight, belief.weight)
    for name in ("weight", "label_weight", "hidden_bias", "visible_bias", "label_bias"):
        assert np.abs(vars(top)[name] - before[f"1.{name}"]).max() > 1e-3


def test_the_first_layer_is_that_of_an_rbm_trained_alone(data):
    net = Sequential(Linear(12, 8), Sigmoid(), Linear(8, 3))
    seed = int(np.random.SeedSequence([0, 0]).generate_state(1)[0])
    manual_seed(seed)
    rbm = RBM(12, 8)
    rbm.weight[...], rbm.hidden_bias[...] = net[0].weight, net[0].bias
    make_trainer(net).fit(data, epochs=0)
    optimizer = SGD(lr=0.1, momentum=0.5, weight_decay=0.0002)
    alone = Trainer(rbm, ContrastiveDivergence(), optimizer, seed=seed, quiet=True)
    alone.fit((data.x, np.zeros(120, np.float32)), epochs=3, batch_size=20)
    np.testing.assert_array_equal(net[0].weight, rbm.weight)
    np.testing.assert_array_equal(net[0].bias, rbm.hidden_bias)


class StopAt(Callback):
    """Stops for now at the first pause at which so much is done, and saves there."""

    def __init__(self, place, folder):
        self.place, self.folder = place, folder

    def on_pause(self, trainer) -> None:
        if trainer.prepared is not None and trainer.prepared >= self.place and trainer.stopped is None:
            trainer.stop("enough", for_now=True)
            trainer.save(self.folder)


@pytest.mark.parametrize("place", [(0, 1, 0), (1, 0, 0), (1, 2, 0), (2, 0, 0)])
def test_a_resumed_pretraining_ends_with_the_same_bits(data, tmp_path, place):
    whole = make_trainer(make_net(), rule=UpDown(chains=10), chains=[0, 20])
    whole.fit(data, epochs=2, batch_size=20)
    stopped = make_trainer(make_net(), StopAt(place, tmp_path), rule=UpDown(chains=10), chains=[0, 20])
    stopped.fit(data, epochs=2, batch_size=20)
    assert stopped.epoch == 0
    assert stopped.goes_on
    resumed = make_trainer(make_net(), StopAt((9, 9, 9), tmp_path), rule=UpDown(chains=10), chains=[0, 20])
    resumed.load(tmp_path)
    resumed.fit(data, epochs=2, batch_size=20)
    for name, weight in whole.model.state_dict().items():
        np.testing.assert_array_equal(resumed.model.state_dict()[name], weight, err_msg=name)


def test_a_later_fit_is_not_pretrained_again(data):
    net = make_net()
    trainer = make_trainer(net, rule=UpDown())
    trainer.fit(data, epochs=1, batch_size=20)
    before = net[0].generative_bias.copy()
    trainer.optimizer.lr = 0.0
    trainer.fit(data, epochs=1, batch_size=20)
    np.testing.assert_array_equal(net[0].generative_bias, before)


def test_a_deep_net_of_sigmoids_learns_digits_after_pretraining():
    manual_seed(0)
    net = Sequential(
        Flatten(), Linear(64, 64), Sigmoid(), Linear(64, 64), Sigmoid(), Linear(64, 64), Sigmoid(), Linear(64, 10)
    )
    optimizer = SGD(lr=0.1, momentum=0.9)
    pretraining = GreedyPretraining(epochs=[10, 5, 5], momentum=0.9, batch_size=32)
    trainer = Trainer(net, SoftmaxCrossEntropy(), optimizer, callbacks=[pretraining], quiet=True)
    trainer.fit(Digits(), epochs=15)
    assert trainer.evaluate(Digits())["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "GreedyPretraining: epochs is 0, expected above 0"),
        ({"lr": [0.1, -1.0]}, "GreedyPretraining: lr is [0.1, -1.0], expected above 0"),
        ({"steps": 0}, "GreedyPretraining: steps is 0, expected at least 1"),
        ({"chains": [0, -1]}, "GreedyPretraining: chains is [0, -1], expected at least 0"),
        ({"batch_size": 0}, "GreedyPretraining: batch_size is 0, expected at least 1"),
        ({"units": "spin"}, "GreedyPretraining: units is 'spin', expected 'bernoulli' or 'gaussian'"),
        ({"weight_decay": -1.0}, "SGD: weight_decay is -1.0"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        GreedyPretraining(**settings)


@pytest.mark.parametrize(
    ("modules", "settings", "message"),
    [
        ([Linear(12, 8), ReLU()], {}, "there is nothing to pretrain in Sequential"),
        ([Linear(12, 8, bias=False), Sigmoid()], {}, "model[0] Linear(12 -> 8, bias=False) has no bias"),
        ([Linear(12, 8), Sigmoid()], {"epochs": [1, 2]}, "epochs is [1, 2], expected 1 numbers, for Linear(12 -> 8)"),
        ([SigmoidBelief(12, 8)], {"units": "gaussian"}, "SigmoidBelief(12 -> 8) is of bits, units='gaussian' is for"),
    ],
)
def test_models_that_do_not_fit(data, modules, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_trainer(Sequential(*modules, Linear(8, 3)), **settings).fit(data, epochs=0)


def test_inputs_that_do_not_fit(data):
    wide = ArrayDataset(data.x * 3 - 1, data.y)
    net = Sequential(Linear(12, 8), Sigmoid(), Linear(8, 3))
    message = "the inputs of model[0] Linear(12 -> 8) go from -1 to 2, expected 0 to 1, or units='gaussian'"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_trainer(net).fit(wide, epochs=0)
    make_trainer(net, units="gaussian", lr=0.01).fit(wide, epochs=0)
    images = ArrayDataset(data.x.reshape(120, 3, 4), data.y)
    net = Sequential(Linear(4, 8), Sigmoid(), Flatten(), Linear(24, 3))
    with pytest.raises(ValueError, match=re.escape("model[0] Linear(4 -> 8) gets samples of shape (3, 4)")):
        make_trainer(net).fit(images, epochs=0)
