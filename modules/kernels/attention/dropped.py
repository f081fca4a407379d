"""Dropout of attention weights: random numbers by the place of a weight, so that both passes draw the same ones."""

import numpy as np

from ...compiler.kernel import kernel
from ..philox import HALF, MASK, inlined, philox


def drop_row(drop, place, first, count, weights, at):
    """Set weights[at + k], k < count, to zero with a probability, and divide the others by what is left of 1.

    Args: drop: (probability, key, step); place: a number of the row of weights, below 2³²; first: the number of its
        first weight among those of the row, a multiple of four.
    """
    p, key, step = drop
    key, step = np.uint64(key), np.uint64(step)
    blocks = np.arange(first // 4, first // 4 + -(-count // 4), dtype=np.uint64)
    words = philox(blocks, np.uint64(place), step & MASK, step >> HALF, key & MASK, key >> HALF)
    numbers = (np.stack(words, axis=1).reshape(-1)[:count] >> np.uint64(8)) * 2.0**-24
    weights[at : at + count] *= np.where(numbers < p, 0, 1 / (1 - p)).astype(weights.dtype)


@kernel
def compiled_drop_row(drop, place, first, count, weights, at):
    """The compiled form of `drop_row`."""
    p, key, step = drop
    key, step, row = np.uint64(key), np.uint64(step), np.uint64(place)
    c2, c3, k0, k1 = step & MASK, step >> HALF, key & MASK, key >> HALF
    least, zero = np.uint64(np.ceil(p * 2.0**24)), weights.dtype.type(0)
    factor = weights.dtype.type(1 / (1 - p))
    numbers, shift, block = weights[at : at + count], np.uint64(8), np.uint64(first // 4)
    for k in range(count // 4):
        w0, w1, w2, w3 = inlined(block + np.uint64(k), row, c2, c3, k0, k1)
        numbers[4 * k] *= factor if w0 >> shift >= least else zero
        numbers[4 * k + 1] *= factor if w1 >> shift >= least else zero
        numbers[4 * k + 2] *= factor if w2 >> shift >= least else zero
        numbers[4 * k + 3] *= factor if w3 >> shift >= least else zero
    whole = count // 4
    last = inlined(block + np.uint64(whole), row, c2, c3, k0, k1)
    for k in range(4 * whole, count):
        numbers[k] *= factor if last[k - 4 * whole] >> shift >= least else zero


drop_row.compiled_form = compiled_drop_row  # type: ignore[attr-defined]
