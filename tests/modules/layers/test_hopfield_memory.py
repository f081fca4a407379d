"""What Hopfield networks remember: spurious states, noisy characters, capacity; the figures of the books."""

from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import MNIST, Characters
from bprop.modules import Hopfield
from bprop.modules.layers.energy.hopfield_memory import (
    compute_retrieval,
    find_load,
    find_stable_states,
    measure_capacity,
)

REAL = Path(__file__).parents[4] / "shared" / "data"


def test_the_connections_of_the_books_networks():
    """Géron, appendix E: 36 neurons have 630 connections, 784 for images of 28 x 28 have 306,936."""
    assert Hopfield(36).connections == 630
    assert Hopfield(784).connections == 306_936


def test_five_characters_are_14_percent_of_36_neurons():
    assert round(0.14 * 36) == len(Characters().train.x) == 5


@pytest.mark.parametrize("states", ["bipolar", "binary"])
def test_100_noisy_characters(states, random):
    """Of 100 characters, two of whose 36 pixels are flipped, at least 95 are recalled; in ±1 and in 0 and 1."""
    letters = Characters(states=states).train.x
    net = Hopfield(36, states)
    net.store(letters)
    whole = letters.repeat(20, axis=0)
    noisy = whole.copy()
    for row in noisy:
        pixels = random.choice(36, 2, replace=False)
        row[pixels] = net.low + 1 - row[pixels]
    found = net.recall(noisy, seed=0)
    assert found.stable.all()
    assert (found.states == whole).all(axis=1).mean() >= 0.95


@pytest.mark.skipif(not (REAL / "mnist").exists(), reason="needs ../shared/data")
def test_100_noisy_handwritten_characters(random):
    """784 neurons recall 100 noisy digits of MNIST by the pseudo-inverse; these are too much alike for Hebb's rule."""
    images = MNIST(root=REAL / "mnist").train.x[:100].reshape(100, 784)
    digits = np.where(images > images.max() / 2, 1.0, -1.0)
    noisy = np.where(random.random(digits.shape) < 0.1, -digits, digits)
    recalled = {}
    for rule in ("hebb", "storkey", "pseudo_inverse"):
        net = Hopfield(784)
        net.store(digits, rule)
        ends = net.recall(noisy, seed=0).states
        recalled[rule] = ((ends * digits).mean(axis=1) > 0.99).mean()
    assert recalled["pseudo_inverse"] >= 0.99
    assert max(recalled["hebb"], recalled["storkey"]) < 0.1


def test_spurious_states_are_found_and_named():
    data = Characters()
    net = Hopfield(36)
    net.store(data.train.x)
    found = find_stable_states(net, data.train.x, 500, names=data.class_names)
    assert found.counts.sum() + found.unstable == 500
    assert found.unstable == 0
    assert (np.diff(found.counts) <= 0).all()
    assert net.recall(found.states, seed=1).stable.all()
    by_name = dict(zip(found.names, found.states, strict=True))
    for name, letter in zip(data.class_names, data.train.x, strict=True):
        np.testing.assert_array_equal(by_name[name], letter)
        np.testing.assert_array_equal(by_name[f"-{name}"], -letter)
    assert set(found.kinds[:10]) == {"pattern", "negative"}
    assert len(found.spurious) == len(found.states) - 10 > 0
    shares = [found.share(kind) for kind in ("pattern", "negative", "mixture", "other")]
    assert sum(shares) == pytest.approx(1)
    assert shares[0] + shares[1] > 0.8
    assert 0.05 < found.share("mixture", "other") == pytest.approx(sum(shares[2:]))


