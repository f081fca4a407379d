"""A curve read backwards: one input has up to three targets. The mean of the targets is no good answer, which
is why Bishop fits this set by a mixture density network."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .array_dataset import ArrayDataset
from .checks import check_whole_number
from .dataset import Dataset


class InverseProblem(Dataset):
    """Samples of x = t + 0.3 sin(2πt) + noise, to predict t from x.

    t is uniform on (0, 1) and the noise uniform on (-0.1, 0.1). Sample i of a part draws words 2i and 2i + 1 of a
    Philox stream of its own, so a larger part begins with the samples of a smaller one.

    Shapes: x (N, 1) float32, y (N, 1) float32 (the t above).
    Args: train_size, valid_size, test_size: numbers of samples, 0 for no such part (but not for training); noise:
        half the width of the noise; seed: of the samples.
    Errors: ValueError for sizes that are no such numbers, and for a negative noise.
    Source: Bishop and Bishop, Deep Learning, section 6.5 and figure 6.19.
    """

    input_shape = (1,)
    target_shape = (1,)
    classes = None

    def __init__(
        self,
        *,
        train_size: int = 1000,
        valid_size: int = 200,
        test_size: int = 1000,
        noise: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.train_size = check_whole_number("InverseProblem", "train_size", train_size, least=1)
        self.valid_size = check_whole_number("InverseProblem", "valid_size", valid_size)
        self.test_size = check_whole_number("InverseProblem", "test_size", test_size)
        if not 0 <= noise < np.inf:
            raise ValueError(f"InverseProblem: noise is {noise}, expected a number of at least 0")
        self.noise = float(noise)
        self.seed = check_whole_number("InverseProblem", "seed", seed)

    @cached_property
    def train(self) -> ArrayDataset:
        return self._samples(self.train_size, part=0)

    @cached_property
    def valid(self) -> ArrayDataset | None:
        return self._samples(self.valid_size, part=1) if self.valid_size else None

    @cached_property
    def test(self) -> ArrayDataset | None:
        return self._samples(self.test_size, part=2) if self.test_size else None

    def _samples(self, n: int, part: int) -> ArrayDataset:
        words = np.random.Philox(key=np.array([self.seed, part], dtype=np.uint64)).random_raw(2 * n)
        t, uniform = ((words >> np.uint64(11)) / 2.0**53).reshape(n, 2, 1).transpose(1, 0, 2)
        x = t + 0.3 * np.sin(2 * np.pi * t) + self.noise * (2 * uniform - 1)
        return ArrayDataset(x.astype(np.float32), t.astype(np.float32))
