"""The user's line that an operation came from, for messages."""

import linecache
import traceback
from collections.abc import Iterable
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
NUMPY = Path(np.__file__).resolve().parent


def format_line(frames: Iterable) -> str:
    """Format `, in FILE line N: CODE`: the innermost line outside NumPy and this folder.

    Args: frames: pairs (frame, line number), innermost first.
    """
    for frame, number in frames:
        path = Path(frame.f_code.co_filename)
        folders = path.resolve().parents
        if HERE not in folders and NUMPY not in folders:
            return f", in {path.name} line {number}: {linecache.getline(str(path), number or 0).strip()}"
    return ""


def reversed_frames(error: Exception) -> list:
    """List the frames and line numbers of an error, innermost first."""
    return list(traceback.walk_tb(error.__traceback__))[::-1]
