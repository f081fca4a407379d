"""The base of augmentations: like modules, their methods are compiled into the loop over minibatches.

What they draw is a function of seed, epoch and place in the epoch alone, so it depends neither on threads nor on how
often a training was stopped, and each epoch shows other variants of the same images.
"""

import numpy as np

from ...modules.engine.stateful import Stateful
from ...modules.kernels.buffers import reuse, reuse_like
from ...modules.kernels.philox import uniform

EPOCH = 2**32  # more images than any epoch has


class Augment(Stateful):
    """A random change of the images that a model is trained on; in evaluation there is none.

    A custom class says how many random numbers an image takes, and what becomes of it:

        class Negative(Augment):
            def numbers(self, shape):
                return 1

            def transform(self, x, y, u):
                for i in range(x.size):
                    y.flat[i] = 1 - x.flat[i] if u[0] < 0.5 else x.flat[i]

    Both are compiled. x and y are images (C, H, W), u random numbers (numbers,) from [0, 1).

    Errors: ValueError from `check` for samples that are no images.
    """

    def __init__(self):
        super().__init__()
        self.key, self.epoch = 0, 0
        self.u, self.y = np.empty(0), np.empty((0, 0, 0, 0))

    def numbers(self, shape):
        """The number of random numbers for an image of this shape (C, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} has no numbers: write `def numbers(self, shape)`")

    def transform(self, x, y, u):
        """Transform an image x; writes the result to y."""
        raise NotImplementedError(f"{type(self).__name__} has no transform: write `def transform(self, x, y, u)`")

    def apply(self, x, place):
        """Transform images x (N, C, H, W); `place` is the position of the first one in the epoch's order."""
        self.u = reuse(self.u, (self.numbers(x.shape[1:]),), x.dtype)
        self.y = reuse_like(self.y, x)
        for n in range(x.shape[0]):
            uniform(self.key, self.epoch * EPOCH + place + n, self.u)
            self.transform(x[n], self.y[n], self.u)
        return self.y

    def check(self, input_shape: tuple[int, ...]) -> None:
        """Raise ValueError unless samples of this shape are images."""
        if len(input_shape) != 3:
            raise ValueError(f"{self.label()}: a sample has shape {input_shape}, expected an image (C, H, W)")
