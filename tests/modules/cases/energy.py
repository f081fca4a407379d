"""Layers defined by an energy."""

import numpy as np
from bprop.modules import (
    RBM,
    BoltzmannMachine,
    ClassRBM,
    Hopfield,
    ModernHopfield,
    Normal,
    SelfOrganizingMap,
    SigmoidBelief,
)
from bprop.modules.layers.energy.rbm_likelihood import free_energy

from .case import Case


def hopfield(module, x):
    weight = module.weight - np.diag(np.diag(module.weight))
    return -0.5 * np.einsum("ni,ij,nj->n", x, weight, x)[:, None] - (x @ module.bias)[:, None]


def modern_hopfield(module, x):
    scores = module.beta * (x @ module.weight.T)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ module.weight


def all_states(units):
    return (np.arange(1 << units)[:, None] >> np.arange(units) & 1).astype(float)


def boltzmann(module, x):
    """The free energy of x and minus the logarithm of the partition function, by all states."""

    def energy(s):
        weight = module.weight * module.mask
        return -0.5 * np.einsum("...i,ij,...j->...", s, weight, s) - s @ module.bias

    hidden = all_states(module.hidden)
    rows = np.concatenate([np.repeat(x[:, None], len(hidden), 1), np.broadcast_to(hidden, (len(x), *hidden.shape))], 2)
    free = -np.logaddexp.reduce(-energy(rows), axis=1)
    return np.stack([free, np.full(len(x), -np.logaddexp.reduce(-energy(all_states(module.units))))], axis=1)


def attention(nn):
    """The same by PyTorch's attention, whose keys and values are the patterns."""
    import torch

    class There(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3))

        def forward(self, x):
            return nn.functional.scaled_dot_product_attention(x, self.weight, self.weight, scale=0.8)

    return There()


def rbm(module, x):
    """Both free energies; the sample is the module's own, of its last fprop."""
    return np.stack([free_energy(module, x), free_energy(module, module.sample)], axis=1)


def moved_rbm(**settings):
    """An RBM with biases, and weights that are not small."""
    net = RBM(3, 4, weight_init=Normal(), **settings)
    random = np.random.default_rng(3)
    net.hidden_bias[:], net.visible_bias[:] = random.standard_normal(4), random.standard_normal(3)
    return net


def self_organizing_map(module, x):
    q = ((x[:, None] - module.weight) ** 2).sum(axis=2)
    places = np.stack(np.divmod(np.arange(module.weight.shape[0]), module.columns), axis=1)
    d = ((places[q.argmin(axis=1)][:, None] - places) ** 2).sum(axis=2)
    nearness = np.exp(-d / 2 / module.radius**2) if module.radius else d == 0
    return 0.5 * (nearness * q).sum(axis=1, keepdims=True)


def sigmoid_belief(module, x):
    return 1 / (1 + np.exp(-(x @ module.weight.T + module.bias)))


def class_rbm(module, x):
    """-F(x, k) - v x, by a sum over all states of the hidden units."""
    states = (np.arange(1 << module.hidden)[:, None] >> np.arange(module.hidden) & 1).astype(float)
    pulls = x @ module.weight.T + module.hidden_bias  # (N, H)
    scores = (pulls @ states.T)[:, None, :] + (states @ module.label_weight).T + module.label_bias[:, None]
    return np.logaddexp.reduce(scores, axis=2)


def as_bits(x):
    return (x > 0).astype(float)


MODULES = [
    Case(
        "Hopfield",
        lambda: Hopfield(3, weight_init=Normal(), bias_init=Normal()),
        (4, 3),
        (4, 2),
        "Hopfield(3): x has shape (4, 2), expected (N, 3)",
        reference=hopfield,
    ),
    Case(
        "ModernHopfield",
        lambda: ModernHopfield(3, 4, beta=0.8),
        (5, 3),
        (5, 2),
        "ModernHopfield(3, 4 patterns, beta=0.8): x has shape (5, 2), expected (N, 3)",
        reference=modern_hopfield,
        torch=attention,
    ),
    Case(
        "RBM",
        moved_rbm,
        (5, 3),
        (5, 2),
        "RBM(3 -> 4): x has shape (5, 2), expected (N, 3)",
        reference=rbm,
        domain=as_bits,
        samples_apart=False,
    ),
    Case(
        "RBM, persistent",
        lambda: moved_rbm(steps=2, chains=3),
        (5, 3),
        (5, 2),
        "RBM(3 -> 4, steps=2, chains=3): x has shape (5, 2), expected (N, 3)",
        reference=rbm,
        domain=as_bits,
        samples_apart=False,
    ),
    Case(
        "BoltzmannMachine",
        lambda: BoltzmannMachine(3, 2, exact=True, weight_init=Normal()),
        (5, 3),
        (5, 2),
        "BoltzmannMachine(3 and 2 units, exact): x has shape (5, 2), expected (N, 3)",
        reference=boltzmann,
    ),
    Case(
        "SelfOrganizingMap",
        lambda: SelfOrganizingMap(3, 2, 4, radius=0.8, weight_init=Normal()),
        (5, 3),
        (5, 2),
        "SelfOrganizingMap(3 -> 2 x 4, radius=0.8): x has shape (5, 2), expected (N, 3)",
        reference=self_organizing_map,
    ),
    Case(
        "SelfOrganizingMap of winners alone",
        lambda: SelfOrganizingMap(3, 3, 2, radius=0, weight_init=Normal()),
        (5, 3),
        reference=self_organizing_map,
    ),
    Case(
        "SigmoidBelief",
        lambda: SigmoidBelief(3, 4, weight_init=Normal()),
        (5, 3),
        (5, 2),
        "SigmoidBelief(3 -> 4): x has shape (5, 2), expected (N, 3)",
        reference=sigmoid_belief,
    ),
    Case(
        "ClassRBM",
        lambda: ClassRBM(3, 2, 4, weight_init=Normal()),
        (5, 3),
        (5, 2),
        "ClassRBM(3 and 2 classes -> 4): x has shape (5, 2), expected (N, 3)",
        reference=class_rbm,
    ),
    Case(
        "BoltzmannMachine, in groups",
        lambda: BoltzmannMachine(3, 2, exact=True, groups=(2, 1), weight_init=Normal()),
        (5, 3),
        (5, 2),
        "BoltzmannMachine(3 and 2 units, exact, groups=(2, 1)): x has shape (5, 2), expected (N, 3)",
        reference=boltzmann,
    ),
    Case("ModernHopfield of sequences", lambda: ModernHopfield(3, 4), (2, 5, 3), reference=modern_hopfield),
]
