"""The chain of modules whose input is a minibatch of sequences of unequal length, padded, with the lengths."""

import numpy as np

from ..core.internal_op import InternalOp
from ..core.sequences import check_lengths, check_lengths_shape
from ..engine.tables import is_table, is_table_of_shapes
from .container import check_table
from .sequential import Sequential


class LengthsSource(InternalOp):
    """Passes lengths on, and returns zeros as their gradient."""

    label_arguments = (0,)
    locally_linear = True

    def __init__(self):
        super().__init__()
        self.zeros = np.empty(0)

    def fprop(self, lengths):
        if self.zeros.size != lengths.size:
            self.zeros = np.zeros(lengths.size, self.zeros.dtype)
        return lengths

    def bprop(self, grad):
        return self.zeros

    def jvp(self, v):
        return v


class Padded(Sequential):
    """A chain of modules over padded sequences, whose input is a table (x, lengths); who takes lengths gets both.

        y      = fₖ(... f₂(f₁(x, lengths), lengths)), where fᵢ takes lengths if it has `takes_lengths`, else x alone
        grad_x = J₁ᵀ J₂ᵀ ... Jₖᵀ grad_y

    Modules that take lengths: RNN, LSTM, GRU, LastStep, MeanOverTime, MaxOverTime and others; each skips the padded
    steps. Modules such as Linear, which see each step by itself, compute padded steps like all others: put what does
    not need the sequence after LastStep or a mean.

    Shapes: x (N, T, ...) and lengths (N,), whole numbers from 1 to T; y what the last module makes. bprop returns a
        table (grad_x, zeros (N,)).
    Args: modules: at least one; each may stand in one model only.
    Errors: ValueError for an x that is no table of two arrays, and for lengths below 1 or above T, the first such row.
    Source: PyTorch's pack_padded_sequence, whose packed sequences its recurrent layers take.
    """

    framework_base = True

    def _enter_fprop(self, raw, x):
        if is_table(x) and len(x) == 2:
            check_lengths(self, np.shape(x[0]), x[1])
        return super()._enter_fprop(raw, x)

    def call_fprop(self, call, x):
        check_table(self, x, 2)
        y, lengths = x
        lengths = call(self.get_op("_lengths", LengthsSource), "fprop", lengths)
        for module in self:
            y = call(module, "fprop", y, lengths) if module.takes_lengths else call(module, "fprop", y)
        return y

    def call_bprop(self, call, grad_y):
        grad_x = super().call_bprop(call, grad_y)
        return grad_x, call(self.get_op("_lengths", LengthsSource), "bprop", grad_x)

    def output_shape(self, input_shape):
        if not is_table_of_shapes(input_shape) or len(input_shape) != 2:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected a table (x, lengths)")
        check_lengths_shape(self, input_shape[0], input_shape[1])
        return super().output_shape(input_shape)
