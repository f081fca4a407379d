"""Plots of energy-based nets: what is drawn in each of them, in numbers and words, and which fit which net."""

import re
from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import MNIST
from bprop.modules import ClassRBM, Flatten, Sequential, SigmoidBelief, SoftmaxCrossEntropy, manual_seed
from bprop.modules.layers.energy.rbm_likelihood import free_energy
from bprop.trainers import SGD, CosineSchedule, GreedyPretraining, Trainer, UpDown
from bprop.trainers.configs import load_config
from bprop.trainers.runs.run_folder import train_config

pytest.importorskip("matplotlib")

from bprop.trainers.plots import UnsuitableRun, plot_runs
from bprop.trainers.plots.energy import draw_energy
from bprop.trainers.plots.energy_nets import EnergyNet, arrange, dream, is_energy_net
from bprop.trainers.plots.patterns import complete, draw_patterns
from bprop.trainers.plots.samples import draw_samples
from bprop.trainers.plots.trained_run import TrainedRun
from bprop.trainers.plots.weights import draw_weights

MNIST_FILES = Path(__file__).parents[4] / "shared" / "data" / "mnist"


def trained(folder, config, *overrides):
    train_config(load_config(config, overrides), run=folder, quiet=True)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def rbm(runs):
    return trained(runs / "rbm", "digits_rbm", "trainer.epochs=3")


@pytest.fixture(scope="module")
def hopfield(runs):
    return trained(runs / "hopfield", "hopfield_characters")


@pytest.fixture(scope="module")
def triplets(runs):
    return trained(runs / "triplets", "boltzmann_triplets")


@pytest.fixture(scope="module")
def dbn(runs):
    return trained(runs / "dbn", "digits_dbn", "trainer.epochs=1", "callbacks.0.GreedyPretraining.epochs=3")


def words(figure):
    texts = [figure.get_suptitle()]
    for axes in figure.axes:
        texts += [axes.get_title(place) for place in ("left", "center", "right")]
        texts += [axes.get_xlabel(), axes.get_ylabel()]
        texts += [each.get_text() for each in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    return "\n".join(texts)


def test_an_rbm(rbm, tmp_path):
    paths, omitted = plot_runs([rbm], out=tmp_path)
    assert {path.stem for path in paths} >= {"curves", "weights", "patterns", "samples", "energy"}
    assert not omitted.keys() & {"patterns", "samples", "energy", "alignment"}
    assert all(path.stat().st_size > 5000 for path in paths)


def test_an_rbms_chains(rbm):
    figure = draw_samples(TrainedRun(rbm))
    assert "Gibbs chains of RBM(64 -> 96, chains=32)" in words(figure)
    assert "data\n1\n10\n100\n1000" in words(figure)
    image = figure.axes[0].images[0].get_array().filled(np.nan)
    assert image.shape == (8 * 25 - 1, 5 * 25 - 1)  # pixels are squares of 3 x 3
    run = TrainedRun(rbm)
    np.testing.assert_allclose(image[:24:3, :24:3], run.data[:1][0].reshape(8, 8))


def test_an_rbms_free_energies(rbm):
    run = TrainedRun(rbm)
    figure = draw_energy(run)
    upper, lower = figure.axes
    table = np.genfromtxt(rbm / "metrics.csv", delimiter=",", names=True, deletechars="")
    train, valid = upper.lines
    np.testing.assert_allclose(train.get_ydata(), table["free_energy.train"])
    np.testing.assert_allclose(valid.get_ydata(), table["free_energy.valid"])
    expected = free_energy(run.model[1], run.data[:1000][0].reshape(-1, 64)).mean()
    labels = [each.get_text() for each in lower.get_legend().get_texts()]
    assert labels[1] == f"test: {expected:.1f}"


def test_an_rbm_completes_what_is_not_known(rbm):
    run = TrainedRun(rbm)
    x, known = run.data[:5][0].reshape(5, 64).astype(float), np.arange(64) < 32
    completed = complete(run.model[1], x, known)
    np.testing.assert_array_equal(completed[:, known], x[:, known])
    assert completed[:, ~known].std() > 0
    assert "the lower half is drawn by 200 Gibbs steps" in words(draw_patterns(run))


def test_a_hopfield_network(hopfield):
    run = TrainedRun(hopfield)
    assert "5 of 5 patterns are recalled exactly" in words(draw_patterns(run))
    figure = draw_energy(run)
    recalls = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) > 2]
    assert len(recalls) == 5
    assert all((np.diff(each) <= 0).all() for each in recalls)
    assert "weights of model[0] Hopfield(36)" in words(draw_weights(run))
    with pytest.raises(UnsuitableRun, match=re.escape("Hopfield(36) draws no samples")):
        draw_samples(run)


