"""A text as a data set: what follows each token is its label. The text may be larger than memory."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from ..checks import check_whole_number, count_samples
from ..dataset import Dataset
from ..files.paths import expand_path
from .byte_pairs import train_byte_pairs
from .token_files import encode_text, iterate_text, list_text_files, read_tokens, write_tokens
from .vocabulary import CharacterVocabulary, Vocabulary, collect_characters
from .windows import TokenWindows, arrange_streams, cut_windows


class TextDataset(Dataset):
    """Predict the next character, or the next byte pair, of a text at each place of a window.

        x = tokens[i : i + T],   y = tokens[i + 1 : i + T + 1]

    Every token of the training part may begin a window, so an epoch has as many as tokens; windows of the other parts
    follow one another. `vocabulary` says what the tokens mean, and is saved with a run.

    Shapes: x (N, T) tokens; y (N, T), the token after each.
    Args: path: of a text in UTF-8, or a folder whose .txt files are read in the order of their names; context: T;
        tokenizer: tokens are the characters of the text, or byte pairs, for which the package `tokenizers` is needed;
        vocabulary_size: how many byte pairs; valid_size, test_size: a share of the text, or a number of tokens, that
        validates (before the test part, at the end of the text); streams: cut each part into so many stretches, of
        which each minibatch has the next window, for layers that carry their state (with batch_size: the same number
        and shuffle: false); tokens: an .npy file to which the tokens are written once, and from which they are mapped,
        for a text that is larger than memory.
    Errors: FileNotFoundError; ImportError for byte pairs without `tokenizers`; ValueError for an empty text, for one
        that is no UTF-8 (with its line), for a part that is shorter than a window, and for tokens of another text.
    Source: Goodfellow et al., Deep Learning, section 12.4 (neural language models; not in the draft's chapter 6).
    """

    shared = ("vocabulary", "_encoded")

    def __init__(
        self,
        path: str | Path,
        *,
        context: int = 64,
        tokenizer: Literal["characters", "byte_pairs"] = "characters",
        vocabulary_size: int | None = None,
        valid_size: float = 0.1,
        test_size: float = 0.0,
        streams: int | None = None,
        tokens: str | Path | None = None,
    ) -> None:
        if tokenizer not in ("characters", "byte_pairs"):
            raise ValueError(f"TextDataset: tokenizer is {tokenizer!r}, expected characters or byte_pairs")
        if (tokenizer == "byte_pairs") != (vocabulary_size is not None):
            what = "vocabulary_size is for byte_pairs, and they need one"
            raise ValueError(f"TextDataset: tokenizer is {tokenizer} and vocabulary_size {vocabulary_size}; {what}")
        if vocabulary_size is not None:
            check_whole_number("TextDataset", "vocabulary_size", vocabulary_size, least=256, most=2**31 - 1)
        self.context = check_whole_number("TextDataset", "context", context, least=1)
        self.streams = None if streams is None else check_whole_number("TextDataset", "streams", streams, least=1)
        self.path, self.tokenizer, self.vocabulary_size = path, tokenizer, vocabulary_size
        self.valid_size, self.test_size = valid_size, test_size
        self.tokens = None if tokens is None else expand_path(tokens).with_suffix(".npy")

    @property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.context,)

    @property
    def target_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.context,)

    @property
    def classes(self) -> int | None:  # type: ignore[override]
        return self.vocabulary.size

    @property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return self.vocabulary.names if self.tokenizer == "characters" else None

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What the tokens mean: of the tokens' file, or of the text."""
        if self._written is not None:
            return self._written[1]
        pieces = iterate_text(self._files)
        if self.tokenizer == "byte_pairs":
            assert self.vocabulary_size is not None
            return train_byte_pairs(self._refuse_empty(pieces), self.vocabulary_size)
        return CharacterVocabulary(collect_characters(self._refuse_empty(pieces)))

    @cached_property
    def train(self) -> TokenWindows:
        tokens = self._parts[0]
        if self.streams is None:
            return self._make_windows("train", tokens, 1)
        if len(tokens) <= self.streams * self.context:
            streams = f"{self.streams} streams of {self.context} tokens"
            raise ValueError(f"TextDataset: the train part has {len(tokens)} tokens, expected more than {streams}")
        name = None if self.tokens is None else f"{self.tokens.stem}-{len(tokens)}-{self.streams}x{self.context}.npy"
        path = None if name is None or self.tokens is None else self.tokens.with_name(name)
        windows = arrange_streams(tokens, self.context, self.streams, path, self.tokens)
        return TokenWindows(windows, tokens, classes=self.vocabulary.size, streams=self.streams)

    @cached_property
    def valid(self) -> TokenWindows | None:
        return self._make_part("valid", self._parts[1])

    @cached_property
    def test(self) -> TokenWindows | None:
        return self._make_part("test", self._parts[2])

    # -- inside ------------------------------------------------------------------------------------------------

    @cached_property
    def _files(self) -> list[Path]:
        return list_text_files(Path(self.path))

    @cached_property
    def _written(self) -> tuple[np.ndarray, Vocabulary] | None:
        if self.tokens is None:
            return None
        return read_tokens(self.tokens, self._files, self.tokenizer, self.vocabulary_size)

    @cached_property
    def _encoded(self) -> np.ndarray:
        """All tokens (n,), in memory or mapped."""
        if self.tokens is None:
            return encode_text(iterate_text(self._files), self.vocabulary)
        if self._written is None:
            write_tokens(self.tokens, self._files, self.vocabulary, self.vocabulary_size)
            del self.__dict__["_written"]
        assert self._written is not None
        if self._written[1].describe() != self.vocabulary.describe():
            raise ValueError(f"TextDataset: {self.tokens} has tokens of another vocabulary, expected another path")
        return self._written[0]

    @cached_property
    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n = len(self._encoded)
        sizes = (self.valid_size, self.test_size)
        names = ("valid_size", "test_size")
        valid, test = (count_samples("TextDataset", *pair, n) for pair in zip(names, sizes, strict=True))
        if valid + test >= n:
            raise ValueError(f"TextDataset: valid_size and test_size take all {n} tokens, expected some to train on")
        return self._encoded[: n - valid - test], self._encoded[n - valid - test : n - test], self._encoded[n - test :]

    def _make_part(self, part: str, tokens: np.ndarray) -> TokenWindows | None:
        """Make the windows of a part that is evaluated: in the order of streams, if there are, else one after another.

        Fewer windows than streams are one minibatch, in whose order no state goes on.
        """
        if not len(tokens):
            return None
        if self.streams is None or len(tokens) <= self.streams * self.context:
            return self._make_windows(part, tokens, self.context)
        windows = arrange_streams(tokens, self.context, self.streams)
        return TokenWindows(windows, tokens, classes=self.vocabulary.size, streams=self.streams)

    def _make_windows(self, part: str, tokens: np.ndarray, step: int) -> TokenWindows:
        if len(tokens) <= self.context:
            needed = f"at least {self.context + 1} for a context of {self.context}"
            raise ValueError(f"TextDataset: the {part} part has {len(tokens)} tokens, expected {needed}")
        return TokenWindows(cut_windows(tokens, self.context, step), tokens, classes=self.vocabulary.size)

    def _refuse_empty(self, pieces):
        """Iterate over the pieces; ValueError if there is none."""
        empty = True
        for piece in pieces:
            empty = empty and not piece
            yield piece
        if empty:
            raise ValueError(f"TextDataset: {self.path} is empty, expected text")
