"""A Hopfield network recalls noisy letters, falls for spurious ones, and forgets when it is overloaded.

The letters are those of the config hopfield_characters. Up to about 0.138 patterns a neuron, most of a stored pattern
is recalled (Amit, Gutfreund and Sompolinsky 1985); the book's rule of thumb is 14 %.
"""

import numpy as np
from bprop.datasets import Characters
from bprop.modules import Hopfield, ModernHopfield

random = np.random.default_rng(0)


def draw(rows: np.ndarray) -> str:
    """Draw letters side by side."""
    images = rows.reshape(-1, 6, 6)
    lines = [["".join(" #"[int(pixel > 0)] for pixel in image[line]) for image in images] for line in range(6)]
    return "\n".join(map("   ".join, lines))


def flip(x: np.ndarray, share: float) -> np.ndarray:
    """Flip each pixel with a probability."""
    return np.where(random.random(x.shape) < share, -x, x)


letters = Characters(letters="HIJLX").train.x
net = Hopfield(36)
net.store(letters)
print(f"{net.units} neurons, {net.units * (net.units - 1) // 2} connections, {len(letters)} letters")

noisy = flip(letters, 0.1)
found = net.recall(noisy, seed=0)
print(f"\nA tenth of the pixels flipped, mean energy {found.energies[0].mean():.2f}:\n\n{draw(noisy)}")
print(f"\nRecalled, mean energy {found.energies[-1].mean():.2f}:\n\n{draw(found.states)}")

ends = net.recall(random.choice([-1.0, 1.0], (1000, 36)), seed=1).states
overlaps = ends @ letters.T / 36
stored, negative = (overlaps == 1).any(axis=1).mean(), (overlaps == -1).any(axis=1).mean()
spurious = np.unique(ends[(abs(overlaps) < 1).all(axis=1)], axis=0)
print(f"\n1,000 random states end in letters ({stored:.0%}), in negatives of letters ({negative:.0%}),")
print(f"and in {len(spurious)} states that were never stored ({1 - stored - negative:.0%})")

print("\nload  recalled of 400 neurons (share of patterns whose overlap is above 0.9)")
for load in (0.05, 0.1, 0.12, 0.13, 0.14, 0.15, 0.16, 0.2):
    kept = []
    for trial in range(4):
        patterns = random.choice([-1.0, 1.0], (round(400 * load), 400))
        large = Hopfield(400)
        large.store(patterns)
        overlap = (large.recall(patterns, seed=trial).states * patterns).mean(axis=1)
        kept.append((overlap > 0.9).mean())
    print(f"{load:.2f}  {np.mean(kept):.2f}")

patterns = random.choice([-1.0, 1.0], (400, 36))
modern = ModernHopfield(36, 400, beta=1.0)
modern.store(patterns)
share = (np.sign(modern.retrieve(flip(patterns, 0.1), 3)) == patterns).all(axis=1).mean()
print(f"\nA modern network of 36 features keeps {share:.0%} of 400 patterns, a tenth of whose pixels are flipped")
