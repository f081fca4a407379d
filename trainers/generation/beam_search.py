"""Beam search: the most probable continuations, by keeping the best few of each length."""

from dataclasses import dataclass

import numpy as np

from ...modules.losses.distributions import Categorical
from .decoders import WindowDecoder


@dataclass(frozen=True)
class Beam:
    """A continuation: its tokens, and log p of all of them together, which is Σ log p(token | those before)."""

    tokens: tuple[int, ...]
    log_probability: float
    ended: bool = False


def search_beams(
    decoder: WindowDecoder, prompt: np.ndarray, length: int, beams: int, end: int | None = None
) -> list[Beam]:
    """Search the most probable continuations of a prompt (t,), the best one first.

    Of all continuations by one more token, the `beams` best go on; one that has ended stays as it is.

    Args: length: of the continuations; end: the token that ends one before.
    Source: Goodfellow et al., Deep Learning, section 12.4.5 of the published book mentions it; Graves, Sequence
        transduction with recurrent neural networks (2012), section 2.6.
    """
    best = [Beam((), 0.0)]
    for _ in range(length):
        going = [beam for beam in best if not beam.ended]
        if not going:
            break
        windows = np.array([[*prompt, *beam.tokens] for beam in going], np.int64)[:, -decoder.length :]
        logs = Categorical(decoder.compute_scores(windows)).log_probabilities
        candidates = [beam for beam in best if beam.ended]
        for beam, row in zip(going, logs, strict=True):
            for token in np.argsort(-row, kind="stable")[:beams]:
                total = beam.log_probability + float(row[token])
                candidates.append(Beam((*beam.tokens, int(token)), total, int(token) == end))
        best = sorted(candidates, key=lambda beam: -beam.log_probability)[:beams]
    return best
