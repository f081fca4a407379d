"""Python's built-in functions that numba does not have, for compiled methods: `reversed`."""

from ..compiler.numba_api import overload, types


@overload(reversed)
def compiled_reversed(sequence):
    """`reversed` of a range, as a range, and of an array, as a view."""
    if isinstance(sequence, types.RangeType):
        return reverse_range
    return (lambda sequence: sequence[::-1]) if isinstance(sequence, types.Array) else None


def reverse_range(sequence):
    """The range of the same numbers, the last one first."""
    last = sequence.start + (len(sequence) - 1) * sequence.step
    return range(last, sequence.start - sequence.step, -sequence.step)
