"""Checks of plain numbers that every data set's arguments go through. One function per kind of number,
one sentence per error."""

from __future__ import annotations

import math

import numpy as np


def check_whole_number(who: str, name: str, value: int, *, least: int = 0, most: int = 2**64 - 1) -> int:
    """Return `value` as an int.

    Errors: ValueError unless value is an int (or NumPy integer, but not a bool) in [least, most].
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        bounds = f"of at least {least}" if most == 2**64 - 1 else f"from {least} to {most}"
        raise ValueError(f"{who}: {name} is {value}, expected a whole number {bounds}")
    return int(value)


def check_finite_number(who: str, name: str, value: float) -> float:
    """Return `value` as a float.

    Errors: ValueError for NaN and infinity.
    """
    if not np.isfinite(value):
        raise ValueError(f"{who}: {name} is {value}, expected a finite number")
    return float(value)


def count_samples(who: str, name: str, size: float, n: int) -> int:
    """Number of samples that `size` means in a set of `n`: an int counts samples, a float is a fraction
    of the set.

    A fraction above 0 gives at least one sample; it is rounded to the nearest number of samples, halves up,
    so that fractions that add up to 1 take all samples.
    Errors: ValueError unless 0 <= size < n (an int) or 0 <= size < 1 (a float).
    """
    whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
    if isinstance(size, bool) or not 0 <= size < (n if whole else 1):
        raise ValueError(
            f"{who}: {name} is {size}, expected a fraction from 0.0 up to but not including 1.0, "
            f"or a number of samples below {n}"
        )
    if whole or size == 0:
        return int(size)
    return max(1, math.floor(n * size + 0.5))
