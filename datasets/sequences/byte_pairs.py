"""Byte-pair encoding: frequent pairs of tokens become tokens, from single bytes on. The package `tokenizers` trains and
applies it; it is imported when it is needed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..checks import check_whole_number
from .vocabulary import Vocabulary

LEAST = 256  # tokens: one for each byte, so that any text can be encoded


class BytePairVocabulary(Vocabulary):
    """Tokens are the bytes of UTF-8 and what pairs of tokens have been merged to.

    Args: tokenizer: the JSON of the package `tokenizers`.
    Errors: ImportError without that package; ValueError for another text.
    Source: Sennrich et al., Neural machine translation of rare words with subword units (2016); on bytes as in
        Radford et al., Language models are unsupervised multitask learners (2019), section 2.2.
    """

    def __init__(self, tokenizer: str) -> None:
        tokenizers = import_tokenizers()
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(tokenizer)
        except Exception as error:  # the package raises nothing more special
            raise ValueError(f"{error}, expected a tokenizer") from None
        self._size = self._tokenizer.get_vocab_size()

    @property
    def size(self) -> int:
        return self._size

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._tokenizer.encode(text).ids, dtype=np.int64)

    def get_bytes(self, token: int) -> bytes:
        word = self._tokenizer.id_to_token(token)
        return bytes(BYTES[sign] for sign in word)

    def describe(self) -> dict[str, Any]:
        return {"kind": "byte_pairs", "tokenizer": json.loads(self._tokenizer.to_str())}


def train_byte_pairs(pieces: Iterable[str], size: int) -> BytePairVocabulary:
    """Train the encoding on the pieces of a text, up to `size` tokens.

    Errors: ImportError without the package `tokenizers`; ValueError for a size below 256.
    """
    size = check_whole_number("TextDataset", "vocabulary_size", size, least=LEAST, most=2**31 - 1)
    tokenizers = import_tokenizers()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(pieces, trainer)
    return BytePairVocabulary(tokenizer.to_str())


def import_tokenizers() -> Any:
    """Import the package `tokenizers`; ImportError that says how to install it."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads and forks of the process do not go together
    try:
        import tokenizers
    except ImportError:
        message = "byte pairs need the package tokenizers: pip install 'bprop[text]'"
        raise ImportError(f"TextDataset: {message}; 'tokenizer: characters' does without") from None
    return tokenizers


def list_byte_signs() -> dict[str, int]:
    """List the printable characters by which `tokenizers`, as GPT-2, writes the 256 bytes."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + k): byte for k, byte in enumerate(others)}


BYTES = list_byte_signs()
