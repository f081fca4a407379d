"""A Boltzmann machine completes images of which half is missing, and takes noise off others (Géron, appendix E).

Its 64 visible and 64 hidden neurons are all connected with each other. It learns the 8 x 8 digits, in black and white,
from states that it draws. Then it draws the lower half of digits that it has not seen while the upper one is held, and
whole digits given others of which a tenth of the pixels is flipped; the mean of eight draws decides on each pixel.
"""

import numpy as np
from bprop.datasets import Digits
from bprop.modules import BoltzmannMachine, ContrastiveDivergence, manual_seed
from bprop.trainers import SGD, compile_step

EPOCHS, DRAWS, SWEEPS, NOISE = 240, 8, 20, 0.1
digits = Digits()
train, test = ((part.x.reshape(-1, 64) > 8).astype(np.float32) for part in (digits.train, digits.test))
random = np.random.default_rng(0)

manual_seed(0)
machine = BoltzmannMachine(64, 64, chains=100)
mean = train.mean(axis=0).clip(0.02, 0.98)
machine.bias[:64] = np.log(mean / (1 - mean))
for lr in (0.05, 0.02, 0.005):
    step = compile_step(machine, ContrastiveDivergence(), SGD(lr=lr))
    for _ in range(EPOCHS // 3):
        order = random.permutation(len(train))
        for first in range(0, len(train) - 99, 100):
            step(train[order[first : first + 100]], np.zeros(100))


def infer(x: np.ndarray, **how) -> np.ndarray:
    """Whether each visible neuron is on in most of some draws."""
    drawn = machine.draw(x.repeat(DRAWS, axis=0), SWEEPS, seed=0, **how)[:, :64]
    return drawn.reshape(len(x), DRAWS, 64).mean(axis=1) > 0.5


def draw(*rows: np.ndarray) -> str:
    """Draw images of 8 x 8 side by side, in rows."""
    lines = []
    for images in rows:
        for line in range(8):
            lines.append("   ".join("".join(" #"[int(pixel)] for pixel in image[8 * line :][:8]) for image in images))
        lines.append("")
    return "\n".join(lines)


half = test.copy()
half[:, 32:] = 0
completed = infer(half, held=range(32))
right, by_mean = (np.mean((guess == test)[:, 32:]) for guess in (completed, mean > 0.5))
print(f"{right:.1%} of the pixels of lower halves are right, {by_mean:.1%} by the mean image\n")
print(draw(half[:6], completed[:6], test[:6]))

noisy = np.where(random.random(test.shape) < NOISE, 1 - test, test)
cleaned = infer(noisy, noise=NOISE)
flipped, wrong = (np.mean(images != test) for images in (noisy, cleaned))
print(f"{flipped:.1%} of the pixels are flipped, {wrong:.1%} are wrong after denoising\n")
print(draw(noisy[:6], cleaned[:6], test[:6]))
