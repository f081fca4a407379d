"""From text files to tokens, piece by piece, so that neither the text nor its tokens need fit into memory."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files.npy import read_npy
from ..files.paths import expand_path
from .vocabulary import Vocabulary, choose_token_type
from .vocabulary_files import make_vocabulary

PIECE = 2**22  # bytes of text that are encoded at once
SPREAD, BLOCK = 64, 2**18  # how many blocks of a large text, and of how many bytes, tell it from others
FORMAT = "bprop tokens"


def list_text_files(path: Path) -> list[Path]:
    """List the text files that a path names: itself, or all `*.txt` of a folder in the order of their names.

    Errors: FileNotFoundError for a path or a folder without text.
    """
    path = expand_path(path)
    if path.is_dir():
        files = sorted(path.glob("*.txt"))
        if not files:
            raise FileNotFoundError(f"TextDataset: the folder {path} has no .txt file, expected at least one")
        return files
    if not path.is_file():
        raise FileNotFoundError(f"TextDataset: there is no {path}, expected a text file, or a folder of .txt files")
    return [path]


def iterate_text(files: Sequence[Path], size: int = PIECE) -> Iterator[str]:
    """Iterate over the text of some files in pieces that end with a line where possible.

    Errors: ValueError that names the file and the line of bytes that are not UTF-8.
    """
    for path in files:
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        rest, lines = "", 1
        with open(path, "rb") as file:
            while True:
                content = file.read(size)
                try:
                    text = decoder.decode(content, final=not content)
                except UnicodeDecodeError as error:
                    line = lines + rest.count("\n") + error.object[: error.start].count(b"\n")
                    byte = f"byte {error.object[error.start]:#04x}"
                    raise ValueError(f"{path}, line {line}: {byte} is no UTF-8, expected text") from None
                rest += text
                end = rest.rfind("\n") + 1 if content else len(rest)
                if end or len(rest) > 4 * size:
                    piece, rest = (rest[:end], rest[end:]) if end else (rest, "")
                    lines += piece.count("\n")
                    yield piece
                if not content:
                    break


def encode_text(pieces: Iterator[str], vocabulary: Vocabulary) -> np.ndarray:
    """Encode a text as tokens (n,) of the smallest type, in memory."""
    dtype = choose_token_type(vocabulary.size)
    encoded = [vocabulary.encode(piece).astype(dtype) for piece in pieces]
    return np.concatenate(encoded) if encoded else np.empty(0, dtype)


def write_tokens(path: Path, files: Sequence[Path], vocabulary: Vocabulary, asked: int | None) -> None:
    """Encode text files into an .npy file of tokens (n,), and write beside it, as .json, of which text they are.

    Both appear when they are whole.

    Args: asked: the size of vocabulary that was asked for, which that of a short text does not reach.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    dtype, count = choose_token_type(vocabulary.size), 0
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            write_header(file, dtype, 0)
            for piece in iterate_text(files):
                tokens = vocabulary.encode(piece).astype(dtype)
                file.write(tokens.tobytes())
                count += len(tokens)
            file.seek(0)
            write_header(file, dtype, count)  # NumPy leaves room for the digits of any length
        note: dict[str, Any] = {
            "format": FORMAT,
            "text": compute_fingerprint(files),
            "vocabulary": vocabulary.describe(),
        }
        note |= {"vocabulary_size": asked}
        os.replace(aside, path)
        aside.write_text(json.dumps(note, ensure_ascii=False), encoding="utf-8")
        os.replace(aside, path.with_suffix(".json"))
    finally:
        aside.unlink(missing_ok=True)


def write_header(file: Any, dtype: np.dtype[Any], count: int) -> None:
    """Write the header of an .npy file of one axis."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, header)


def read_tokens(
    path: Path, files: Sequence[Path], kind: str, asked: int | None
) -> tuple[np.ndarray, Vocabulary] | None:
    """Map the tokens that `write_tokens` wrote, with their vocabulary; None if there are none.

    Errors: ValueError for tokens of another text, or kind or size of vocabulary, and for a damaged file.
    """
    note = path.with_suffix(".json")
    if not path.exists() and not note.exists():
        return None
    hint = f"; another 'tokens' path, or without {path} and {note.name}, the text is encoded anew"
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError
        vocabulary, text = make_vocabulary(content["vocabulary"]), content["text"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"TextDataset: {note} does not say of which text {path} has the tokens{hint}") from None
    if text != compute_fingerprint(files) or content["vocabulary"]["kind"] != kind:
        raise ValueError(f"TextDataset: {path} has the tokens of another text, or of another tokenizer{hint}")
    if content.get("vocabulary_size", asked) != asked:
        size = content["vocabulary_size"]
        raise ValueError(f"TextDataset: {path} has the tokens of vocabulary_size {size}, expected {asked}{hint}")
    tokens = read_npy(path)
    if tokens.ndim != 1 or tokens.dtype != choose_token_type(vocabulary.size):
        raise ValueError(f"TextDataset: {path} has {tokens.dtype} {tokens.shape}, expected the tokens of a text{hint}")
    return tokens, vocabulary


def compute_fingerprint(files: Sequence[Path]) -> str:
    """Compute a digest of the sizes of text files, and of their content: of large ones, of blocks of it."""
    result = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        result.update(str(size).encode())
        with open(path, "rb") as file:
            starts = np.linspace(0, max(size - BLOCK, 0), SPREAD).astype(np.int64)
            if size <= SPREAD * BLOCK:
                starts = np.arange(0, size, BLOCK)
            for start in starts:
                file.seek(int(start))
                result.update(file.read(BLOCK))
    return result.hexdigest()[:32]