@pytest.mark.parametrize("states", ["bipolar", "binary"])
def test_a_mixture_is_the_sign_of_a_sum_of_three(states, random):
    p = random.choice([-1, 1], (3, 200))
    net = Hopfield(200, states)
    as_states = (lambda x: x) if states == "bipolar" else (lambda x: (x + 1) // 2)
    net.store(as_states(p))
    found = find_stable_states(net, as_states(p), 400, names=["a", "b", "c"])
    mixtures = {
        name: state
        for name, state, kind in zip(found.names, found.states, found.kinds, strict=True)
        if kind == "mixture"
    }
    assert {"a + b + c", "-a - b - c", "a - b + c", "-a + b + c"} & set(mixtures)
    for name, state in mixtures.items():
        signs = [-1 if f"-{letter}" in name.replace("- ", "-") else 1 for letter in "abc"]
        mixture = np.sign(np.array(signs) @ p)
        assert (as_states(mixture) == state).mean() > 0.975


def test_a_state_like_no_sum_is_other():
    net = Hopfield(4)
    found = find_stable_states(net, [[1, 1, 1, 1]], 16)  # weights of 0 leave every state as it is
    kinds = {tuple(state): kind for state, kind in zip(found.states.astype(int), found.kinds, strict=True)}
    assert kinds.get((1, 1, -1, -1), "other") == "other"
    assert "other" in kinds.values()
    assert set(found.names) <= {"0", "-0", "?"}


def test_the_capacity_of_infinite_networks():
    loads, overlaps = compute_retrieval()
    assert loads[-1] == loads.max() == pytest.approx(0.1379, abs=1e-4)
    assert overlaps[-1] == pytest.approx(0.967, abs=1e-3)
    assert overlaps[0] > 0.999


@pytest.mark.rare
def test_the_capacity_of_400_neurons():
    """Within 0.01 of 0.138 patterns a neuron the mean overlap falls below 0.967, the least in theory."""
    capacity, least = (values[-1] for values in compute_retrieval())
    curve = measure_capacity(400, (0.1, 0.12, 0.13, 0.14, 0.15, 0.2), 12, seed=1)
    assert find_load(curve.loads, curve.overlaps.mean(axis=1), least) == pytest.approx(capacity, abs=0.01)
    shares = curve.shares.mean(axis=1)
    assert shares[0] > 0.98
    assert 0.85 < shares[3] < 0.97
    assert shares[-1] < 0.4


@pytest.mark.rare
def test_half_of_the_patterns_are_lost_nearer_to_the_capacity_in_larger_networks():
    """At 0.138 + c / √N: extrapolated from 100, 200 and 400 neurons, within 0.02."""
    sizes, halves = np.array([100, 200, 400]), []
    for size, loads in zip(
        sizes, ((0.19, 0.22, 0.25, 0.28), (0.17, 0.19, 0.21, 0.23), (0.16, 0.175, 0.19, 0.205)), strict=True
    ):
        curve = measure_capacity(int(size), loads, 2400 // size, seed=2)
        halves.append(find_load(curve.loads, curve.shares.mean(axis=1), 0.5))
    assert halves[0] > halves[1] > halves[2]
    assert np.polyfit(1 / np.sqrt(sizes), halves, 1)[1] == pytest.approx(0.138, abs=0.02)


def test_rules_and_noise_change_the_capacity():
    shares = {
        (rule, noise): measure_capacity(80, (0.4,), 3, rule=rule, noise=noise).shares.mean()
        for rule in ("hebb", "storkey", "pseudo_inverse")
        for noise in (0.0, 0.1)
    }
    assert shares["hebb", 0.0] < 0.5 < shares["storkey", 0.0] < shares["pseudo_inverse", 0.0] == 1
    assert all(shares[rule, 0.1] <= shares[rule, 0.0] for rule in ("hebb", "storkey", "pseudo_inverse"))


def test_a_level_is_found_by_interpolation():
    assert find_load([1, 2, 3, 4], [1.0, 0.8, 0.4, 0.0], 0.6) == pytest.approx(2.5)
    assert find_load([1, 2, 3, 4], [1.0, 0.5, 0.9, 0.1], 0.5) == pytest.approx(3.5)
    for values in ([1.0, 0.9], [0.3, 0.2]):
        with pytest.raises(ValueError, match=rf"values from {values[0]:g} to {values[1]:g} do not fall below 0.5"):
            find_load([1, 2], values, 0.5)


def test_what_is_refused():
    net = Hopfield(4)
    p = [[1, 1, -1, -1]]
    with pytest.raises(ValueError, match=r"Hopfield\(4\): 2 names for 1 patterns, expected one each"):
        find_stable_states(net, p, names=["a", "b"])
    with pytest.raises(ValueError, match=r"Hopfield\(4\): starts is 0, expected at least 1"):
        find_stable_states(net, p, 0)
    with pytest.raises(ValueError, match=r"Hopfield\(4\): overlap is 0, expected above 0 and at most 1"):
        find_stable_states(net, p, overlap=0)
    with pytest.raises(ValueError, match=r"patterns has shape \(1, 2\), expected \(N, 4\)"):
        find_stable_states(net, [[1, 1]])
    with pytest.raises(ValueError, match="rule is 'delta', expected 'hebb' or 'storkey' or 'pseudo_inverse'"):
        measure_capacity(10, [0.1], rule="delta")
    with pytest.raises(ValueError, match="trials is 0, expected at least 1"):
        measure_capacity(10, [0.1], 0)
    with pytest.raises(ValueError, match="noise is 2, expected 0 to 1"):
        measure_capacity(10, [0.1], noise=2)
    with pytest.raises(ValueError, match=r"a load of 0\.01 is no pattern in 10 units, expected at least 1"):
        measure_capacity(10, [0.1, 0.01])
