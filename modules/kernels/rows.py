"""Rows of a table by their numbers: read, added to, cleared and shortened, as embeddings need them.

Whoever adds to rows divides the columns among the threads: each sees the tokens in their order, so that the sums are
the same bits for any number of threads.
"""

import numpy as np

from .threads import MOVE_FLOPS, parallel_for

COLUMNS = 64  # that one thread adds up


def read_rows(tokens, left_out, table, out):
    """out[i] = table[tokens[i]], zeros where a token is `left_out`; tokens (n,), table (V, D), out (n, D)."""
    parallel_for(copy_some_rows, tokens.size, MOVE_FLOPS * out.size, tokens, left_out, table, out)


def copy_some_rows(first, last, tokens, left_out, table, out):
    """The rows `first` to `last` of `read_rows`."""
    for i in range(first, last):
        source, target = table[tokens[i]], out[i]
        if tokens[i] == left_out:
            target[:] = 0
        else:
            for k in range(target.size):
                target[k] = source[k]


def add_to_table(tokens, left_out, rows, table):
    """table[tokens[i]] += rows[i], except where a token is `left_out`; tokens (n,), rows (n, D), table (V, D)."""
    blocks = -(-rows.shape[1] // COLUMNS)
    parallel_for(add_some_columns, blocks, MOVE_FLOPS * rows.size, tokens, left_out, rows, table)


def add_some_columns(first, last, tokens, left_out, rows, table):
    """Some blocks of columns of `add_to_table`."""
    begin, end = first * COLUMNS, last * COLUMNS
    for i in range(tokens.size):
        if tokens[i] != left_out:
            source, target = rows[i][begin:end], table[tokens[i]][begin:end]
            for k in range(source.size):
                target[k] += source[k]


def list_distinct(tokens, marks, number, out):
    """Write each token once, in the order in which they occur; returns how many there are.

    Args: marks (V,): by token the number of the last call in which it occurred; number: of this call.
    """
    count = 0
    for i in range(tokens.size):
        if marks[tokens[i]] != number:
            marks[tokens[i]] = number
            out[count] = tokens[i]
            count += 1
    return count


def clear_rows(tokens, count, table):
    """table[tokens[i]] = 0 for i < count."""
    for i in range(count):
        row = table[tokens[i]]
        for k in range(row.size):
            row[k] = 0


def compute_p_norm(row, p):
    """(Σₖ |row[k]|ᵖ)^(1/p), summed in float64; p = inf: the largest."""
    total = np.float64(0)
    for k in range(row.size):
        size = abs(np.float64(row[k]))
        if p == 2:
            total += size * size
        elif p == np.inf:
            total = max(total, size)
        elif p == 1:
            total += size
        else:
            total += size**p
    return np.sqrt(total) if p == 2 else (total if p == 1 or p == np.inf else total ** (1 / p))


def shorten_row(row, max_norm, p):
    """Scale a row that is longer than max_norm to that length, as PyTorch does."""
    norm = compute_p_norm(row, p)
    if norm > max_norm:
        scale = row.dtype.type(max_norm / (norm + 1e-7))
        for k in range(row.size):
            row[k] *= scale


def shorten_rows(tokens, table, max_norm, p):
    """`shorten_row` of table[tokens[i]], one after the other."""
    for i in range(tokens.size):
        shorten_row(table[tokens[i]], max_norm, p)
