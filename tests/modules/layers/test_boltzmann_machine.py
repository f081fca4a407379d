"""Boltzmann machines: temperature, equilibrium, annealing, what they learn and complete."""

import numpy as np
import pytest
from bprop.modules import RBM, BoltzmannMachine, ContrastiveDivergence, Normal, manual_seed
from bprop.modules.layers.energy import rbm_likelihood as likelihood
from bprop.trainers import SGD, Adam, Lion, compile_step

from .boltzmann import TRIPLETS, all_states, train


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


ENCODER = np.concatenate([np.eye(4), np.eye(4)], axis=1)  # the patterns of Ackley, Hinton and Sejnowski (1985)


def complete(net):
    """The share of draws in which the second four units are as the first four, which are held."""
    held = np.concatenate([np.eye(4).repeat(500, 0), np.zeros((2000, 4))], axis=1)
    return (net.draw(held, 60, held=range(4), seed=0)[:, 4:8] == held[:, :4]).all(axis=1).mean()


@pytest.mark.jit
def test_it_completes_what_it_has_learned():
    """Four pairs of units, each on together, that may be connected with each other."""
    net = BoltzmannMachine(8, 2, exact=True, weight_init=Normal(std=0.5))
    train(net, ENCODER, (0.05,), 2000, Adam)
    assert complete(net) > 0.98


@pytest.mark.jit
@pytest.mark.parametrize("seed", range(4))
def test_the_4_2_4_encoder_is_solved(seed):
    """Two groups of four visible units meet by two hidden ones alone, which find a code of two bits.

    First as in 1985, by steps of one size for all weights and patterns with noise; then by the exact gradient, which
    alone ends in three codes for four patterns at every second start.
    """
    manual_seed(seed)
    random = np.random.default_rng(seed)
    net = BoltzmannMachine(8, 2, sweeps=4, chains=40, groups=(4, 4))
    step = compile_step(net, ContrastiveDivergence(), Lion(lr=0.1, betas=(0.0, 0.0), weight_decay=0.05))
    for _ in range(1000):
        chance, x = random.random((40, 8)), np.tile(ENCODER, (10, 1))
        step(np.where(x > 0, chance > 0.15, chance < 0.05).astype(np.float32), np.zeros(40))
    exact = BoltzmannMachine(8, 2, chains=40, exact=True, groups=(4, 4))
    exact.load_state_dict(net.state_dict())
    step = compile_step(exact, ContrastiveDivergence(), SGD(lr=0.2, momentum=0.9))
    for _ in range(1500):
        value = step(ENCODER.astype(np.float32), np.zeros(4))
    assert value < np.log(4) + 0.03  # the entropy of four patterns
    assert (exact.weight[:4, 4:8] == 0).all()
    assert (exact.weight[4:8, :4] == 0).all()
    assert complete(exact) > 0.97
    codes = {tuple(exact.weight[8:, k] > 0) for k in range(4)}
    assert len(codes) == 4


def test_groups_of_visible_units_are_not_connected(random):
    net = BoltzmannMachine(4, 2, exact=True, groups=(1, 3), weight_init=Normal()).to("float64")
    whole = BoltzmannMachine(4, 2, exact=True).to("float64")
    whole.weight[...], whole.bias[:] = net.weight, random.standard_normal(6)
    net.bias[:] = whole.bias
    assert (net.weight[0, 1:4] == 0).all()
    assert net.weight[0, 4:].all()
    x = all_states(4)
    np.testing.assert_allclose(net.fprop(x), whole.fprop(x), atol=1e-12)
    net.weight[...] = random.standard_normal((6, 6))
    whole.weight[...] = net.weight * net.mask
    np.testing.assert_allclose(net.fprop(x), whole.fprop(x), atol=1e-12)
    grad_y = random.standard_normal((16, 2))
    for each in (net, whole):
        each.zero_grad()
        each.bprop(grad_y)
    assert whole.grad_weight[0, 1]
    np.testing.assert_allclose(net.grad_weight, whole.grad_weight * net.mask, atol=1e-12)
    drawn = [each.draw(x, 5, seed=3) for each in (net, whole)]
    np.testing.assert_array_equal(*drawn)


