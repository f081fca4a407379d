"""Choosing the next token by its scores: the most probable one, or a random one."""

from dataclasses import dataclass

import numpy as np

from ...datasets.checks import check_whole_number


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn from scores s.

        p = softmax(s / temperature), of the tokens that are left, made to add up to 1

    Args: temperature: 0 takes the largest score, 1 draws from the model's distribution; top_k: only the k most probable
        tokens are left; top_p: only the fewest most probable ones whose probabilities add up to p or more.
    Errors: ValueError for settings out of range.
    Source: Holtzman et al., The curious case of neural text degeneration (2020), section 3.1, for top_p; Fan et al.,
        Hierarchical neural story generation (2018), section 5.2, for top_k.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < np.inf:
            raise ValueError(f"generate: temperature is {self.temperature}, expected at least 0")
        if self.top_k is not None:
            check_whole_number("generate", "top_k", self.top_k, least=1)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"generate: top_p is {self.top_p}, expected more than 0, at most 1")

    def choose(self, scores: np.ndarray, u: float) -> int:
        """Choose a token by its scores (V,) and a uniform random number u of [0, 1).

        Errors: ValueError for scores with NaN or +∞, as those of a model whose training diverged.
        """
        if np.isnan(scores).any() or scores.max() == np.inf:
            raise ValueError("generate: the model's scores are not finite, expected those of a trained model")
        if self.temperature == 0:
            return int(scores.argmax())
        p = self.compute_probabilities(scores)
        return int(min(np.searchsorted(np.cumsum(p), u, side="right"), np.flatnonzero(p)[-1]))

    def compute_probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Compute the probability of each token (V,), float64, from its scores (V,); temperature above 0."""
        with np.errstate(over="ignore"):  # a temperature near 0
            p = np.exp((scores.astype(np.float64) - scores.max()) / self.temperature)
        p /= p.sum()
        if self.top_k is None and self.top_p is None:
            return p
        order = np.argsort(-p, kind="stable")
        count = len(p) if self.top_k is None else min(self.top_k, len(p))
        if self.top_p is not None:
            kept = np.cumsum(p[order[:count]])
            count = min(count, int(np.searchsorted(kept, self.top_p * kept[-1] * (1 - 1e-12))) + 1)
        p[order[count:]] = 0
        return p / p.sum()


class RandomNumbers:
    """Uniform random numbers of [0, 1): the n-th depends on (seed, n) alone, for NumPy never changes Philox's words."""

    def __init__(self, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
            raise ValueError(f"generate: seed is {seed}, expected a whole number of at least 0")
        self._words = np.random.Philox(key=np.array([seed, 0], np.uint64))

    def draw(self) -> float:
        """Draw the next number."""
        return (int(self._words.random_raw()) >> 11) * 2.0**-53
