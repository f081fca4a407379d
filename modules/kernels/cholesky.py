"""Cholesky factors of small symmetric matrices, and what is computed from them, in double precision."""

import numba
import numpy as np


def view_as_doubles(buffer):
    """View the memory of a vector as float64; as Python, the vector itself where it holds traced numbers."""
    return buffer if buffer.dtype == object else buffer.view(np.float64)


view_as_doubles.compiled_form = numba.njit(  # type: ignore[attr-defined]
    lambda buffer: buffer.view(np.float64), no_cpython_wrapper=True, no_cfunc_wrapper=True
)


def factorize(matrix, floor):
    """Replace a symmetric matrix S (D, D) by its lower Cholesky factor L, S = L Lᵀ; returns log det S.

    A squared pivot below `floor` becomes `floor`: of a matrix S = B Bᵀ + floor I, none is, but for rounding.
    """
    log_determinant = np.float64(0)
    for j in range(matrix.shape[0]):
        pivot = matrix[j, j]
        for k in range(j):
            pivot -= matrix[j, k] * matrix[j, k]
        if pivot < floor:  # NaN stays NaN
            pivot = np.float64(floor)
        log_determinant += np.log(pivot)
        root = np.sqrt(pivot)
        matrix[j, j] = root
        for i in range(j + 1, matrix.shape[0]):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = total / root
    return log_determinant


def solve(factor, b):
    """Replace b (D,) by S⁻¹ b, S = L Lᵀ, by a forward and a backward substitution."""
    for i in range(b.size):
        total = b[i]
        for k in range(i):
            total -= factor[i, k] * b[k]
        b[i] = total / factor[i, i]
    for i in range(b.size - 1, -1, -1):
        total = b[i]
        for k in range(i + 1, b.size):
            total -= factor[k, i] * b[k]
        b[i] = total / factor[i, i]


def invert(factor, inverse):
    """Write S⁻¹, S = L Lᵀ, column by column."""
    for j in range(factor.shape[0]):
        column = inverse[j]  # which is row j too, as S⁻¹ is symmetric
        column[:] = 0
        column[j] = 1
        solve(factor, column)
