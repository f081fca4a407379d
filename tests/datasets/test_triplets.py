"""Triplets of bits, and a machine that reproduces them."""

import numpy as np
import pytest
from bprop.datasets import Triplets
from bprop.trainers.configs import load_config
from bprop.trainers.runs.inference import load_weights
from bprop.trainers.runs.run_folder import train_config


def test_the_shares_are_exact():
    data = Triplets(samples=200)
    rows, counts = np.unique(data.train.x, axis=0, return_counts=True)
    assert {tuple(map(int, row)): int(n) for row, n in zip(rows, counts, strict=True)} == {
        (0, 1, 1): 150,
        (0, 0, 1): 20,
        (1, 1, 1): 30,
    }
    assert (np.bincount(data.train.y) == [150, 20, 30]).all()
    assert data.test is data.train


@pytest.mark.parametrize("samples", [0, 19, 30, True])
def test_shares_that_are_not_exact(samples):
    with pytest.raises(ValueError, match=f"Triplets: samples is {samples}, expected a multiple of 20"):
        Triplets(samples=samples)


@pytest.mark.jit
def test_a_boltzmann_machine_draws_them_in_their_shares(tmp_path):
    """Within 1 %, as in Géron's appendix E; the machine of the packaged config."""
    train_config(load_config("boltzmann_triplets"), tmp_path / "run", quiet=True)
    config = load_config(tmp_path / "run" / "config.yaml")
    net = config.build().model
    load_weights(net, tmp_path / "run")
    start = np.random.default_rng(0).integers(0, 2, (40_000, 3))
    states = net[0].draw(start, sweeps=60, seed=1)[:, :3]
    shares = {tuple(map(int, row)): np.mean((states == row).all(1)) for row in np.unique(states, axis=0)}
    for row, share in {(0, 1, 1): 0.75, (0, 0, 1): 0.1, (1, 1, 1): 0.15}.items():
        assert shares[row] == pytest.approx(share, abs=0.01)
