"""Tasks that ask how long a model remembers: add two numbers of a long sequence, and copy its beginning at its end.

Both are drawn by a seed, as many samples as are asked for, and need no file.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np

from ..array_dataset import ArrayDataset
from ..checks import check_whole_number
from ..dataset import Dataset

AT_ONCE = 1 << 22  # random words that are drawn together


class MemoryTask(Dataset):
    """Base of drawn tasks: three parts, each of a random stream of its own.

    Sample i of a part takes words i k to (i + 1) k of a Philox stream, so a larger part begins with the samples of a
    smaller one.
    """

    def __init__(self, train_size: int, valid_size: int, test_size: int, seed: int) -> None:
        who = type(self).__name__
        self.train_size = check_whole_number(who, "train_size", train_size, least=1)
        self.valid_size = check_whole_number(who, "valid_size", valid_size)
        self.test_size = check_whole_number(who, "test_size", test_size)
        self.seed = check_whole_number(who, "seed", seed)

    @cached_property
    def train(self) -> ArrayDataset:
        return self._draw(self.train_size, 0)

    @cached_property
    def valid(self) -> ArrayDataset | None:
        return self._draw(self.valid_size, 1) if self.valid_size else None

    @cached_property
    def test(self) -> ArrayDataset | None:
        return self._draw(self.test_size, 2) if self.test_size else None

    @property
    @abstractmethod
    def words(self) -> int:
        """How many random words a sample takes."""

    @abstractmethod
    def make_samples(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Make x and y of samples from their random words (n, self.words), uint64."""

    def _draw(self, n: int, part: int) -> ArrayDataset:
        stream = np.random.Philox(key=np.array([self.seed, part], dtype=np.uint64))
        x: np.ndarray | None = None
        together = max(1, AT_ONCE // self.words)
        for first in range(0, n, together):
            count = min(together, n - first)
            some_x, some_y = self.make_samples(stream.random_raw(count * self.words).reshape(count, self.words))
            if x is None:
                x, y = np.empty((n, *some_x.shape[1:]), some_x.dtype), np.empty((n, *some_y.shape[1:]), some_y.dtype)
            x[first : first + count], y[first : first + count] = some_x, some_y
        assert x is not None
        return ArrayDataset(x, y, classes=self.classes)


class AddingProblem(MemoryTask):
    """Add the two numbers of a long sequence that are marked.

        x[t] = (u[t], m[t]),   y = Σₜ u[t] m[t]

    with u uniform on [0, 1) and m zero but for two places, drawn from all pairs, where it is one. Who always answers
    1, the mean, has a mean squared error of 1/6.

    Shapes: x (N, T, 2) float32, y (N, 1) float32.
    Args: steps: T, at least 2; train_size, valid_size, test_size: numbers of samples, 0 for no such part (but not for
        training); seed: of the samples.
    Errors: ValueError for sizes that are no such numbers.
    Source: Hochreiter and Schmidhuber, Long short-term memory (1997), section 5.4; as in Bai, Kolter and Koltun, An
        empirical evaluation of generic convolutional and recurrent networks for sequence modeling (2018), section 4.
    """

    target_shape = (1,)
    classes = None

    def __init__(
        self,
        steps: int = 600,
        *,
        train_size: int = 50_000,
        valid_size: int = 1000,
        test_size: int = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__(train_size, valid_size, test_size, seed)
        self.steps = check_whole_number("AddingProblem", "steps", steps, least=2)

    @property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.steps, 2)

    @property
    def words(self) -> int:
        return self.steps + 2

    def make_samples(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count, steps = len(words), np.uint64(self.steps)
        x = np.zeros((count, self.steps, 2), np.float32)
        x[:, :, 0] = (words[:, : self.steps] >> np.uint64(40)) / 2.0**24  # all of float32's numbers below 1
        first = words[:, -2] % steps
        second = (first + np.uint64(1) + words[:, -1] % (steps - np.uint64(1))) % steps  # another one
        rows = np.arange(count)
        x[rows, first.astype(np.int64), 1] = x[rows, second.astype(np.int64), 1] = 1
        return x, (x[:, :, 0] * x[:, :, 1]).sum(axis=1, keepdims=True)


class CopyMemory(MemoryTask):
    """Remember some symbols over many blank steps, then write them down.

        x = s₁ ... sₖ  0 (T - 1 times)  e (k + 1 times),   y = 0 (T + k times)  s₁ ... sₖ

    with k symbols from 1 to `symbols` and the marker e = symbols + 1, which says that it is time. Who answers 0 until
    then and guesses afterwards has a cross-entropy of k log(symbols) / (T + 2 k) nats a step, 0.0204 with the defaults.

    Shapes: x (N, T + 2 k) tokens, y (N, T + 2 k) labels.
    Args: memory: T, at least 1; length: k, at least 1; symbols: how many, 1 to 254; train_size, valid_size, test_size,
        seed: as of AddingProblem.
    Errors: ValueError for sizes that are no such numbers.
    Source: Hochreiter and Schmidhuber, Long short-term memory (1997); as in Arjovsky et al., Unitary evolution
        recurrent neural networks (2016), section 4.1, and Bai, Kolter and Koltun (2018), section 4.
    """

    def __init__(
        self,
        memory: int = 1000,
        *,
        length: int = 10,
        symbols: int = 8,
        train_size: int = 10_000,
        valid_size: int = 1000,
        test_size: int = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__(train_size, valid_size, test_size, seed)
        self.memory = check_whole_number("CopyMemory", "memory", memory, least=1)
        self.length = check_whole_number("CopyMemory", "length", length, least=1)
        self.symbols = check_whole_number("CopyMemory", "symbols", symbols, least=1, most=254)

    @property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.memory + 2 * self.length,)

    @property
    def target_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.input_shape

    @property
    def classes(self) -> int:  # type: ignore[override]
        return self.symbols + 2

    @property
    def words(self) -> int:
        return self.length

    def make_samples(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        symbols = 1 + words % np.uint64(self.symbols)
        x, y = np.zeros((len(words), *self.input_shape), np.uint8), np.zeros((len(words), *self.input_shape), np.int64)
        x[:, : self.length] = y[:, -self.length :] = symbols
        x[:, -self.length - 1 :] = self.symbols + 1
        return x, y
