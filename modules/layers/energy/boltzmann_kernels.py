"""What a Boltzmann machine does with states: draw units, weigh states by their energies, connect some pairs alone."""

from collections.abc import Sequence

import numpy as np

from ...kernels.elementary_functions import sigmoid
from ...kernels.sums import as_double, dot


def write_probabilities(energies):
    """Replace energies by the probabilities of their states; returns -log Σ exp(-energy)."""
    least = energies[0]
    for n in range(energies.size):
        least = min(least, energies[n])
    total = np.float64(0)
    for n in range(energies.size):
        energies[n] = np.exp(least - energies[n])
        total += as_double(energies[n])
    for n in range(energies.size):
        energies[n] /= total
    return least - np.log(total)


def sweep(s, first, weight, bias, noise):
    """Draw the units from `first` on of each state (N, D), one after the other; noise has a number for each.

    weight (D, D) is symmetric and 0 where units are not connected, as on its diagonal.
    """
    units = s.shape[1]
    for n in range(s.shape[0]):
        for i in range(first, units):
            p = sigmoid(dot(weight[i], s[n]) + bias[i])
            s[n, i] = 1 if noise[n * (units - first) + i - first] < p else 0 * p


def connect(groups: Sequence[int], visible: int, hidden: int) -> np.ndarray:
    """The mask (V + H, V + H) of connections: 1 but for visible units of different groups, and 0 on the diagonal."""
    if (
        any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in groups)
        or sum(groups) != visible
    ):
        expected = f"sizes of at least 1 that add up to {visible}"
        raise ValueError(f"BoltzmannMachine: groups is {list(groups)}, expected {expected}")
    group = np.repeat(np.arange(len(groups)), groups)
    mask = np.ones((visible + hidden, visible + hidden))
    mask[:visible, :visible] = group[:, None] == group
    np.fill_diagonal(mask, 0)
    return mask


def write_coupling(weight, mask, out):
    """out = ½ (W + Wᵀ) where mask is 1, else 0; all (D, D)."""
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            out[i, j] = mask[i, j] * (weight[i, j] + weight[j, i]) / 2


def add_half(a, mask, out):
    """out += ½ a where mask is 1; all (D, D)."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] += mask[i, j] * a[i, j] / 2
