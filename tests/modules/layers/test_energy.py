"""Hopfield networks: what they store and recall, and their energy. Boltzmann machines: free energies and samples."""

import numpy as np
import pytest
from bprop.modules import (
    RBM,
    BoltzmannMachine,
    ContrastiveDivergence,
    Hopfield,
    MeanOutput,
    ModernHopfield,
    Normal,
    check_gradients,
)
from bprop.modules.layers.energy import rbm_likelihood as likelihood
from bprop.trainers import SGD, Adam, compile_step


@pytest.fixture
def patterns(random):
    return random.choice([-1.0, 1.0], (5, 60))


def flip(x, share, random):
    """States of which each unit is flipped with a probability."""
    return np.where(random.random(x.shape) < share, -x, x)


def test_hebbs_rule():
    net = Hopfield(3)
    net.store([[1, -1, 1], [1, 1, -1]])
    np.testing.assert_allclose(net.weight, np.array([[0, 0, 0], [0, 0, -2], [0, -2, 0]]) / 3)
    np.testing.assert_array_equal(net.bias, 0)


def test_hebbs_rule_is_a_step_down_the_mean_energy(patterns):
    stored, trained = Hopfield(60), Hopfield(60)
    stored.store(patterns)
    step = compile_step(trained, MeanOutput(), SGD(lr=2 * len(patterns) / 60))
    step(patterns.astype(np.float32), np.zeros(len(patterns)))
    np.testing.assert_allclose(trained.weight, stored.weight, atol=1e-6)


def test_storkeys_rule_is_hebbs_for_the_first_pattern_and_local(random):
    p = random.choice([-1.0, 1.0], (3, 8))
    net, w = Hopfield(8).to("float64"), np.zeros((8, 8))
    for x in p:
        h = np.array([[sum(w[i, k] * x[k] for k in range(8) if k not in (i, j)) for j in range(8)] for i in range(8)])
        w = w + (np.outer(x, x) - x[:, None] * h.T - h * x[None, :]) / 8
    np.fill_diagonal(w, 0)
    net.store(p, "storkey")
    np.testing.assert_allclose(net.weight, w, atol=1e-12)
    np.testing.assert_allclose(net.weight, net.weight.T, atol=1e-12)
    first, hebb = Hopfield(8), Hopfield(8)
    first.store(p[:1], "storkey")
    hebb.store(p[:1])
    np.testing.assert_allclose(first.weight, hebb.weight, atol=1e-7)


def test_the_pseudo_inverse_keeps_patterns_that_hebbs_rule_loses(random):
    p = random.choice([-1.0, 1.0], (25, 60))
    kept = {}
    for rule in ("hebb", "storkey", "pseudo_inverse"):
        net = Hopfield(60)
        net.store(p, rule)
        kept[rule] = (net.recall(p, seed=0).states == p).all(axis=1).sum()
    assert kept["hebb"] < kept["storkey"] < kept["pseudo_inverse"] == 25


@pytest.mark.parametrize("states", ["bipolar", "binary"])
@pytest.mark.parametrize("order", ["asynchronous", "synchronous"])
def test_noisy_patterns_are_recalled(patterns, random, states, order):
    as_states = (lambda x: x) if states == "bipolar" else (lambda x: (x + 1) / 2)
    net = Hopfield(60, states)
    net.store(as_states(patterns[:3]))
    found = net.recall(as_states(flip(patterns[:3], 0.1, random)), order, seed=0)
    np.testing.assert_array_equal(found.states, as_states(patterns[:3]))
    assert found.stable.all()


def test_both_kinds_of_states_mean_the_same_energies(patterns, random):
    bipolar, binary = Hopfield(60).to("float64"), Hopfield(60, "binary").to("float64")
    bipolar.store(patterns)
    binary.store((patterns + 1) / 2)
    x = random.choice([-1.0, 1.0], (10, 60))
    difference = bipolar.fprop(x) - binary.fprop((x + 1) / 2)
    np.testing.assert_allclose(difference, np.full((10, 1), difference[0, 0]), atol=1e-9)


def test_the_energy_never_rises_one_unit_at_a_time(random):
    net = Hopfield(100).to("float64")
    net.store(random.choice([-1.0, 1.0], (30, 100)))
    found = net.recall(random.choice([-1.0, 1.0], (40, 100)), seed=1)
    assert found.energies.shape[0] * found.energies.shape[1] > 10_000
    assert (np.diff(found.energies, axis=0) <= 1e-9).all()
    np.testing.assert_allclose(found.energies[-1], net.fprop(found.states)[:, 0], atol=1e-9)
    assert found.stable.all()


