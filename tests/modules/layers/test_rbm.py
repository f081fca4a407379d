"""Restricted Boltzmann machines: free energies, samples, partition functions, and what they learn."""

import numpy as np
import pytest
from bprop.datasets import Digits
from bprop.modules import RBM, ContrastiveDivergence, Normal
from bprop.modules.layers.energy import rbm_likelihood as likelihood
from bprop.trainers import SGD, compile_step

from .boltzmann import TRIPLETS, all_states, train


@pytest.fixture
def rbm(random):
    """A Bernoulli machine of 5 and 4 units with weights that matter, in float64."""
    return moved(RBM(5, 4, weight_init=Normal()), random)


def moved(net, random):
    net.to("float64")
    net.hidden_bias[:], net.visible_bias[:] = random.standard_normal(net.hidden), random.standard_normal(net.visible)
    return net


def joint(net, v, h):
    """The energy of each visible state v (N, V) with each hidden one h (M, H): (N, M)."""
    visible = 0.5 * ((v - net.visible_bias) ** 2).sum(axis=1) if net.gaussian else -v @ net.visible_bias
    return visible[:, None] - h @ net.hidden_bias - v @ net.weight.T @ h.T


def test_the_free_energy_sums_over_hidden_states(rbm):
    v = all_states(5)
    expected = -np.logaddexp.reduce(-joint(rbm, v, all_states(4)), axis=1)
    np.testing.assert_allclose(likelihood.free_energy(rbm, v), expected, atol=1e-12)
    np.testing.assert_allclose(rbm.fprop(v)[:, 0], expected, atol=1e-12)


def test_the_partition_function(rbm, random):
    expected = np.logaddexp.reduce(-joint(rbm, all_states(5), all_states(4)), axis=None)
    assert likelihood.log_partition(rbm) == pytest.approx(expected, abs=1e-12)
    wide = moved(RBM(3, 6, weight_init=Normal()), random)
    expected = np.logaddexp.reduce(-joint(wide, all_states(3), all_states(6)), axis=None)
    assert likelihood.log_partition(wide) == pytest.approx(expected, abs=1e-12)


def test_the_partition_function_of_gaussian_units(random):
    net = moved(RBM(2, 3, units="gaussian", weight_init=Normal(std=0.7)), random)
    line = np.arange(-12, 12, 0.05)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    expected = np.log(np.exp(-likelihood.free_energy(net, grid)).sum() * 0.05**2)
    assert likelihood.log_partition(net) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("visible", "hidden", "units", "std"),
    [(20, 10, "bernoulli", 0.3), (20, 10, "gaussian", 0.3), (12, 60, "bernoulli", 0.3), (400, 12, "bernoulli", 0.1)],
)
def test_annealed_importance_sampling_is_within_a_tenth_of_a_nat(visible, hidden, units, std, random):
    net = moved(RBM(visible, hidden, units=units, weight_init=Normal(std=std)), random)
    exact = likelihood.log_partition(net)
    value, low, high = likelihood.estimate_log_partition(net, 100, 1000, random=random)
    assert value == pytest.approx(exact, abs=0.1)
    assert low < exact < high


@pytest.mark.jit
def test_the_partition_function_of_a_trained_machine_is_within_a_tenth_of_a_nat(random):
    """Of the 8 x 8 digits: 64 visible units, and 16 hidden ones whose states can be added up."""
    x = Digits().train.x.reshape(-1, 64) / 16
    net = RBM(64, 16, chains=100)
    step = compile_step(net, ContrastiveDivergence(), SGD(lr=0.1))
    for _ in range(20):
        for rows in random.permutation(len(x))[:1100].reshape(11, 100):
            step(x[rows].astype(np.float32), np.zeros(100))
    exact = likelihood.log_partition(net)
    value, low, high = likelihood.estimate_log_partition(net, 200, 2000, random=random)
    assert value == pytest.approx(exact, abs=0.1)
    assert low < exact < high
    data = -likelihood.free_energy(net, x).mean() - exact
    apart = np.log(2) * 64
    assert data > -apart + 15  # nats better than pixels of chance


def test_gibbs_sampling_reaches_the_distribution(rbm, random):
    states = all_states(5)
    p = np.exp(-likelihood.free_energy(rbm, states) - likelihood.log_partition(rbm))
    samples = likelihood.sample_visible(rbm, np.zeros((40_000, 5)), 30, random=random)
    counts = np.bincount((samples @ (1 << np.arange(5))).astype(int), minlength=32) / len(samples)
    np.testing.assert_allclose(counts, p, atol=0.01)


