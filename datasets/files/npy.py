"""Reads NumPy's files, .npy and .npz, without ever unpickling. Whatever is damaged is refused by the file's name."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .paths import expand_path


def read_npy(path: str | Path, *, memory_map: bool = True) -> np.ndarray:
    """Read the array in an .npy file.

    Args: memory_map: leave it in the file, from where the system reads what is used; what is written to it stays in
        memory. Otherwise read it now.
    Errors: FileNotFoundError; ValueError that names the file for anything but a whole array of plain values.
    """
    path = expand_path(path)
    with name_damage(path, ".npy"):
        array = np.lib.format.open_memmap(path, mode="c")
        surplus = path.stat().st_size - array.offset - array.nbytes
        if surplus:
            raise ValueError(f"{surplus} bytes follow the array")
    return array if memory_map else np.array(array)


def read_npz(path: str | Path, name: str) -> np.ndarray:
    """Read the array of that name in an .npz file; errors as of `read_npy`, and KeyError's message as ValueError."""
    path = expand_path(path)
    with name_damage(path, ".npz"), zipfile.ZipFile(path) as archive:
        known = [entry.removesuffix(".npy") for entry in archive.namelist()]
        content = archive.read(f"{name}.npy") if name in known else None  # checks the checksum
    if content is None:
        raise ValueError(f"{path}: there is no array {name!r}, expected one of {', '.join(known)}")
    with name_damage(path, ".npz"):
        stream = io.BytesIO(content)
        array = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):
            raise ValueError(f"more than the array stands under {name!r}")
    return array


@contextmanager
def name_damage(path: str | Path, kind: str) -> Iterator[None]:
    """Convert any exception of the readers over a damaged file into a ValueError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers that Python 2 wrote
            yield
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:  # such as a missing file
            raise
        message = str(error).partition(" <_io")[0]  # of a stream whose name is the path
        raise ValueError(f"{path}: {message or type(error).__name__}, expected a whole {kind} file") from None
