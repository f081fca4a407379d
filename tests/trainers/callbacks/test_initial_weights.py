"""Weights of another training, and free energies by epoch: from an RBM's run to a classifier by its features."""

import re
from pathlib import Path

import numpy as np
import pytest
from bprop.modules import RBM, ContrastiveDivergence, Flatten, Linear, MeanSquaredError, Sequential, Sigmoid
from bprop.trainers import SGD, FreeEnergies, InitialWeights, Trainer
from bprop.trainers.configs import load_config, parse_config
from bprop.trainers.files.weights_file import encode_weights, read_weights
from bprop.trainers.runs.run_folder import train_config

SOFTMAX = """
dataset: Digits
model:
  - Flatten
  - Linear: {in_features: 64, out_features: 96}
  - Sigmoid
  - Linear: {in_features: 96, out_features: 10}
loss: SoftmaxCrossEntropy
optimizer:
  Adam: {lr: 0.02, groups: [{Group: {match: "1.*", frozen: true}}]}
callbacks:
  - InitialWeights:
      file: rbm/model.safetensors
      names: {1.weight: 1.weight, 1.bias: 1.hidden_bias}
trainer: {epochs: 20, batch_size: 32}
"""


def test_softmax_of_an_rbms_features(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_config(load_config("digits_rbm", ["optimizer.SGD.lr=0.1"]), Path("rbm"), quiet=True)
    summary = train_config(parse_config(SOFTMAX, folder=tmp_path), Path("softmax"), quiet=True)
    assert summary["test_accuracy"] > 0.85
    rbm, classifier = (read_weights(Path(name, "model.safetensors"))[0] for name in ("rbm", "softmax"))
    np.testing.assert_array_equal(classifier["1.weight"], rbm["1.weight"])
    np.testing.assert_array_equal(classifier["1.bias"], rbm["1.hidden_bias"])


def make_data():
    x = np.random.default_rng(0).uniform(size=(40, 3)).astype(np.float32)
    return x, x[:, :2].copy()


def make_trainer(*callbacks):
    return Trainer(Linear(3, 2), MeanSquaredError(), SGD(lr=0.1), callbacks=callbacks, quiet=True)


def test_all_weights_of_the_same_names(tmp_path):
    other, file = Linear(3, 2), tmp_path / "weights.safetensors"
    file.write_bytes(encode_weights(other.state_dict()))
    trainer = make_trainer(InitialWeights(file))
    trainer.fit(make_data(), epochs=0)
    np.testing.assert_array_equal(trainer.model.weight, other.weight)
    trainer.fit(make_data(), epochs=1)
    after = trainer.model.weight.copy()
    assert not np.array_equal(after, other.weight)
    trainer.fit(make_data(), epochs=0)
    np.testing.assert_array_equal(trainer.model.weight, after)  # not again


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"weigth": "weight"}, "the model has no 'weigth'; did you mean 'weight'?; there are weight, bias"),
        ({"weight": "0.weight"}, "has no '0.weight'; did you mean 'weight'?; there are bias, weight"),
        ({"weight": "bias"}, "weight of the model has shape (2, 3), bias of"),
    ],
)
def test_names_that_do_not_fit(tmp_path, names, message):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(encode_weights(Linear(3, 2).state_dict()))
    with pytest.raises(ValueError, match=re.escape(message)):
        make_trainer(InitialWeights(file, names)).fit(make_data(), epochs=0)
    with pytest.raises(FileNotFoundError, match="InitialWeights: there is no file"):
        make_trainer(InitialWeights(tmp_path / "none.safetensors")).fit(make_data(), epochs=0)


def test_free_energies_by_epoch():
    x = (np.random.default_rng(0).uniform(size=(40, 6)) < 0.3).astype(np.float32)
    parts = (x[:30], np.zeros(30, np.float32)), (x[30:], np.zeros(10, np.float32))
    rbm = RBM(6, 4)
    callbacks = [FreeEnergies(samples=20)]
    trainer = Trainer(rbm, ContrastiveDivergence(), SGD(lr=0.1), callbacks=callbacks, quiet=True)
    row = trainer.fit(*parts, epochs=2, batch_size=10)[-1]
    for part, rows in (("train", x[:20]), ("valid", x[30:])):
        energy = -rows @ rbm.visible_bias - np.logaddexp(0, rows @ rbm.weight.T + rbm.hidden_bias).sum(axis=1)
        assert row[f"free_energy.{part}"] == pytest.approx(energy.mean(), rel=1e-5)


def test_free_energies_refuse():
    with pytest.raises(ValueError, match="FreeEnergies: samples is 0, expected at least 1"):
        FreeEnergies(samples=0)
    net = Sequential(Flatten(), Linear(3, 4), Sigmoid(), Linear(4, 3))
    trainer = Trainer(net, MeanSquaredError(), SGD(lr=0.1), callbacks=[FreeEnergies()], quiet=True)
    x, _ = make_data()
    with pytest.raises(ValueError, match=re.escape("expected two free energies a sample, as of an RBM")):
        trainer.fit((x, x), epochs=1)
