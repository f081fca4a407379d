"""Rotary positions: pairs of numbers of a query or key are turned by angles that grow with its position."""

import numpy as np


def fill_rotations(base, table):
    """table[t] = [cos t f₀, ... cos t fₖ, sin t f₀, ... sin t fₖ], fⱼ = base^(-j / half); table (T, 2 half).

    Numerics: angles in float64.
    """
    half = table.shape[1] // 2
    for t in range(table.shape[0]):
        for j in range(half):
            angle = np.float64(t) * np.float64(base) ** (-np.float64(j) / np.float64(half))
            table[t, j], table[t, half + j] = np.cos(angle), np.sin(angle)


def rotate_rows(first, last, numbers, row, spans, past, heads, table, back):
    """Turn the heads at the beginning of each row of some samples; back: by the opposite angles.

        a' = a cos φ - b sin φ,   b' = a sin φ + b cos φ

    with a the first half of a head, b the second and φ the angles of the row's position in its sample, plus `past`.
    The backward pass of a rotation is the opposite one.

    Args: numbers: a vector, `row` numbers a row; spans (N, 2): first row and count of each sample; table: of
        `fill_rotations`.
    """
    size = table.shape[1]
    half = size // 2
    for n in range(first, last):
        for t in range(spans[n, 1]):
            angles, at = table[past + t], (spans[n, 0] + t) * row
            for head in range(heads):
                a, b = numbers[at + head * size : at + head * size + half], numbers[at + head * size + half :]
                for k in range(half):
                    cosine, sine = angles[k], -angles[half + k] if back else angles[half + k]
                    x, y = a[k], b[k]
                    a[k] = x * cosine - y * sine
                    b[k] = x * sine + y * cosine
