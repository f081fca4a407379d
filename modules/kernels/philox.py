"""Random numbers as a pure function of (key, step, position), by the counter-based generator Philox4x32-10.

Nothing is carried from one number to the next, so they depend neither on threads nor on how often a run was stopped;
and a loop over positions is computed a vector at a time.

Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011), section 4.3 and table 2.
"""

import math

import numba
import numpy as np

from ..compiler.kernel import kernel

MASK, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
TURN = 2 * math.pi
SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(8, -1, -1))  # of Taylor's series, highest power first
COSINE = tuple((-1) ** k / math.factorial(2 * k) for k in range(8, -1, -1))  # enough up to an eighth of a turn


def philox(c0, c1, c2, c3, k0, k1):
    """Four random 32-bit words of a counter of four and a key of two such words; all are uint64, numbers or arrays."""
    for _ in range(10):
        p0, p1 = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & MASK, (p0 >> HALF) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    return c0, c1, c2, c3


def uniform(key, step, out):
    """out[i] = number i of [0, 1): multiples of 2⁻²⁴ in float32; in float64 of 2⁻⁵³, the same numbers with more digits.

    Args: key, step: whole numbers, 0 to 2⁶³ - 1; out: a contiguous vector.
    """
    out[:] = 0
    if out.itemsize == 4:
        add_words(key, step, 0, 8, 2.0**-24, out)
    else:
        add_words(key, step, 0, 0, 2.0**-32, out)
        add_words(key, step, 1, 11, 2.0**-53, out)


def add_words(key, step, stream, shift, unit, out):
    """out[i] += unit times word i of the stream without its last `shift` bits; four words have one counter."""
    key, step = np.uint64(key), np.uint64(step)
    block = np.arange(-(-out.size // 4), dtype=np.uint64)
    words = philox(block, np.uint64(stream), step & MASK, step >> HALF, key & MASK, key >> HALF)
    out += (np.stack(words, axis=1).reshape(-1)[: out.size] >> np.uint64(shift)) * unit


inlined = numba.njit(philox, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@kernel
def compiled_add_words(key, step, stream, shift, unit, out):
    """The compiled form of `add_words`, by blocks of four."""
    key, step, stream, shift = np.uint64(key), np.uint64(step), np.uint64(stream), np.uint64(shift)
    c2, c3, k0, k1 = step & MASK, step >> HALF, key & MASK, key >> HALF
    unit = out.dtype.type(unit)
    for block in range(out.size // 4):
        w0, w1, w2, w3 = inlined(np.uint64(block), stream, c2, c3, k0, k1)
        out[4 * block] += out.dtype.type(np.int64(w0 >> shift)) * unit
        out[4 * block + 1] += out.dtype.type(np.int64(w1 >> shift)) * unit
        out[4 * block + 2] += out.dtype.type(np.int64(w2 >> shift)) * unit
        out[4 * block + 3] += out.dtype.type(np.int64(w3 >> shift)) * unit
    whole = 4 * (out.size // 4)
    last = inlined(np.uint64(out.size // 4), stream, c2, c3, k0, k1)
    for i in range(whole, out.size):
        out[i] += out.dtype.type(np.int64(last[i - whole] >> shift)) * unit


add_words.compiled_form = compiled_add_words  # type: ignore[attr-defined]


def normal(key, step, out):
    """out[i] = number i of the standard normal distribution, two numbers from two.

        z₁ = √(-2 log(1 - u₁)) cos 2πu₂,   z₂ = √(-2 log(1 - u₁)) sin 2πu₂

    Args: as of `uniform`; out has an even size.
    Numerics: u₂ less the nearest quarter is exact, so sine and cosine are accurate on the whole circle.
    Source: Box and Muller, A note on the generation of random normal deviates (1958).
    """
    uniform(key, step, out)
    for i in range(0, out.size, 2):
        radius = np.sqrt(-2 * np.log(1 - out[i]))
        cosine, sine = circle(out[i + 1])
        out[i], out[i + 1] = radius * cosine, radius * sine


def circle(u):
    """cos 2πu and sin 2πu of a number of [0, 1]: a point of the unit circle."""
    quarter = np.floor(4 * u + 0.5)
    t = TURN * (u - quarter / 4)
    s, c = t * polynomial(t * t, SINE), polynomial(t * t, COSINE)
    odd = quarter == 1 or quarter == 3
    cosine, sine = (s, c) if odd else (c, s)
    return -cosine if quarter == 1 or quarter == 2 else cosine, -sine if quarter == 2 or quarter == 3 else sine


def polynomial(x, coefficients):
    """Horner's rule, the highest power first."""
    total = coefficients[0]
    for k in range(1, len(coefficients)):
        total = total * x + coefficients[k]
    return total