@pytest.mark.jit
def test_its_own_samples_reach_the_distribution(rbm):
    rbm.steps = 30
    rbm.fprop(np.zeros((40_000, 5)))
    p = np.exp(-likelihood.free_energy(rbm, all_states(5)) - likelihood.log_partition(rbm))
    counts = np.bincount((rbm.sample @ (1 << np.arange(5))).astype(int), minlength=32) / len(rbm.sample)
    np.testing.assert_allclose(counts, p, atol=0.01)


def test_the_pseudo_likelihood_is_that_of_each_unit_given_the_others(rbm, random):
    states = all_states(5)[[3, 17, 30]]
    expected = np.zeros(3)
    for k in range(5):
        flipped = states.copy()
        flipped[:, k] = 1 - flipped[:, k]
        expected -= np.logaddexp(0, likelihood.free_energy(rbm, states) - likelihood.free_energy(rbm, flipped))
    repeated = np.repeat(states, 20_000, axis=0)
    found = likelihood.pseudo_log_likelihood(rbm, repeated, random=random).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(found, expected, atol=0.05)


@pytest.mark.parametrize("units", ["bernoulli", "gaussian"])
def test_contrastive_divergence_is_the_difference_of_two_statistics(units, random):
    net, loss = moved(RBM(5, 4, units=units, weight_init=Normal()), random), ContrastiveDivergence().to("float64")
    x = (random.random((30, 5)) < 0.5).astype(float)
    loss(net.fprop(x), np.zeros(30))
    net.zero_grad()
    net.bprop(loss.bprop())
    h, h_sample = (likelihood.hidden_probabilities(net, each) for each in (x, net.sample))
    np.testing.assert_allclose(net.grad_weight, (h_sample.T @ net.sample - h.T @ x) / 30, atol=1e-12)
    np.testing.assert_allclose(net.grad_hidden_bias, (h_sample - h).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(net.grad_visible_bias, (net.sample - x).mean(axis=0), atol=1e-12)


def test_persistent_chains_go_on(random):
    net = RBM(5, 4, chains=3, weight_init=Normal()).to("float64")
    x = np.ones((3, 5))
    net.fprop(x)
    first = net.chain.copy()
    np.testing.assert_array_equal(first, net.sample)
    net.eval()
    net.fprop(x)
    np.testing.assert_array_equal(net.chain, first)
    net.train()
    net.fprop(x[:2])
    np.testing.assert_array_equal(net.chain[2], first[2])
    other = RBM(5, 4, chains=3)
    other.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other.chain, net.chain)


@pytest.mark.jit
def test_an_rbm_learns_a_distribution(random):
    x = TRIPLETS[random.choice(3, 1000, p=[0.75, 0.1, 0.15])]
    exact = [(x == each).all(axis=1).mean() for each in TRIPLETS]
    net = RBM(3, 4, steps=5, chains=1000, weight_init=Normal(std=0.1))
    train(net, x, (1.0, 0.3, 0.05), 2000)
    found = np.exp(-likelihood.free_energy(net, TRIPLETS) - likelihood.log_partition(net))
    np.testing.assert_allclose(found, exact, atol=0.01)


def test_what_an_rbm_refuses():
    with pytest.raises(ValueError, match="RBM: chains is -1, expected a whole number of at least 0"):
        RBM(3, 2, chains=-1)
    with pytest.raises(ValueError, match="RBM: units is 'relu', expected 'bernoulli' or 'gaussian'"):
        RBM(3, 2, units="relu")
    with pytest.raises(ValueError, match=r"RBM\(3 -> 2\): x has shape \(1, 2\), expected \(N, 3\)"):
        likelihood.free_energy(RBM(3, 2), [[0, 1]])
    with pytest.raises(ValueError, match="30 units have too many states to add up, 22 at most"):
        likelihood.log_partition(RBM(30, 40))
    with pytest.raises(ValueError, match="the pseudo-likelihood is that of binary units, these are Gaussian"):
        likelihood.pseudo_log_likelihood(RBM(3, 2, units="gaussian"), [[0, 1, 2]])
    with pytest.raises(ValueError, match=r"y has shape \(4, 2\) and target \(3,\), expected one target a sample"):
        ContrastiveDivergence()(np.zeros((4, 2)), np.zeros(3))