def test_other_connections_may_be_written(random):
    """Hidden units that are not connected with each other, and no visible ones: the free energies of an RBM."""
    net = BoltzmannMachine(3, 2, exact=True, groups=(1, 1, 1)).to("float64")
    net.mask[3:, 3:] = 0
    net.weight[...], net.bias[:] = random.standard_normal((5, 5)), random.standard_normal(5)
    rbm = RBM(3, 2).to("float64")
    rbm.weight[...] = ((net.weight + net.weight.T) / 2)[3:, :3]
    rbm.visible_bias[:], rbm.hidden_bias[:] = net.bias[:3], net.bias[3:]
    y = net.fprop(all_states(3))
    np.testing.assert_allclose(y[:, 0], likelihood.free_energy(rbm, all_states(3)), atol=1e-12)
    np.testing.assert_allclose(-y[:, 1], likelihood.log_partition(rbm), atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_equation_e_1(temperature, random):
    """A unit turns on with probability σ((W[i] s + b[i]) / T), the others held."""
    net = BoltzmannMachine(4, weight_init=Normal()).to("float64")
    net.bias[:] = random.standard_normal(4)
    x = np.array([1.0, 0.0, 1.0, 1.0])
    p = 1 / (1 + np.exp(-(net.weight[1] @ x + net.bias[1]) / temperature))
    drawn = net.draw(np.tile(x, (40_000, 1)), 1, temperature=temperature, held=(0, 2, 3), seed=0)[:, 1]
    assert drawn.mean() == pytest.approx(p, abs=0.01)


def test_thermal_equilibrium_is_reached_from_any_start(random):
    net = BoltzmannMachine(6, 2, weight_init=Normal()).to("float64")
    states = all_states(8)
    energies = -0.5 * np.einsum("ni,ij,nj->n", states, net.weight, states)
    for temperature in (1.0, 4.0):
        p = np.exp(-energies / temperature)
        expected = p @ energies / p.sum()
        for start in (np.zeros((20_000, 6)), np.ones((20_000, 6))):
            found = net.draw(start, 40, temperature=temperature, seed=2)
            mean = -0.5 * np.einsum("ni,ij,nj->n", found, net.weight, found).mean()
            assert mean == pytest.approx(expected, abs=0.05)


def test_noise_is_taken_off_by_the_distribution(random):
    """The visible units given noisy ones, by all states: p(s) Πᵢ (noise where s[i] is not x[i], else 1 - noise)."""
    net = BoltzmannMachine(3, 2, exact=True, weight_init=Normal()).to("float64")
    net.bias[:] = random.standard_normal(5)
    y, x = net.fprop(all_states(3)), np.array([1.0, 0.0, 1.0])
    wrong = (all_states(3) != x).sum(axis=1)
    p = np.exp(y[:, 1] - y[:, 0]) * 0.2**wrong * 0.8 ** (3 - wrong)
    samples = net.draw(np.tile(x, (40_000, 1)), 30, noise=0.2, seed=1)[:, :3]
    counts = np.bincount((samples @ (1 << np.arange(3))).astype(int), minlength=8) / len(samples)
    np.testing.assert_allclose(counts, p / p.sum(), atol=0.01)


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
    with pytest.raises(ValueError, match=r"BoltzmannMachine: groups is \[2, 1\], expected sizes .* that add up to 4"):
        BoltzmannMachine(4, groups=(2, 1))
    with pytest.raises(ValueError, match=r"groups is \[4, 0\], expected sizes of at least 1"):
        BoltzmannMachine(4, groups=(4, 0))
    with pytest.raises(ValueError, match="noise is 1, expected a number between 0 and 1"):
        BoltzmannMachine(2).draw([[0, 1]], 1, noise=1)
    with pytest.raises(ValueError, match="unit 2 cannot be held, expected 0 to 1"):
        BoltzmannMachine(2, 1).draw([[0, 1]], 1, held=(0, 2))
