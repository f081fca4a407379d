"""A list of words as a data set: which character follows each of a word, and where it ends."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from ..array_dataset import ArrayDataset
from ..checks import check_whole_number
from ..dataset import Dataset
from ..files.csv_table import decode_text
from ..files.paths import expand_path
from ..split import split_rows, split_sizes
from .vocabulary import CharacterVocabulary, Vocabulary, collect_characters

IGNORED = -1  # the label of padding, where the loss names no other


class NamesDataset(Dataset):
    """Predict the next character of each word of a list, after none, one, two... of its characters.

    Token 0 begins and ends a word. A word of k characters is a sample of k + 1 predictions, padded to the longest word:

        x = 0 c₁ ... cₖ 0 0 ...,   y = c₁ ... cₖ 0 -1 -1 ...

    or, with `context`, k + 1 samples: the last n tokens, filled up with 0 in front, and the one that follows.
    `vocabulary` says what the tokens mean, and is saved with a run.

    Shapes: x (N, L + 1) tokens, y (N, L + 1) labels, for words of up to L characters; with context n: x (N, n), y (N,).
    Args: path: of a text in UTF-8, a word a line; blank lines are left out; context: n; valid_size, test_size: a share
        of the words, or their number; seed: of the split; ignore_index: the label of padding, which the loss must
        ignore, too: by default that of the loss in a config, else -1.
    Errors: FileNotFoundError; ValueError for a file without words, or one that is no UTF-8 (with its line), and for
        sizes that leave no word to train on.
    """

    shared = ("vocabulary", "_longest")

    def __init__(
        self,
        path: str | Path,
        *,
        context: int | None = None,
        valid_size: float = 0.1,
        test_size: float = 0.1,
        seed: int = 0,
        ignore_index: int | None = None,
    ) -> None:
        self.path = expand_path(path)
        self.context = None if context is None else check_whole_number("NamesDataset", "context", context, least=1)
        self.valid_size, self.test_size = valid_size, test_size
        self.seed = check_whole_number("NamesDataset", "seed", seed)
        self.ignore_index = ignore_index

    @property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self._longest + 1 if self.context is None else self.context,)

    @property
    def target_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self._longest + 1,) if self.context is None else ()

    @property
    def classes(self) -> int | None:  # type: ignore[override]
        return self.vocabulary.size

    @property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return self.vocabulary.names

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What the tokens mean: 0 a line's end, the others the characters of all words, sorted."""
        return CharacterVocabulary("\n" + collect_characters(self._words), end=0)

    @cached_property
    def train(self) -> ArrayDataset:
        return self._part(self._rows[0])

    @cached_property
    def valid(self) -> ArrayDataset | None:
        return self._part(self._rows[1]) if len(self._rows[1]) else None

    @cached_property
    def test(self) -> ArrayDataset | None:
        return self._part(self._rows[2]) if len(self._rows[2]) else None

    # -- inside ------------------------------------------------------------------------------------------------

    @cached_property
    def _words(self) -> list[str]:
        if not self.path.is_file():
            raise FileNotFoundError(f"NamesDataset: there is no {self.path}, expected a file with a word a line")
        lines = decode_text(str(self.path), self.path.read_bytes()).split("\n")
        words = [word for line in lines if (word := line.strip())]
        if not words:
            raise ValueError(f"NamesDataset: {self.path} is empty, expected words, one a line")
        return words

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._words))

    @cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n = len(self._words)
        split_sizes("NamesDataset", n, self.valid_size, self.test_size)
        return split_rows(n, valid_size=self.valid_size, test_size=self.test_size, seed=self.seed)

    def _part(self, rows: np.ndarray) -> ArrayDataset:
        words = [self.vocabulary.encode(self._words[row]) for row in rows]
        if self.context is not None:
            return ArrayDataset(*cut_contexts(words, self.context), classes=self.vocabulary.size)
        ignored = IGNORED if self.ignore_index is None else self.ignore_index
        x = np.zeros((len(words), *self.input_shape), np.int64)
        y = np.full(x.shape, ignored, np.int64)
        for n, word in enumerate(words):
            x[n, 1 : len(word) + 1] = y[n, : len(word)] = word
            y[n, len(word)] = 0
        return ArrayDataset(x, y, classes=self.vocabulary.size, ignore_index=ignored)


def cut_contexts(words: list[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the n tokens before each token of each word (N, n), zeros in front, and that token (N,); 0 ends a word."""
    ends = np.zeros(n, np.int64)
    lines = np.concatenate([part for word in words for part in (ends, word)] + [ends[:1]])
    places = np.concatenate([[0], np.cumsum([len(word) + n for word in words])])[:-1] + n  # where each word begins
    follow = np.concatenate(
        [np.arange(place, place + len(word) + 1) for place, word in zip(places, words, strict=True)]
    )
    x = np.lib.stride_tricks.sliding_window_view(lines, n)[follow - n]
    return np.ascontiguousarray(x), lines[follow]