def test_the_triplets_of_a_boltzmann_machine(triplets):
    run = TrainedRun(triplets)
    figure = draw_samples(run)
    heights = np.array([bar.get_height() for bar in figure.axes[0].patches]).reshape(2, 8)
    np.testing.assert_allclose(heights[0], [0, 10, 0, 75, 0, 0, 0, 15])
    np.testing.assert_allclose(heights[1], heights[0], atol=1)  # within 1 %
    with pytest.raises(UnsuitableRun, match="a state has 3 units, expected those of a grey image"):
        draw_patterns(run)
    with pytest.raises(UnsuitableRun, match="has no free energy of its inputs alone"):
        draw_energy(run)


def test_a_deep_belief_net(dbn):
    run = TrainedRun(dbn)
    figure = draw_samples(run)
    assert "generated by ClassRBM(96 and 10 classes -> 256)" in words(figure)
    assert figure.axes[0].images[0].get_array().shape == (10 * 25 - 1, 8 * 25 - 1)
    for draw in (draw_patterns, draw_energy):
        with pytest.raises(UnsuitableRun, match=re.escape("ClassRBM(96 and 10 classes -> 256)")):
            draw(run)


def test_a_dream_follows_its_label():
    top, belief = ClassRBM(2, 2, 2), SigmoidBelief(4, 2)
    top.label_weight[...], top.weight[...] = 40 * np.eye(2), 20 * np.eye(2)  # hidden unit k is on for label k alone
    top.hidden_bias[...], top.visible_bias[...] = -30, -10
    belief.generative_weight[...] = [[9, 9, -9, -9], [-9, -9, 9, 9]]
    p = dream(EnergyNet(top, [belief]), np.zeros((1, 4)), np.array([0, 1, 1]), 20, np.random.default_rng(0))
    np.testing.assert_allclose(p.round(), [[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])


@pytest.mark.rare
@pytest.mark.skipif(not MNIST_FILES.is_dir(), reason="there are no files of MNIST")
def test_a_net_with_chains_at_the_top_dreams_of_each_label():
    x, y = MNIST(root=MNIST_FILES, valid_size=0).train[:5000]
    manual_seed(0)
    net = Sequential(Flatten(), SigmoidBelief(784, 300), ClassRBM(300, 10, 500))
    trainer = Trainer(
        net,
        SoftmaxCrossEntropy(),
        SGD(lr=0.1, momentum=0.5),
        rule=UpDown(steps=1, chains=50),  # without chains 0.53 of the dreams are of their label
        callbacks=[GreedyPretraining(epochs=[3, 1], batch_size=50, chains=[0, 50])],
        schedules={"optimizer.lr": CosineSchedule()},
        quiet=True,
    )
    trainer.fit((x, y), epochs=8, batch_size=50, threads=1)
    x, labels = x.reshape(len(x), -1), np.arange(10).repeat(20)
    p = dream(EnergyNet(net[2], [net[1]]), x[:500], labels, 200, np.random.default_rng(0))
    means = np.stack([x[y == label].mean(axis=0) for label in range(10)])
    nearest = ((p[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.6


def test_other_nets(runs, tmp_path):
    run = TrainedRun(trained(runs / "mlp", "digits_mlp", "trainer.epochs=1"))
    assert not is_energy_net(run)
    with pytest.raises(
        UnsuitableRun, match=re.escape("the model ends with Linear(72 -> 10), expected an energy-based")
    ):
        draw_samples(run)
    _, omitted = plot_runs([run.folder], out=tmp_path)
    assert not omitted.keys() & {"patterns", "samples", "energy"}


def test_arranging_images():
    image = arrange([[np.zeros((14, 14)), np.ones((14, 14))]])
    assert image.shape == (28, 57)
    assert np.isnan(image[:, 28]).all()
    assert (image[:, 29:] == 1).all()
