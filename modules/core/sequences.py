"""The base of modules that take sequences (N, T, ...) with the lengths of the samples, and the checks of lengths."""

import numpy as np

from .module import Module


class SequenceModule(Module):
    """Base of modules `fprop(x, lengths=None)`: x (N, T, ...), lengths (N,) whole numbers from 1 to T.

    Sample n has lengths[n] real steps; what follows is padding, which fprop and bprop neither read nor count, and which
    is zero in outputs that are sequences, and in grad_x. Without lengths all steps are real. bprop returns grad_x
    alone.

    Errors: ValueError for lengths of another shape, and for one below 1 or above T; it names the first such row.
    """

    framework_base = True
    takes_lengths = True
    label_arguments = (1,)

    def __call__(self, x, lengths=None):
        """`fprop`."""
        return self.fprop(x) if lengths is None else self.fprop(x, lengths)  # type: ignore[call-arg]

    def _enter_fprop(self, raw, x, lengths=None):  # type: ignore[override]
        if lengths is None:
            return super()._enter_fprop(raw, x)
        check_lengths(self, np.shape(self.padded_part(x)), lengths)
        return super()._enter_fprop(raw, x, lengths)

    def padded_part(self, x):
        """The part of x whose lengths are given, of arrays or of shapes: of a table, one of them."""
        return x

    def check_arguments(self, *shapes):
        if len(shapes) > 1:
            check_lengths_shape(self, self.padded_part(shapes[0]), shapes[1])
        return super().check_arguments(shapes[0])


def check_lengths_shape(module: Module, x_shape: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raise ValueError unless there is one length for each sample."""
    if tuple(shape) != tuple(x_shape[:1]):
        raise ValueError(f"{module.label()}: lengths has shape {tuple(shape)}, expected {tuple(x_shape[:1])}")


def check_lengths(module: Module, x_shape: tuple[int, ...], lengths) -> None:
    """Raise ValueError that names the first row of a length that is not from 1 to T; x (N, T, ...)."""
    check_lengths_shape(module, x_shape, np.shape(lengths))
    numbers = np.asarray(lengths)
    if len(x_shape) < 2 or numbers.dtype.kind not in "fiub":
        return  # refused by what reads them
    wrong = np.flatnonzero(~((numbers >= 1) & (numbers <= x_shape[1])))
    if wrong.size:
        raise ValueError(
            f"{module.label()}: length {numbers[wrong[0]]:g} in row {wrong[0]}, expected 1 to {x_shape[1]}, "
            "the steps of x"
        )


def as_sequence_shape(module: Module, shape: tuple[int, ...], features: int | None = None) -> tuple[int, ...]:
    """Check that a shape is (N, T, features), and return it; ValueError if not. features: None for any number."""
    if len(shape) != 3 or (features is not None and shape[2] != features) or min(shape[1:]) < 1:
        raise ValueError(f"{module.label()}: x has shape {tuple(shape)}, expected (N, T, {features or 'D'})")
    return tuple(shape)
