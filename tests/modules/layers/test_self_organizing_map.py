"""The self-organizing map: Kohonen's rule, maps that unfold, and what is refused."""

import numpy as np
import pytest
from bprop.modules import MeanOutput, Normal, SelfOrganizingMap, Sequential
from bprop.trainers import SGD, ExponentialSchedule, Trainer
from bprop.trainers.configs import parse_config


def test_a_step_is_kohonens_rule(random):
    net = SelfOrganizingMap(3, 2, 4, radius=1.5, weight_init=Normal()).to("float64")
    before, x = net.weight.copy(), random.standard_normal((1, 3))
    winner = ((x - before) ** 2).sum(axis=1).argmin()
    net.fprop(x)
    net.bprop(np.ones((1, 1)))
    SGD(lr=0.3).update(net)
    for j in range(8):
        d = np.hypot(j // 4 - winner // 4, j % 4 - winner % 4)
        nearness = np.exp(-(d**2) / 2 / 1.5**2)
        np.testing.assert_allclose(net.weight[j], before[j] + 0.3 * nearness * (x[0] - before[j]), rtol=1e-12)


def test_without_a_radius_the_winner_moves_alone(random):
    net = SelfOrganizingMap(2, 3, 3, radius=0, weight_init=Normal()).to("float64")
    x = random.standard_normal((50, 2))
    winners = ((x[:, None] - net.weight) ** 2).sum(axis=2).argmin(axis=1)
    net.fprop(x)
    net.bprop(np.ones((50, 1)))
    for j in range(9):  # a step of k-means: towards the mean of the samples that it won
        np.testing.assert_allclose(net.grad_weight[j], (net.weight[j] - x[winners == j]).sum(axis=0), atol=1e-12)


@pytest.mark.parametrize("radius", [1e-30, 1e-300])
def test_a_radius_may_be_tiny(random, radius):
    net, alone = SelfOrganizingMap(2, 2, 2, radius=radius), SelfOrganizingMap(2, 2, 2, radius=0)
    alone.load_state_dict(net.state_dict())
    x = random.standard_normal((5, 2))
    np.testing.assert_array_equal(net.fprop(x), alone.fprop(x))


@pytest.mark.jit
def test_a_square_is_mapped_with_its_neighbours(random):
    """With a neighbourhood that shrinks; without one, neighbours of the square are scattered over the grid."""
    x = random.uniform(0, 1, (2000, 2)).astype(np.float32)
    errors = []
    for radius in (3.0, 0.0):
        net = Sequential(SelfOrganizingMap(2, 6, 6, radius=radius))
        schedules = {"model.0.radius": ExponentialSchedule(0.85)} if radius else {}
        trainer = Trainer(net, MeanOutput(), SGD(lr=0.5), schedules=schedules, quiet=True)
        trainer.fit((x, np.zeros(2000, np.float32)), epochs=20, batch_size=8)
        errors.append(net[0].topographic_error(x))
        counts = np.zeros((6, 6))
        np.add.at(counts, tuple(net[0].locate(x).T), 1)
        if radius:
            assert counts.min() > 2000 / 36 / 3  # each neuron has its part of the square
    assert errors[0] < 0.1
    assert errors[1] > 0.5


def test_places_of_winners():
    net = SelfOrganizingMap(1, 2, 3)
    net.weight[:, 0] = [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(net.locate([[0.1], [4.2], [9.0]]), [[0, 0], [1, 1], [1, 2]])
    np.testing.assert_array_equal(net.locate([[0.1], [4.2], [9.0]], 1), [[0, 1], [1, 2], [1, 1]])
    assert net.topographic_error([[0.1], [4.2]]) == 0
    assert net.topographic_error([[2.4], [0.1]]) == 0.5  # 2 and 3 stand in other rows, and far apart


YAML = """
dataset: Iris
model:
  - SelfOrganizingMap: {in_features: 4, rows: 5, columns: 5, radius: 2}
loss: MeanOutput
optimizer:
  SGD: {lr: 0.5}
trainer: {epochs: 1}
"""


def test_it_comes_from_yaml():
    assert repr(parse_config(YAML).build().model[0]) == "SelfOrganizingMap(4 -> 5 x 5, radius=2)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SelfOrganizingMap(2, 0, 3), "SelfOrganizingMap: rows is 0, expected at least 1"),
        (lambda: SelfOrganizingMap(2, 3, 3, radius=-1), "radius is -1, expected a number of at least 0"),
        (lambda: SelfOrganizingMap(2, 3, 3, radius=float("nan")), "radius is nan, expected a number of at least 0"),
        (lambda: SelfOrganizingMap(2, 3, 3).locate(np.ones((2, 3))), r"x has shape \(2, 3\), expected \(N, 2\)"),
        (lambda: SelfOrganizingMap(2, 3, 3).locate(np.ones((2, 2)), 9), "rank is 9, expected 0 to 8"),
    ],
)
def test_what_it_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()
