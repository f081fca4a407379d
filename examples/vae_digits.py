"""A variational autoencoder of the digits: it learns a code of 8 numbers for an image, and generates new images.

The bound is the loss of `configs/digits_vae.yaml`; beside it stands the loss of independent pixels.
"""

import numpy as np
from bprop.datasets import Digits, Reconstruction
from bprop.modules import (
    Concat,
    Flatten,
    GaussianSample,
    Identity,
    Linear,
    Sequential,
    Tanh,
    VariationalBound,
    manual_seed,
)
from bprop.trainers import Adam, CosineSchedule, Trainer

CODE, VARIANCE = 8, 0.05


def format_image(image):
    """An 8 by 8 image as lines of letters, darker for larger numbers."""
    grey = np.clip(10 * image.reshape(8, 8), 0, 9).astype(int)
    return ["".join(" .:-=+*#%@"[p] * 2 for p in row) for row in grey]


manual_seed(0)
decoder = Sequential(GaussianSample(), Linear(CODE, 128), Tanh(), Linear(128, 64))
model = Sequential(Flatten(), Linear(64, 128), Tanh(), Linear(128, 2 * CODE), Concat(decoder, Identity()))
data = Reconstruction(Digits())
schedules = {"optimizer.lr": CosineSchedule(per="step")}
loss = VariationalBound(CODE, "gaussian", variance=VARIANCE)
trainer = Trainer(model, loss, Adam(lr=0.002), schedules=schedules, quiet=True)
trainer.fit(data, epochs=100, batch_size=64)

errors = (data.test.y - data.train.y.mean(axis=0)) ** 2 / VARIANCE + np.log(2 * np.pi * VARIANCE)
apart = errors.sum(axis=(1, 2, 3)).mean() / 2
print(f"independent pixels      {apart:.2f} nats")
print(f"variational autoencoder {trainer.evaluate(data)['loss']:.2f} nats")

codes = np.random.default_rng(0).standard_normal((6, CODE))
drawn = Sequential(*(layer.copy() for layer in decoder[1:])).fprop(codes)
for lines in zip(*map(format_image, drawn), strict=True):
    print("  ".join(lines))
