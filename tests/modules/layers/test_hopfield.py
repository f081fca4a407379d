"""Hopfield networks: what they store and recall, and their energy."""

import numpy as np
import pytest
from bprop.modules import Hopfield, MeanOutput, ModernHopfield, check_gradients
from bprop.trainers import SGD, compile_step


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


@pytest.mark.parametrize("states", ["bipolar", "binary"])
@pytest.mark.parametrize("rule", ["hebb", "storkey", "pseudo_inverse"])
def test_the_energy_never_rises_in_10_000_updates_of_one_unit_each(random, states, rule):
    net = Hopfield(100, states).to("float64")
    net.store(random.choice([net.low, 1.0], (30, 100)), rule)
    x = random.choice([net.low, 1.0], (60, 100))
    found = net.recall(x, seed=1)
    assert (found.energies.shape[0] - 1) * found.energies.shape[1] >= 10_000
    assert (np.diff(found.energies, axis=0) <= 1e-9).all()
    for sweeps in range(1, 4):
        energies = net.fprop(net.recall(x, sweeps=sweeps, seed=1).states)[:, 0]
        np.testing.assert_allclose(found.energies[100 * sweeps], energies, atol=1e-9)
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
