"""The 4-2-4 encoder of Ackley, Hinton and Sejnowski (1985): two groups of four neurons agree by way of two hidden ones.

No neuron of one group is connected with one of the other, so the hidden ones have to find a code of two bits for the
four patterns. The machine first learns as in 1985: from states that it draws, by steps of one size for all weights, and
from patterns with noise, which keeps the weights small. The exact gradient then finishes it; alone, it finds but three
codes from every second start. Run with a seed, by default 0.
"""

import sys

import numpy as np
from bprop.modules import BoltzmannMachine, ContrastiveDivergence, manual_seed
from bprop.trainers import SGD, Lion, compile_step

seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
patterns = np.concatenate([np.eye(4), np.eye(4)], axis=1).astype(np.float32)
random = np.random.default_rng(seed)

manual_seed(seed)
drawing = BoltzmannMachine(8, 2, sweeps=4, chains=40, groups=(4, 4))
step = compile_step(drawing, ContrastiveDivergence(), Lion(lr=0.1, betas=(0.0, 0.0), weight_decay=0.05))
for _ in range(1000):
    chance, x = random.random((40, 8)), np.tile(patterns, (10, 1))
    step(np.where(x > 0, chance > 0.15, chance < 0.05).astype(np.float32), np.zeros(40))

machine = BoltzmannMachine(8, 2, chains=40, exact=True, groups=(4, 4))
machine.load_state_dict(drawing.state_dict())
step = compile_step(machine, ContrastiveDivergence(), SGD(lr=0.2, momentum=0.9))
for _ in range(1500):
    loss = step(patterns, np.zeros(4))
print(f"negative log-likelihood {loss:.3f}, at least {np.log(4):.3f}")

print("\nneuron    hidden weights    code")
for k in range(4):
    first, second = machine.weight[8:, k]
    print(f"{k + 1:6}    {first:6.1f}  {second:6.1f}      {int(first > 0)}{int(second > 0)}")

held = np.concatenate([np.eye(4).repeat(500, 0), np.zeros((2000, 4))], axis=1)
drawn = machine.draw(held, 60, held=range(4), seed=0)[:, 4:8]
right = (drawn == held[:, :4]).all(axis=1).mean()
print(f"\n{right:.1%} of the second groups that are drawn are like the first, which is held")
