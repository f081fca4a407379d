"""One step of the simple recurrent layer for some rows, without its products, and its gradient."""

import numpy as np

from ...compiler.kernel import kernel
from ..elementary_functions import tanh

fast_tanh = tanh.compiled_form  # type: ignore[attr-defined]


def rnn_step(gates, bias, rectified, hidden):
    """h = tanh(gates + bias), or max(0, gates + bias) if rectified, in place in gates and in hidden; (n, H)."""
    gates += bias
    gates[...] = np.maximum(gates, 0) if rectified else np.tanh(gates)
    hidden[...] = gates


def rnn_step_bprop(gates, rectified, grad_hidden, grad_gates):
    """grad_gates = grad_h (1 - h²), or grad_h where h > 0; gates holds h."""
    grad_gates[...] = grad_hidden * (gates > 0) if rectified else grad_hidden * (1 - gates * gates)


@kernel
def compiled_rnn_step(gates, bias, rectified, hidden):
    """The compiled form of `rnn_step`."""
    zero = gates.dtype.type(0)
    for n in range(gates.shape[0]):
        row, h = gates[n], hidden[n]
        if rectified:
            for k in range(row.size):
                number = row[k] + bias[k]
                row[k] = zero if number < zero else number  # NaN stays
        else:
            for k in range(row.size):
                row[k] = fast_tanh(row[k] + bias[k])
        for k in range(h.size):
            h[k] = row[k]


@kernel
def compiled_rnn_step_bprop(gates, rectified, grad_hidden, grad_gates):
    """The compiled form of `rnn_step_bprop`."""
    zero, one = gates.dtype.type(0), gates.dtype.type(1)
    for n in range(gates.shape[0]):
        h, grad_h, grad = gates[n], grad_hidden[n], grad_gates[n]
        if rectified:
            for k in range(grad.size):
                grad[k] = grad_h[k] if h[k] > zero else zero
        else:
            for k in range(grad.size):
                grad[k] = grad_h[k] * (one - h[k] * h[k])


rnn_step.compiled_form = compiled_rnn_step  # type: ignore[attr-defined]
rnn_step_bprop.compiled_form = compiled_rnn_step_bprop  # type: ignore[attr-defined]
