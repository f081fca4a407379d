"""Windows of a text as a data set: x and y are views of the tokens, so that nothing is copied before a minibatch is."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..array_checks import Rows, check_rows
from ..array_dataset import ArrayDataset, Pair
from ..files.npy import read_npy


class TokenWindows(ArrayDataset):
    """Windows of T + 1 tokens: the first T are the input, the last T the labels, the token that follows each.

        x = tokens[i : i + T],   y = tokens[i + 1 : i + T + 1]

    `x` and `y` are views in the type of the tokens (uint8, uint16 or int32), which may lie in a file; minibatches are
    int64. `tokens` has all of them, once.

    Shapes: windows (N, T + 1), a view of tokens (n,); x (N, T), y (N, T).
    Args: classes: the number of different tokens; streams: how many windows in a row belong to one minibatch.
    """

    def __init__(self, windows: np.ndarray, tokens: np.ndarray, *, classes: int, streams: int | None = None) -> None:
        super().__init__(np.zeros((1, windows.shape[1] - 1), np.uint8), np.zeros((1, windows.shape[1] - 1), np.int64))
        self.x, self.y, self.tokens = windows[:, :-1], windows[:, 1:], tokens
        self.classes, self.streams = classes, streams

    def __getitem__(self, rows: Rows) -> Pair:
        """The windows of a slice or a 1-D index array as new arrays x (B, T) and y (B, T), int64."""
        rows = check_rows(rows)
        return self.x[rows].astype(np.int64), self.y[rows].astype(np.int64)

    def values(self, rows: Rows, *, whole: bool = False) -> np.ndarray:
        return self.x[check_rows(rows)].astype(np.int64 if whole else self.dtype)

    def take(self, rows: Rows) -> TokenWindows:
        """The windows of a slice (a view) or of a 1-D index array (copied, in the type of the tokens)."""
        part = copy.copy(self)
        rows = check_rows(rows)
        part.x, part.y, part.streams = self.x[rows], self.y[rows], None
        return part

    @property
    def checked_targets(self) -> np.ndarray:
        """One window, with the largest token in the place of its first: in a range of tokens all others lie."""
        label = self.y[:1].astype(np.int64)
        label[0, 0] = max(int(self.tokens[k : k + 2**24].max()) for k in range(0, len(self.tokens), 2**24))
        return label

    @property
    def contents(self) -> dict[str, np.ndarray]:
        return {"x": self.tokens}


def cut_windows(tokens: np.ndarray, context: int, step: int) -> np.ndarray:
    """Cut windows (N, context + 1) that begin at every `step`-th token, as a view."""
    return sliding_window_view(tokens, context + 1)[::step]


def arrange_streams(
    tokens: np.ndarray, context: int, streams: int, path: Path | None = None, source: Path | None = None
) -> np.ndarray:
    """Arrange a text as streams side by side: windows (m streams, context + 1), of which the n-th m are a minibatch.

    Stream s is one stretch of the text, and window b streams + s its b-th window, so that each minibatch goes on
    where the one before ended. What fills no minibatch at the end of the text is left out.

    Args: path: where to write them, for a text that is larger than memory; source: the file of the tokens: what has
        been written since, and is as large, is used again.
    """
    count = (len(tokens) - 1) // (streams * context)  # minibatches
    shape = (count * streams, context + 1)
    if path is not None and source is not None and is_newer(path, source):
        windows = read_npy(path)
        if windows.shape == shape and windows.dtype == tokens.dtype:
            return windows
    windows = np.empty(shape, tokens.dtype) if path is None else write_empty(path, shape, tokens.dtype)
    whole = cut_windows(tokens, context, context)
    for stream in range(streams):
        windows[stream::streams] = whole[stream * count : (stream + 1) * count]
    if isinstance(windows, np.memmap):
        windows.flush()
        return read_npy(path)  # type: ignore[arg-type]
    return windows


def is_newer(path: Path, source: Path) -> bool:
    """Whether a file is there and has been written after another one."""
    return path.exists() and path.stat().st_mtime_ns >= source.stat().st_mtime_ns


def write_empty(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    """Write an .npy file of zeros, mapped so that it can be filled."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
