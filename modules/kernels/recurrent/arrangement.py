"""Minibatches of sequences, arranged by time step: at each step the rows of the samples that are that long, no others.

Samples are ranked by length, the longest first. Then the rows of step t are those of ranks 0 to counts[t] - 1, packed
one after another, and step t begins at row starts[t]: what PyTorch calls a packed sequence. A step's rows are
contiguous, and the products over all steps see no padding.
"""

import numpy as np

from ...compiler.kernel import kernel
from ..buffers import empty


def are_lengths(lengths, steps):
    """Whether all lengths are from 1 to the number of steps."""
    wrong = 0
    for n in range(lengths.size):
        wrong += lengths[n] < 1 or lengths[n] > steps
    return wrong == 0


def rank_samples(lengths, steps, order, ends, counts, starts):
    """Rank the samples by length, in `order` (N,), with their lengths in `ends` (N,); see `start_steps`."""
    counts[: steps + 1] = 0
    for n in range(lengths.size):
        counts[lengths[n] - 1] += 1
    for s in range(steps):  # from the last step on
        counts[steps - 1 - s] += counts[steps - s]
    starts[: steps + 1] = counts[: steps + 1]  # the first rank of each length
    for n in range(lengths.size):
        rank = starts[lengths[n]]
        starts[lengths[n]] += 1
        order[rank], ends[rank] = n, lengths[n]


def rank_equal_samples(samples, steps, order, ends, counts):
    """The same where all samples have all steps."""
    for n in range(samples):
        order[n], ends[n] = n, steps
    counts[:steps] = samples
    counts[steps] = 0


def start_steps(steps, order, counts, starts, places, first_rows):
    """Find the first row of each step in `starts`, and where each row stands in x.

    places: row p of a packed sequence is row places[p] of x (N T, ...); first_rows (2, N): the row of each rank's first
    step in each direction.
    """
    starts[0] = 0
    for t in range(steps):
        starts[t + 1] = starts[t] + counts[t]
        for r in range(counts[t]):
            places[starts[t] + r] = order[r] * steps + t
            first_rows[1, r] = starts[t] + r
    for r in range(counts[0]):
        first_rows[0, r] = r


def gather_rows(source, places, target):
    """target[p] = source[places[p]] for each row of target."""
    target[...] = source[places[: len(target)]]


def scatter_rows(source, places, target):
    """target[places[p]] = source[p] for each row of source."""
    target[places[: len(source)]] = source


def write_columns(source, places, column, target):
    """target[places[n], column:...] = source[n]; places (n,)."""
    target[places, column : column + source.shape[1]] = source


def add_columns(source, places, column, target):
    """target[n] += source[places[n], column:...]; places (n,)."""
    target += source[places, column : column + target.shape[1]]


def fill_rows(rows, target, first, number):
    """target[first + rows[r]] = number for each r."""
    target[first + rows] = number


def copy_states(state, order, rows, target, first):
    """target[first + rows[r]] = state[order[r]] for each r; state (N, H)."""
    target[first + rows] = state[order[: len(rows)]]


def store_states(source, first, order, samples, state):
    """state[order[r]] = source[first + r] for each rank r; state (N, H)."""
    state[order[:samples]] = source[first : first + samples]


def zero_padding(order, ends, samples, target):
    """target[order[r], ends[r]:] = 0 for each rank r; target (N, T, ...)."""
    for r in range(samples):
        target[order[r], ends[r] :] = 0


@kernel
def compiled_gather_rows(source, places, target):
    """The compiled form of `gather_rows`."""
    for p in range(target.shape[0]):
        row, to = source[places[p]], target[p]
        for k in range(to.size):
            to[k] = row[k]


@kernel
def compiled_scatter_rows(source, places, target):
    """The compiled form of `scatter_rows`."""
    for p in range(source.shape[0]):
        row, to = source[p], target[places[p]]
        for k in range(to.size):
            to[k] = row[k]


@kernel
def compiled_write_columns(source, places, column, target):
    """The compiled form of `write_columns`."""
    for n in range(source.shape[0]):
        row = source[n]
        to = target[places[n], column : column + row.size]
        for k in range(row.size):
            to[k] = row[k]


@kernel
def compiled_add_columns(source, places, column, target):
    """The compiled form of `add_columns`."""
    for n in range(target.shape[0]):
        to = target[n]
        row = source[places[n], column : column + to.size]
        for k in range(to.size):
            to[k] += row[k]


@kernel
def compiled_fill_rows(rows, target, first, number):
    """The compiled form of `fill_rows`."""
    for r in range(rows.size):
        to = target[first + rows[r]]
        for k in range(to.size):
            to[k] = number


@kernel
def compiled_copy_states(state, order, rows, target, first):
    """The compiled form of `copy_states`."""
    for r in range(rows.size):
        row, to = state[order[r]], target[first + rows[r]]
        for k in range(to.size):
            to[k] = row[k]


@kernel
def compiled_store_states(source, first, order, samples, state):
    """The compiled form of `store_states`."""
    for r in range(samples):
        row, to = source[first + r], state[order[r]]
        for k in range(to.size):
            to[k] = row[k]


gather_rows.compiled_form = compiled_gather_rows  # type: ignore[attr-defined]
scatter_rows.compiled_form = compiled_scatter_rows  # type: ignore[attr-defined]
write_columns.compiled_form = compiled_write_columns  # type: ignore[attr-defined]
add_columns.compiled_form = compiled_add_columns  # type: ignore[attr-defined]
fill_rows.compiled_form = compiled_fill_rows  # type: ignore[attr-defined]
copy_states.compiled_form = compiled_copy_states  # type: ignore[attr-defined]
store_states.compiled_form = compiled_store_states  # type: ignore[attr-defined]


def reserve(buffer, rows, columns, dtype):
    """`buffer` if it has so many rows or more, and these columns, else a new one; the contents are not defined."""
    if buffer.shape[0] >= rows and buffer.shape[1] == columns:
        return buffer
    return empty((rows, columns), dtype)


def reserve_numbers(buffer, size):
    """`buffer` if it has so many whole numbers or more, else a new one; the contents are not defined."""
    if buffer.size >= size:
        return buffer
    return np.empty(size, np.int64)