def test_all_at_once_states_may_alternate_for_ever():
    net = Hopfield(2)
    net.weight[...] = [[0, -1], [-1, 0]]
    found = net.recall([[1, 1]], "synchronous", sweeps=11)
    np.testing.assert_array_equal(found.states, [[-1, -1]])
    assert not found.stable.any()
    assert len(found.energies) == 12


def test_a_field_of_zero_leaves_a_unit_as_it_is():
    np.testing.assert_array_equal(Hopfield(3).recall([[1, -1, 1]], seed=0).states, [[1, -1, 1]])


def test_what_it_refuses():
    with pytest.raises(ValueError, match="states is 'spin', expected 'bipolar' or 'binary'"):
        Hopfield(3, "spin")
    net = Hopfield(3)
    with pytest.raises(ValueError, match="rule is 'delta', expected 'hebb' or 'storkey' or 'pseudo_inverse'"):
        net.store([[1, 1, 1]], "delta")
    with pytest.raises(ValueError, match="order is 'random', expected 'asynchronous' or 'synchronous'"):
        net.recall([[1, 1, 1]], "random")
    with pytest.raises(ValueError, match=r"patterns has shape \(1, 2\), expected \(N, 3\)"):
        net.store([[1, 1]])
    with pytest.raises(ValueError, match="x is 0 in row 1, unit 2; expected -1 or 1"):
        net.recall([[1, 1, 1], [1, 1, 0]])
    with pytest.raises(ValueError, match="patterns is -1 in row 0, unit 1; expected 0 or 1"):
        Hopfield(2, "binary").store([[0, -1]])
    with pytest.raises(ValueError, match="beta is 0, expected a number above 0"):
        ModernHopfield(3, 2, beta=0)
    with pytest.raises(ValueError, match=r"patterns has shape \(3, 3\), expected \(2, 3\)"):
        ModernHopfield(3, 2).store(np.ones((3, 3)))


def test_the_modern_network_retrieves_more_patterns_than_it_has_units(random):
    net = ModernHopfield(20, 200, beta=4).to("float64")
    stored = random.choice([-1.0, 1.0], (200, 20))
    net.store(stored)
    noisy = stored + 0.3 * random.standard_normal(stored.shape)
    found = net.retrieve(noisy, 3)
    assert (np.sign(found) == stored).all(axis=1).mean() > 0.95


def test_retrieval_never_raises_the_energy(random):
    net = ModernHopfield(6, 9, beta=0.7).to("float64")
    states, energies = 2 * random.standard_normal((50, 6)), []
    for _ in range(6):
        energies.append(net.energy(states))
        states = net.retrieve(states)
    assert (np.diff(energies, axis=0) <= 1e-12).all()


def test_the_gradient_of_the_energy_is_the_state_less_its_retrieval(random):
    net, x, step = ModernHopfield(4, 5, beta=1.3).to("float64"), random.standard_normal((3, 4)), 1e-5
    slopes = np.empty_like(x)
    for k in range(4):
        d = step * np.eye(4)[k]
        slopes[:, k] = (net.energy(x + d) - net.energy(x - d)) / (2 * step)
    np.testing.assert_allclose(slopes, x - net.retrieve(x), atol=1e-8)


def test_gradients_of_a_weight_that_is_not_symmetric(random):
    net = Hopfield(5).to("float64")
    net.weight[...], net.bias[...] = random.standard_normal((5, 5)), random.standard_normal(5)
    check_gradients(net, random.standard_normal((4, 5)))


# -- restricted Boltzmann machines -------------------------------------------------------------------------------------


@pytest.fixture
def rbm(random):
    """A Bernoulli machine of 5 and 4 units with weights that matter, in float64."""
    return moved(RBM(5, 4, weight_init=Normal()), random)


def moved(net, random):
    net.to("float64")
    net.hidden_bias[:], net.visible_bias[:] = random.standard_normal(net.hidden), random.standard_normal(net.visible)
    return net


def all_states(units):
    return (np.arange(1 << units)[:, None] >> np.arange(units) & 1).astype(float)


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


@pytest.mark.parametrize("units", ["bernoulli", "gaussian"])
def test_annealed_importance_sampling_is_within_a_tenth_of_a_nat(units, random):
    net = moved(RBM(20, 10, units=units, weight_init=Normal(std=0.3)), random)
    exact = likelihood.log_partition(net)
    value, low, high = likelihood.estimate_log_partition(net, 100, 1000, random=random)
    assert value == pytest.approx(exact, abs=0.1)
    assert low < exact < high


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


TRIPLETS = np.array([[0, 1, 1], [0, 0, 1], [1, 1, 1]])  # of Géron, appendix E: 75, 10 and 15 %


