"""Sequences of unequal length as rows of one matrix, without the padded steps."""


def fill_spans(spans, steps, lengths):
    """spans[n] = (first row, count) of each sample, one after another; returns the number of all rows.

    Args: lengths: of the samples (N,), or None where all have all steps.
    Errors: ValueError for a length that is not 1 to `steps`.
    """
    total = 0
    for n in range(spans.shape[0]):
        count = steps if lengths is None else lengths[n]
        if count < 1 or count > steps:
            raise ValueError("a length is not 1 to the number of steps")
        spans[n, 0], spans[n, 1] = total, count
        total += count
    return total


def pack_steps(x, spans, out):
    """out[spans[n, 0] + t] = x[n, t] of real steps; x (N, T, D), out (rows, D)."""
    for n in range(spans.shape[0]):
        for t in range(spans[n, 1]):
            source, row = x[n, t], out[spans[n, 0] + t]
            for k in range(row.size):
                row[k] = source[k]


def unpack_steps(rows, spans, out):
    """out[n, t] = rows[spans[n, 0] + t] of real steps, and zeros of padded ones; rows (rows, D), out (N, T, D)."""
    for n in range(spans.shape[0]):
        for t in range(out.shape[1]):
            row = out[n, t]
            if t < spans[n, 1]:
                source = rows[spans[n, 0] + t]
                for k in range(row.size):
                    row[k] = source[k]
            else:
                for k in range(row.size):
                    row[k] = 0


def clear_padded(x, lengths, out):
    """out[n, t] = x[n, t] for t < lengths[n], else 0; all (N, T, D)."""
    for n in range(x.shape[0]):
        for t in range(x.shape[1]):
            source, row = x[n, t], out[n, t]
            if t < lengths[n]:
                for k in range(row.size):
                    row[k] = source[k]
            else:
                for k in range(row.size):
                    row[k] = 0
