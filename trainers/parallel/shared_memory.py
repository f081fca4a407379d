"""Memory that the ranks of one host share: each writes to its own part, and reads those of all.

A part is an unnamed file in memory: its name is gone as soon as all have mapped it, so nothing is left behind by a job
that is killed.
"""

import contextlib
import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .communicator import Ranks

SWITCH = "BPROP_MPI_SHARED_MEMORY"  # 0: ranks of one host send messages, as those of several do
FOLDER = Path("/dev/shm")


def share_memory(ranks: Ranks, sizes: list[int]) -> list[np.ndarray] | None:
    """Allocate zeros that all ranks see: bytes (sizes[rank],) of each rank, on each rank.

    Returns None on all ranks if they are on several hosts, if a rank has no room for its part, or if one has
    BPROP_MPI_SHARED_MEMORY=0.
    """
    alone = len({peer.host for peer in ranks.peers}) > 1 or os.environ.get(SWITCH) == "0"
    with contextlib.ExitStack() as files:
        own = None if alone else make_file(sizes[ranks.rank], files)
        offers = ranks.share(own, "shared memory")
        parts = None if None in offers else map_files(offers, sizes)
        agreed = ranks.share(parts is not None, "shared memory")
    return parts if all(agreed) else None


def make_file(size: int, files: contextlib.ExitStack) -> dict[str, Any] | None:
    """Make a file of zeros with room for so many bytes, which is removed with `files`; None if there is no room."""
    reserve = getattr(os, "posix_fallocate", None)  # a file that only grows would end the process where it is full
    if reserve is None:
        return None
    try:
        handle, name = tempfile.mkstemp(prefix="bprop-", dir=FOLDER if FOLDER.is_dir() else None)
        files.callback(os.unlink, name)
        files.callback(os.close, handle)
        reserve(handle, 0, max(size, 1))
    except OSError:
        return None
    facts = os.fstat(handle)
    return {"name": name, "device": facts.st_dev, "node": facts.st_ino}


def map_files(offers: list[dict[str, Any]], sizes: list[int]) -> list[np.ndarray] | None:
    """Map the files of all ranks; None if one of them is not the file that was meant, as in another container."""
    parts = []
    for offer, size in zip(offers, sizes, strict=True):
        try:
            with open(offer["name"], "r+b") as file:
                facts = os.fstat(file.fileno())
                if (facts.st_dev, facts.st_ino) != (offer["device"], offer["node"]):
                    return None
                parts.append(np.frombuffer(mmap.mmap(file.fileno(), max(size, 1)), np.uint8)[:size])
        except OSError:
            return None
    return parts
