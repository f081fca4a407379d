"""Arrays of rank 0 for all ranks, passed on in a binomial tree, piece by piece.

round 0: 0 -> 1, 2, 4, ...      rank r has them from r - b and passes them on to r + 1, r + 2, ... below r + b,
                                b the last bit of r that is set
"""

import numpy as np

from .communicator import Ranks

PIECE = 2**24  # bytes that are sent at once


def broadcast(ranks: Ranks, array: np.ndarray, what: str) -> None:
    """Send a contiguous array of rank 0 to all ranks, which have room for it: an array of the same shape and dtype."""
    content = array.reshape(-1).view(np.uint8)
    parent, children = find_neighbours(ranks.rank, ranks.size)
    pieces = [content[first : first + PIECE] for first in range(0, content.size, PIECE)]
    for before, piece in zip([None, *pieces], [*pieces, None], strict=True):
        outgoing = [] if before is None else [(before, child) for child in children]
        incoming = [] if piece is None or parent is None else [(piece, parent)]
        ranks.exchange(outgoing, incoming, what)


def find_neighbours(rank: int, size: int) -> tuple[int | None, list[int]]:
    """Find from which rank one gets an array, None for rank 0, and to which it passes it on."""
    last = rank & -rank if rank else 1 << size.bit_length()
    steps = [1 << k for k in range(last.bit_length() - 1)]
    return rank - last if rank else None, [rank + step for step in reversed(steps) if rank + step < size]
