"""Reader of IDX files, the format of MNIST: a magic number, the sizes of the axes, then the bytes.
Nothing in such a file can be executed, and a damaged file is refused with what is wrong in it."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from .paths import expand_path

BYTES = 0x0800  # third byte of the magic number: the elements are uint8; the fourth byte counts the axes


def read_idx(path: str | Path, *, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The array in an IDX file of bytes, plain or gzipped (whatever its name), as a new C-contiguous
    uint8 array.

    Args: path: the file; shape: the shape the file must hold; None takes any.
    Errors: FileNotFoundError; ValueError that names the file for a damaged gzip stream, another magic
        number (so images where labels are expected), another shape (so the test file for the training
        file), or more or fewer bytes than the shape needs.
    Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits, "file formats".
    """
    path = expand_path(path)
    data = read_bytes(path)
    magic = int.from_bytes(data[:4], "big")
    axes = magic - BYTES
    if not (1 <= axes <= 255 if shape is None else axes == len(shape)):
        expected = f"{BYTES + 1} to {BYTES + 255}" if shape is None else f"{BYTES + len(shape)}"
        raise ValueError(f"{path}: magic number is {magic}, expected {expected} (an IDX file of bytes)")
    header = 4 + 4 * axes
    if len(data) < header:
        raise ValueError(f"{path}: holds {len(data)} bytes, expected at least the {header} bytes of its header")
    sizes = tuple(int(size) for size in np.frombuffer(data, dtype=">u4", count=axes, offset=4))
    if shape is not None and sizes != shape:
        raise ValueError(f"{path}: holds shape {sizes}, expected {shape}")
    body, expected_size = len(data) - header, math.prod(sizes)
    if body != expected_size:
        raise ValueError(f"{path}: {body} bytes follow the header, expected {expected_size} for shape {sizes}")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(sizes).copy()


def read_bytes(path: Path) -> bytes:
    """Read a file, unpacked if it begins like a gzip stream."""
    data = path.read_bytes()
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file ({error}), expected a whole one") from error
