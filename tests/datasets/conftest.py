"""Writes small IDX files, so that the tests need no data from outside."""

import gzip
import struct

import numpy as np
import pytest


def idx_bytes(array, *, magic=None):
    """`array` (uint8) in the IDX format, written from the format's description."""
    header = struct.pack(">i", 0x0800 + array.ndim if magic is None else magic)
    return header + struct.pack(f">{array.ndim}i", *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def write_idx(tmp_path):
    """`write_idx("name.gz", array)` writes an IDX file (gzipped if the name says so) and returns its path."""

    def write(name, array, *, folder=tmp_path, magic=None):
        content = idx_bytes(np.asarray(array), magic=magic)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write
