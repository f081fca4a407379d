"""One step of the LSTM for some rows, without its products: gates, cell and hidden state, and their gradients.

The plain functions are NumPy; the compiled ones go row by row through loops of few arrays, so that LLVM vectorises
them. Gates lie in the order i, f, g, o, as in PyTorch.
"""

import numpy as np

from ...compiler.kernel import kernel
from ..elementary_functions import sigmoid, tanh

fast_sigmoid, fast_tanh = sigmoid.compiled_form, tanh.compiled_form  # type: ignore[attr-defined]


def lstm_step(gates, bias, cell, next_cell, tanh_cell, hidden):
    """i, f, o = sigmoid, g = tanh of gates + bias, in place; c' = f c + i g; h = o tanh c'.

    Shapes: gates (n, 4 H), bias (4 H,), cell, next_cell, tanh_cell, hidden (n, H).
    """
    size = cell.shape[1]
    gates += bias
    i, f, g, o = (gates[:, k * size : (k + 1) * size] for k in range(4))
    i[...], f[...], g[...], o[...] = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    next_cell[...] = f * cell + i * g
    tanh_cell[...] = np.tanh(next_cell)
    hidden[...] = o * tanh_cell


def lstm_step_bprop(gates, cell, tanh_cell, grad_hidden, grad_cell, grad_gates):
    """The gradients of the gates before their functions, and of the cell state before the step, in place.

        grad_c += grad_h o (1 - tanh² c')
        grad_i = grad_c g i (1 - i),   grad_f = grad_c c f (1 - f),   grad_g = grad_c i (1 - g²)
        grad_o = grad_h tanh c' o (1 - o),   grad_c = grad_c f

    Shapes: as of `lstm_step`; cell is that before the step.
    """
    size = cell.shape[1]
    i, f, g, o = (gates[:, k * size : (k + 1) * size] for k in range(4))
    grad_i, grad_f, grad_g, grad_o = (grad_gates[:, k * size : (k + 1) * size] for k in range(4))
    grad_o[...] = grad_hidden * tanh_cell * o * (1 - o)
    grad_cell += grad_hidden * o * (1 - tanh_cell * tanh_cell)
    grad_f[...] = grad_cell * cell * f * (1 - f)
    grad_i[...] = grad_cell * g * i * (1 - i)
    grad_g[...] = grad_cell * i * (1 - g * g)
    grad_cell *= f


@kernel
def compiled_lstm_step(gates, bias, cell, next_cell, tanh_cell, hidden):
    """The compiled form of `lstm_step`."""
    size = cell.shape[1]
    bias_if, bias_g, bias_o = bias[: 2 * size], bias[2 * size : 3 * size], bias[3 * size : 4 * size]
    for n in range(cell.shape[0]):
        row = gates[n]
        both, g, o = row[: 2 * size], row[2 * size : 3 * size], row[3 * size : 4 * size]
        i, f = row[:size], row[size : 2 * size]
        old, new, squashed, h = cell[n], next_cell[n], tanh_cell[n], hidden[n]
        for k in range(both.size):
            both[k] = fast_sigmoid(both[k] + bias_if[k])
        for k in range(g.size):
            g[k] = fast_tanh(g[k] + bias_g[k])
        for k in range(o.size):
            o[k] = fast_sigmoid(o[k] + bias_o[k])
        for k in range(new.size):
            new[k] = f[k] * old[k] + i[k] * g[k]
        for k in range(squashed.size):
            squashed[k] = fast_tanh(new[k])
        for k in range(h.size):
            h[k] = o[k] * squashed[k]


@kernel
def compiled_lstm_step_bprop(gates, cell, tanh_cell, grad_hidden, grad_cell, grad_gates):
    """The compiled form of `lstm_step_bprop`."""
    size, one = cell.shape[1], gates.dtype.type(1)
    for n in range(cell.shape[0]):
        row, grad = gates[n], grad_gates[n]
        i, f, g, o = row[:size], row[size : 2 * size], row[2 * size : 3 * size], row[3 * size : 4 * size]
        grad_i, grad_f, grad_g = grad[:size], grad[size : 2 * size], grad[2 * size : 3 * size]
        grad_o = grad[3 * size : 4 * size]
        old, squashed, grad_h, grad_c = cell[n], tanh_cell[n], grad_hidden[n], grad_cell[n]
        for k in range(grad_o.size):
            grad_o[k] = grad_h[k] * squashed[k] * o[k] * (one - o[k])
        for k in range(grad_c.size):
            grad_c[k] += grad_h[k] * o[k] * (one - squashed[k] * squashed[k])
        for k in range(grad_f.size):
            grad_f[k] = grad_c[k] * old[k] * f[k] * (one - f[k])
        for k in range(grad_i.size):
            grad_i[k] = grad_c[k] * g[k] * i[k] * (one - i[k])
        for k in range(grad_g.size):
            grad_g[k] = grad_c[k] * i[k] * (one - g[k] * g[k])
        for k in range(grad_c.size):
            grad_c[k] *= f[k]


lstm_step.compiled_form = compiled_lstm_step  # type: ignore[attr-defined]
lstm_step_bprop.compiled_form = compiled_lstm_step_bprop  # type: ignore[attr-defined]
