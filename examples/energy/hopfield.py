"""A Hopfield network recalls noisy letters, falls for spurious ones, and forgets when it is overloaded.

The letters are those of the config hopfield_characters. The book's rule of thumb is that a network keeps as many
patterns as 14 % of its neurons by Hebb's rule; hopfield_capacity.py measures it, here three rules are compared.
"""

import numpy as np
from bprop.datasets import Characters
from bprop.modules import Hopfield, ModernHopfield
from bprop.modules.layers.energy.hopfield_memory import find_stable_states, measure_capacity

random = np.random.default_rng(0)


def draw(rows: np.ndarray) -> str:
    """Draw letters side by side."""
    images = rows.reshape(-1, 6, 6)
    lines = [["".join(" #"[int(pixel > 0)] for pixel in image[line]) for image in images] for line in range(6)]
    return "\n".join(map("   ".join, lines))


def flip(x: np.ndarray, share: float) -> np.ndarray:
    """Flip each pixel with a probability."""
    return np.where(random.random(x.shape) < share, -x, x)


data = Characters(letters="HIJLX")
letters = data.train.x
net = Hopfield(36)
net.store(letters)
print(f"{net.units} neurons, {net.connections} connections, {len(letters)} letters")

noisy = flip(letters, 0.1)
found = net.recall(noisy, seed=0)
print(f"\nA tenth of the pixels flipped, mean energy {found.energies[0].mean():.2f}:\n\n{draw(noisy)}")
print(f"\nRecalled, mean energy {found.energies[-1].mean():.2f}:\n\n{draw(found.states)}")

many = letters.repeat(20, axis=0)
print("\nflipped  recalled of 100 noisy letters")
for share in (0.05, 0.1, 0.15, 0.2, 0.3):
    ends = net.recall(flip(many, share), seed=0).states
    print(f"{share:7.0%}  {(ends == many).all(axis=1).mean():.0%}")

found = find_stable_states(net, letters, 1000, names=data.class_names)
print(f"\n1,000 random states end in letters ({found.share('pattern'):.0%}), in negatives of letters", end=" ")
print(f"({found.share('negative'):.0%}),\nand in {len(found.spurious)} states that were never stored", end=" ")
print(f"({found.share('mixture', 'other'):.0%}), of which the most frequent are mixtures:\n")
mixtures = [k for k, kind in enumerate(found.kinds) if kind == "mixture"][:4]
print("   ".join(found.names[k] for k in mixtures) + "\n" + draw(found.states[mixtures]))

loads = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
print("\nload                   " + "  ".join(f"{load:.2f}" for load in loads))
for rule in ("hebb", "storkey", "pseudo_inverse"):
    for noise in (0.0, 0.1):
        shares = measure_capacity(100, loads, 4, rule=rule, noise=noise).shares.mean(axis=1)
        print(f"{rule:14}  {noise:3.0%}    " + "  ".join(f"{share:.2f}" for share in shares))
print("share of patterns that 100 neurons recall, starting with so many neurons flipped")

patterns = random.choice([-1.0, 1.0], (400, 36))
modern = ModernHopfield(36, 400, beta=1.0)
modern.store(patterns)
share = (np.sign(modern.retrieve(flip(patterns, 0.1), 3)) == patterns).all(axis=1).mean()
print(f"\nA modern network of 36 features keeps {share:.0%} of 400 patterns, a tenth of whose pixels are flipped")
