"""Reads vocabularies of any kind; what they write is plain JSON, and reading it executes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..files.paths import expand_path
from .byte_pairs import BytePairVocabulary
from .vocabulary import FORMAT, CharacterVocabulary, Vocabulary


def make_vocabulary(description: dict[str, Any]) -> Vocabulary:
    """Make the vocabulary that `describe` has described; ValueError for anything else."""
    kind = description.get("kind")
    if kind == "characters" and isinstance(characters := description.get("characters"), str):
        end = description.get("end")
        if end is None or (isinstance(end, int) and not isinstance(end, bool)):
            return CharacterVocabulary(characters, end)
    if kind == "byte_pairs" and isinstance(tokenizer := description.get("tokenizer"), dict):
        return BytePairVocabulary(json.dumps(tokenizer))
    raise ValueError(f"it describes no vocabulary (kind {kind!r})")


def load_vocabulary(path: str | Path) -> Vocabulary:
    """Load the vocabulary that `save` wrote.

    Args: path: the file.
    Errors: FileNotFoundError; ImportError for byte pairs without the package `tokenizers`; ValueError that names the
        file for anything else.
    """
    try:
        content = json.loads(expand_path(path).read_text(encoding="utf-8", errors="surrogatepass"))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError("it is no vocabulary")
        return make_vocabulary(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}, expected what Vocabulary.save writes") from None