def train(net, x, rates, steps, optimizer=SGD):
    """Train by contrastive divergence at one learning rate after the other."""
    for lr in rates:
        step = compile_step(net, ContrastiveDivergence(), optimizer(lr=lr))
        for _ in range(steps):
            step(x.astype(np.float32), np.zeros(len(x)))


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


# -- Boltzmann machines ------------------------------------------------------------------------------------------------


@pytest.mark.jit
def test_a_boltzmann_machine_reproduces_the_triplets(random):
    """The book's machine of three visible units (and two hidden ones): its samples are as the data, within 1 %."""
    net = BoltzmannMachine(3, 2, exact=True)
    x = TRIPLETS.repeat([15, 2, 3], axis=0)
    train(net, x, (0.1,), 3000, Adam)
    samples = net.draw(np.zeros((40_000, 3)), 60, seed=0)[:, :3]
    found = [(samples == each).all(axis=1).mean() for each in TRIPLETS]
    np.testing.assert_allclose(found, [0.75, 0.1, 0.15], atol=0.01)


@pytest.mark.jit
def test_it_learns_by_drawing_too(random):
    net = BoltzmannMachine(3, 2, sweeps=4, chains=400)
    x = TRIPLETS[random.permutation(np.repeat([0, 1, 2], [300, 40, 60]))]
    train(net, x, (0.3, 0.1, 0.03), 3000)
    exact = BoltzmannMachine(3, 2, chains=400, exact=True)
    exact.load_state_dict(net.state_dict())
    y = exact.fprop(TRIPLETS.astype(np.float32))
    np.testing.assert_allclose(np.exp(y[:, 1] - y[:, 0]), [0.75, 0.1, 0.15], atol=0.03)


@pytest.mark.jit
def test_it_completes_what_it_has_learned():
    """Four pairs of units, each on together: the patterns of the encoder of Ackley, Hinton and Sejnowski (1985)."""
    ones = np.eye(4)
    x = np.concatenate([ones, ones], axis=1)
    net = BoltzmannMachine(8, 2, exact=True, weight_init=Normal(std=0.5))
    train(net, x, (0.05,), 2000, Adam)
    held = net.draw(np.concatenate([np.repeat(ones, 500, 0), np.zeros((2000, 4))], 1), 60, held=(0, 1, 2, 3), seed=0)
    right = (held[:, 4:8] == np.repeat(ones, 500, 0)).all(axis=1).mean()
    assert right > 0.98


def test_drawing_reaches_the_distribution(random):
    net = BoltzmannMachine(3, 2, exact=True, weight_init=Normal()).to("float64")
    net.bias[:] = random.standard_normal(5)
    y = net.fprop(all_states(3))
    for temperature in (1.0, 2.5):
        hot = BoltzmannMachine(3, 2, exact=True).to("float64")
        hot.weight[...], hot.bias[...] = net.weight / temperature, net.bias / temperature
        y = hot.fprop(all_states(3))
        samples = net.draw(np.zeros((40_000, 3)), 40, temperature=temperature, seed=1)[:, :3]
        counts = np.bincount((samples @ (1 << np.arange(3))).astype(int), minlength=8) / len(samples)
        np.testing.assert_allclose(counts, np.exp(y[:, 1] - y[:, 0]), atol=0.01)


def test_annealing_ends_in_the_lowest_energy(random):
    net = BoltzmannMachine(8, weight_init=Normal(std=2.0)).to("float64")
    states = all_states(8)
    energies = -0.5 * np.einsum("ni,ij,nj->n", states, net.weight, states)
    found = net.draw(np.zeros((200, 8)), 200, temperature=20.0, cooling=0.96, seed=0)
    ends = -0.5 * np.einsum("ni,ij,nj->n", found, net.weight, found)
    assert (ends < energies.min() + 1e-9).mean() > 0.9


def test_held_units_keep_their_values():
    net = BoltzmannMachine(4, 1, weight_init=Normal())
    x = np.array([[1, 0, 1, 0]] * 50)
    np.testing.assert_array_equal(net.draw(x, 5, held=(0, 1), seed=0)[:, :2], x[:, :2])


def test_what_a_boltzmann_machine_refuses():
    with pytest.raises(ValueError, match="BoltzmannMachine: hidden is -1, expected a whole number of at least 0"):
        BoltzmannMachine(3, -1)
    with pytest.raises(ValueError, match="BoltzmannMachine: 17 units have too many states to be exact, 16 at most"):
        BoltzmannMachine(10, 7, exact=True)
    with pytest.raises(ValueError, match="temperature is 0, expected a number above 0"):
        BoltzmannMachine(2).draw([[0, 1]], 1, temperature=0)
    with pytest.raises(ValueError, match=r"x has shape \(1, 3\), expected \(N, 2\)"):
        BoltzmannMachine(2).draw([[0, 1, 1]], 1)
