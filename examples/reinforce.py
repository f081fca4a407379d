"""REINFORCE with five baselines: units that are 0 or 1 at random learn from what their draws cost.

Goodfellow et al., Deep Learning, draft of chapter 6, section 6.4.5. First the estimates of one gradient, beside the
sum over all states of six units; then digits by 32 units, as in the configs digits_reinforce, digits_reinforce_optimal.

python examples/reinforce.py [epochs] [draws]
"""

import itertools
import sys

import numpy as np
from bprop.datasets import Digits
from bprop.modules import (
    BernoulliUnits,
    Concat,
    Flatten,
    Linear,
    MeanSquaredError,
    Reinforce,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
)
from bprop.trainers import Adam, CosineSchedule, Trainer

BASELINES = ("none", "constant", "running", "input", "optimal")
UNITS, HIDDEN = 6, 32
EPOCHS, DRAWS = map(int, (sys.argv[1:] + ["100", "20000"][len(sys.argv) - 1 :])[:2])

scores = np.random.default_rng(1).standard_normal(UNITS)
states = np.array(list(itertools.product((0.0, 1.0), repeat=UNITS)))
sigma = 1 / (1 + np.exp(-scores))
p = np.prod(np.where(states == 1, sigma, 1 - sigma), axis=1)  # of each state
slopes = states - sigma  # of log p, by the scores


def make_units():
    """Six units, a layer and a tanh after them."""
    manual_seed(0)
    return BernoulliUnits(Linear(UNITS, 2), Tanh(), per_unit=True).to("float64")


costs = ((make_units().rest.fprop(states) - [1.3, -1.6]) ** 2).mean(axis=1)
exact = (p * costs) @ slopes  # the gradient of the mean cost
extra = {"input": [p @ costs], "optimal": [*(p * costs) @ slopes**2, *p @ slopes**2]}  # as if they had learned

print(f"one gradient of {UNITS} units, by {DRAWS} draws\nbaseline  off by, in standard errors  variance of a draw")
for baseline in BASELINES:
    constant = 1.5 if baseline == "constant" else 0.0
    loss = Reinforce(MeanSquaredError(), baseline, normalize=False, constant=constant, units=UNITS).to("float64")
    units, columns = make_units(), np.tile(extra.get(baseline, []), (DRAWS, 1))
    loss.momentum = 1e-12 if baseline == "input" else 1.0  # of input, the column alone is the baseline
    for _ in range(2):  # what runs is that of the step before
        y = units.fprop(np.tile(scores, (DRAWS, 1)))
        loss.fprop(np.concatenate([y, columns], axis=1), np.tile([1.3, -1.6], (DRAWS, 1)))
        draws = DRAWS * units.bprop(np.ascontiguousarray(loss.bprop()[:, : y.shape[1]]))
    off = abs(draws.mean(axis=0) - exact) / (draws.std(axis=0) / np.sqrt(DRAWS))
    print(f"{baseline:8}  {off.max():.1f}  {draws.var(axis=0).sum():.4f}")

data = Digits()
print(f"\ndigits by {HIDDEN} random units, {EPOCHS} epochs\nbaseline  test loss  right")
for baseline in BASELINES:
    manual_seed(0)
    optimal = baseline == "optimal"
    branch = [Linear(64, HIDDEN), BernoulliUnits(Linear(HIDDEN, 10), per_unit=optimal)]
    learned = {"input": [Linear(64, 1)], "optimal": [Linear(64, 2 * HIDDEN)]}.get(baseline, [])
    model = Sequential(Flatten(), Concat(Sequential(*branch), *learned))
    constant = 2.0 if baseline == "constant" else 0.0
    loss = Reinforce(SoftmaxCrossEntropy(), baseline, constant=constant, units=HIDDEN if optimal else 1)
    schedules = {"optimizer.lr": CosineSchedule(per="step")}
    trainer = Trainer(model, loss, Adam(lr=0.01), schedules=schedules, quiet=True)
    trainer.fit(data, epochs=EPOCHS, batch_size=32, metrics=["accuracy"])
    figures = trainer.evaluate(data, metrics=["accuracy"])
    print(f"{baseline:8}  {figures['loss']:.3f}  {100 * figures['accuracy']:.1f} %")
