"""What is timed: names, sizes, and the data, the same for every side."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A net of linear layers with `activation` between them, trained with momentum SGD on softmax cross-entropy.

    `kind` is "step" (one minibatch), "epoch" (all samples, shuffled and gathered) or "predict" (one sample).
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    activation: str = "relu"
    kind: str = "step"
    samples: int = 0

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs float32 and labels int64: one minibatch, or a whole training set."""
        random = np.random.default_rng(0)
        n = self.samples or self.batch
        x = random.random((n, self.sizes[0]), np.float32)
        return x, random.integers(0, self.sizes[-1], n)

    def products(self) -> list[tuple[int, int, int, bool]]:
        """(batch, in, out, whether grad_x is wanted) of each layer."""
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        return [(self.batch, i, o, k > 0) for k, (i, o) in enumerate(pairs)]


WORKLOADS = [
    Workload("784-32-32-10, batch 16", (784, 32, 32, 10), 16),
    Workload("784-128-128-10, batch 32", (784, 128, 128, 10), 32),
    Workload("784-256-256-10, batch 128", (784, 256, 256, 10), 128),
    Workload("784-1200-1200-10, batch 128", (784, 1200, 1200, 10), 128),
    Workload("20 x 64, batch 32", (64, *(64,) * 20, 10), 32),
    Workload("20 x 64, batch 1", (64, *(64,) * 20, 10), 1),
    Workload("784-128-10, batch 1", (784, 128, 10), 1),
    Workload("20000-64-10, batch 64", (20000, 64, 10), 64),
    Workload("784-128-128-10, predict one", (784, 128, 128, 10), 1, kind="predict"),
    Workload("MNIST epoch 784-72-10, batch 32", (784, 72, 10), 32, "tanh", "epoch", 60000),
    Workload("MNIST epoch 784-256-10, batch 128", (784, 256, 10), 128, "relu", "epoch", 60000),
]
