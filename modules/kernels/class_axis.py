"""Gathering numbers along any axis into one row for each place, and scattering them back."""

import numpy as np

from .buffers import replace_size


def class_axis_of(axis, ndim):
    """Find the class axis: of (N, K) always the last, else the one in the arguments, negative from the end."""
    return 1 if ndim == 2 else axis % ndim


def drop_size(shape, axis):
    """Drop the class axis, None for the last one, from a shape."""
    rest = shape[1:]
    place = len(rest) if axis is None else class_axis_of(axis, len(shape))
    for k in range(len(rest)):
        rest = replace_size(rest, k, shape[k if k < place else k + 1])
    return rest


def split_shape(shape, axis):
    """(before, after): the products of the sizes before and after an axis."""
    before = after = 1
    for k in range(len(shape)):
        if k < axis:
            before *= shape[k]
        elif k > axis:
            after *= shape[k]
    return before, after


def copy_to_rows(x, classes, axis, rows):
    """rows[b * after + a, k] = x[b, k, a], for x (before, classes, after) with the class axis in the middle."""
    copy_axis_to_rows(x, class_axis_of(axis, x.ndim), rows)


def copy_from_rows(rows, axis, out):
    """out[b, k, a] = rows[b * after + a, k], the inverse of `copy_to_rows`; out is C-contiguous."""
    copy_axis_from_rows(rows, class_axis_of(axis, out.ndim), out)


def copy_axis_to_rows(x, axis, rows):
    """rows[b * after + a, k] = x[b, k, a], for x (before, K, after) in the order of its memory; rows (R, K)."""
    before, after = split_shape(x.shape, axis % x.ndim)
    blocks = np.ascontiguousarray(x).reshape((before, rows.shape[1], after))
    for b in range(before):
        for k in range(rows.shape[1]):
            for a in range(after):
                rows[b * after + a, k] = blocks[b, k, a]


def copy_axis_from_rows(rows, axis, out):
    """out[b, k, a] = rows[b * after + a, k], the inverse of `copy_axis_to_rows`; out is C-contiguous."""
    before, after = split_shape(out.shape, axis % out.ndim)
    blocks = out.reshape((before, rows.shape[1], after))
    for b in range(before):
        for k in range(rows.shape[1]):
            for a in range(after):
                blocks[b, k, a] = rows[b * after + a, k]
