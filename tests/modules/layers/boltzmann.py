"""What the tests of restricted and of other Boltzmann machines share: states, data, a training."""

import numpy as np
from bprop.modules import ContrastiveDivergence
from bprop.trainers import SGD, compile_step

TRIPLETS = np.array([[0, 1, 1], [0, 0, 1], [1, 1, 1]])  # of Géron, appendix E: 75, 10 and 15 %


def all_states(units):
    return (np.arange(1 << units)[:, None] >> np.arange(units) & 1).astype(float)


def train(net, x, rates, steps, optimizer=SGD):
    """Train by contrastive divergence at one learning rate after the other."""
    for lr in rates:
        step = compile_step(net, ContrastiveDivergence(), optimizer(lr=lr))
        for _ in range(steps):
            step(x.astype(np.float32), np.zeros(len(x)))
