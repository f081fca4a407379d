"""Predictions along a text: what a model expects after each token, and how probable what follows was."""

from pathlib import Path

import numpy as np

from ...modules.losses.distributions import Categorical
from ..runs.inference import Predictions, format_numbers
from .generator import Generator


def predict_text(run: Path, text: str, weights: Path | None = None) -> Predictions:
    """Predict along a text by a run's model: a row for each token, outputs (n, V).

    Columns: token; next, the most probable token after it, and its probability p; p_following, the probability of the
    token that follows, empty at the end. Of a run on words, each line is a word, between two line's ends.

    Errors: FileNotFoundError; ValueError for an empty text, and for characters that the model does not know.
    """
    generator = Generator.load(run, weights)
    vocabulary = generator.vocabulary
    if vocabulary.end is None:
        sequences = [vocabulary.encode(text)]
    else:
        words = [word for line in text.split("\n") if (word := line.strip())]
        sequences = [np.array([vocabulary.end, *vocabulary.encode(word), vocabulary.end]) for word in words]
    if not sequences or not len(sequences[0]):
        raise ValueError("predict: the text is empty, expected some")
    columns: dict[str, list] = {"token": [], "next": [], "p": [], "p_following": []}
    outputs, names = [], vocabulary.names
    for tokens in sequences:
        read = tokens if vocabulary.end is None else tokens[:-1]
        scores = generator.compute_scores(read)
        p = Categorical(scores).probabilities
        best = p.argmax(axis=1)
        following = p[np.arange(len(tokens) - 1), tokens[1:]]
        columns["token"] += [names[token] for token in read]
        columns["next"] += [names[token] for token in best]
        columns["p"] += format_numbers(p.max(axis=1))
        columns["p_following"] += [*format_numbers(following), *([""] if len(following) < len(read) else [])]
        outputs.append(scores)
    return Predictions(np.concatenate(outputs), columns)
