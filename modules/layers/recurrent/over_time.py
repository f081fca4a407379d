"""From a sequence to one vector: its last real step, and the mean and the maximum over its real steps."""

import numpy as np

from ...core.sequences import SequenceModule, as_sequence_shape
from ...kernels.buffers import reuse
from ...kernels.recurrent.arrangement import are_lengths, reserve_numbers


class OverTime(SequenceModule):
    """Base of modules that make one vector (N, D) of each sequence (N, T, D); `self.ends` (N,) are the lengths."""

    def __init__(self):
        super().__init__()
        self.ends = np.empty(0, np.int64)
        self.y, self.grad_x = np.empty((0, 0)), np.empty((0, 0, 0))

    def take_lengths(self, x, lengths):
        """Store the lengths of the samples, and allocate y and grad_x."""
        self.ends = reserve_numbers(self.ends, x.shape[0])
        if lengths is None:
            self.ends[: x.shape[0]] = x.shape[1]
        else:
            if not are_lengths(lengths, x.shape[1]):
                raise ValueError("lengths: got one below 1 or above the number of steps, expected 1 to T")
            self.ends[: x.shape[0]] = lengths
        self.y = reuse(self.y, (x.shape[0], x.shape[2]), x.dtype)
        self.grad_x = reuse(self.grad_x, x.shape, x.dtype)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        samples, _, features = as_sequence_shape(self, input_shape)
        return samples, features


class LastStep(OverTime):
    """Selects the last real step of each sequence.

        y[n]                     = x[n, lengths[n] - 1]
        grad_x[n, lengths[n] - 1] = grad_y[n], and 0 elsewhere

    Shapes: x (N, T, D), y (N, D), lengths (N,), by default T each.
    Errors: ValueError for an x of another shape, and for lengths below 1 or above T.
    Source: PyTorch's pad_packed_sequence, and the rows that its users select from the result.
    """

    locally_linear = True

    def fprop(self, x, lengths=None):  # type: ignore[override]
        self.take_lengths(x, lengths)
        for n in range(x.shape[0]):
            row, y = x[n, self.ends[n] - 1], self.y[n]
            for k in range(y.size):
                y[k] = row[k]
        return self.y

    def bprop(self, grad_y):
        self.grad_x[:] = 0
        for n in range(grad_y.shape[0]):
            row, grad = self.grad_x[n, self.ends[n] - 1], grad_y[n]
            for k in range(grad.size):
                row[k] = grad[k]
        return self.grad_x

    def jvp(self, v, v_lengths=None):
        """The last real step of v."""
        out = np.empty(self.y.shape, v.dtype)
        for n in range(v.shape[0]):
            for k in range(v.shape[2]):
                out[n, k] = v[n, self.ends[n] - 1, k]
        return out


class MeanOverTime(OverTime):
    """Averages each sequence over its real steps.

        y[n]         = Σₜ x[n, t] / lengths[n], over t < lengths[n]
        grad_x[n, t] = grad_y[n] / lengths[n] where t < lengths[n], else 0

    Shapes: x (N, T, D), y (N, D), lengths (N,), by default T each.
    Errors: ValueError for an x of another shape, and for lengths below 1 or above T.
    Source: Keras' GlobalAveragePooling1D with a mask.
    """

    locally_linear = True

    def fprop(self, x, lengths=None):  # type: ignore[override]
        self.take_lengths(x, lengths)
        for n in range(x.shape[0]):
            y = self.y[n]
            y[:] = 0
            for t in range(self.ends[n]):
                row = x[n, t]
                for k in range(y.size):
                    y[k] += row[k]
            for k in range(y.size):
                y[k] /= self.ends[n]
        return self.y

    def bprop(self, grad_y):
        for n in range(grad_y.shape[0]):
            grad = grad_y[n]
            for t in range(self.grad_x.shape[1]):
                row = self.grad_x[n, t]
                if t < self.ends[n]:
                    for k in range(grad.size):
                        row[k] = grad[k] / self.ends[n]
                else:
                    row[:] = 0
        return self.grad_x

    def jvp(self, v, v_lengths=None):
        """The mean of v."""
        out = np.zeros(self.y.shape, v.dtype)
        for n in range(v.shape[0]):
            for t in range(self.ends[n]):
                for k in range(v.shape[2]):
                    out[n, k] += v[n, t, k] / self.ends[n]
        return out


class MaxOverTime(OverTime):
    """Takes the maximum of each feature over the real steps of a sequence.

        y[n, d]         = max over t < lengths[n] of x[n, t, d]
        grad_x[n, t, d] = grad_y[n, d] at the first t with the maximum, else 0

    Shapes: x (N, T, D), y (N, D), lengths (N,), by default T each.
    Numerics: a NaN among the real steps is the maximum, as in PyTorch.
    Errors: ValueError for an x of another shape, and for lengths below 1 or above T.
    Source: Collobert et al., Natural language processing (almost) from scratch (2011), section 3.2.2; Keras'
        GlobalMaxPooling1D with a mask.
    """

    locally_linear = True
    kinks_meet = True

    def __init__(self):
        super().__init__()
        self.places = np.empty((0, 0), np.int64)

    def fprop(self, x, lengths=None):  # type: ignore[override]
        self.take_lengths(x, lengths)
        self.places = reuse(self.places, self.y.shape, np.int64)
        for n in range(x.shape[0]):
            y, places = self.y[n], self.places[n]
            y[:] = x[n, 0]
            places[:] = 0
            for t in range(1, self.ends[n]):
                row = x[n, t]
                for k in range(y.size):
                    if row[k] > y[k] or (row[k] != row[k] and y[k] == y[k]):
                        y[k], places[k] = row[k], t
        return self.y

    def bprop(self, grad_y):
        self.grad_x[:] = 0
        for n in range(grad_y.shape[0]):
            for k in range(grad_y.shape[1]):
                self.grad_x[n, self.places[n, k], k] = grad_y[n, k]
        return self.grad_x

    def jvp(self, v, v_lengths=None):
        """The numbers of v where x has its maxima."""
        out = np.empty(self.y.shape, v.dtype)
        for n in range(v.shape[0]):
            for k in range(v.shape[2]):
                out[n, k] = v[n, self.places[n, k], k]
        return out
