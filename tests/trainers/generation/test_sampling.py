"""Sampling: which tokens are left, how often each is drawn, and random numbers by seed."""

import numpy as np
import pytest
from bprop.trainers.generation.sampling import RandomNumbers, Sampling

SCORES = np.log(np.array([0.1, 0.4, 0.2, 0.3], np.float64)).astype(np.float32)


def test_temperature_zero_takes_the_largest():
    assert Sampling(temperature=0).choose(SCORES, 0.999) == 1
    assert Sampling(temperature=0, top_k=1).choose(-SCORES, 0.0) == 0


def test_probabilities_at_a_temperature():
    np.testing.assert_allclose(Sampling().compute_probabilities(SCORES), [0.1, 0.4, 0.2, 0.3], rtol=1e-6)
    squared = np.array([0.1, 0.4, 0.2, 0.3]) ** 2
    np.testing.assert_allclose(Sampling(0.5).compute_probabilities(SCORES), squared / squared.sum(), rtol=1e-6)
    assert Sampling(1e-3).compute_probabilities(np.array([1e4, -1e4], np.float32)).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"top_k": 1}, [1]),
        ({"top_k": 2}, [1, 3]),
        ({"top_k": 9}, [0, 1, 2, 3]),
        ({"top_p": 0.1}, [1]),
        ({"top_p": 0.41}, [1, 3]),
        ({"top_p": 0.7}, [1, 3]),
        ({"top_p": 0.71}, [1, 2, 3]),
        ({"top_p": 1.0}, [0, 1, 2, 3]),
        ({"top_k": 2, "top_p": 0.5}, [1]),
        ({"top_k": 2, "top_p": 0.6}, [1, 3]),
    ],
)
def test_which_tokens_are_left(options, left):
    p = Sampling(**options).compute_probabilities(SCORES)
    assert np.flatnonzero(p).tolist() == left
    np.testing.assert_allclose(p.sum(), 1)
    np.testing.assert_allclose(p[left] / p[left[0]], np.exp(SCORES[left] - SCORES[left[0]]), rtol=1e-6)


def test_tokens_are_drawn_as_often_as_they_are_probable():
    random, sampling = RandomNumbers(3), Sampling()
    counts = np.bincount([sampling.choose(SCORES, random.draw()) for _ in range(4000)], minlength=4)
    np.testing.assert_allclose(counts / 4000, [0.1, 0.4, 0.2, 0.3], atol=0.025)
    assert sampling.choose(SCORES, 1 - 2**-53) == 3
    assert Sampling(top_k=2).choose(SCORES, 1 - 2**-53) == 3


def test_random_numbers_depend_on_the_seed():
    numbers = [RandomNumbers(seed).draw() for seed in (0, 0, 1)]
    assert numbers[0] == numbers[1] != numbers[2]
    assert all(0 <= number < 1 for number in numbers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature is -1, expected at least 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0, expected a whole number of at least 1"),
        ({"top_k": 2.5}, "top_k is 2.5, expected a whole number"),
        ({"top_p": 0.0}, "top_p is 0.0, expected more than 0"),
        ({"top_p": 1.1}, "top_p is 1.1, expected more than 0, at most 1"),
    ],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**options)


def test_a_temperature_near_0_takes_the_largest_score():
    assert Sampling(temperature=1e-310).compute_probabilities(np.array([1.0, 3.0, 2.0])).tolist() == [0, 1, 0]


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, True])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match=f"seed is {seed}, expected a whole number"):
        RandomNumbers(seed)
