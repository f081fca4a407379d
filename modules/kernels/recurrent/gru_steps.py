"""One step of the GRU for some rows, without its products: gates and hidden state, and their gradients.

Gates lie in the order r, z, n, as in PyTorch, whose candidate n applies the reset gate after the product:
n = tanh(W_in x + b_in + r (W_hn h + b_hn)).
"""

import numpy as np

from ...compiler.kernel import kernel
from ..elementary_functions import sigmoid, tanh

fast_sigmoid, fast_tanh = sigmoid.compiled_form, tanh.compiled_form  # type: ignore[attr-defined]


def gru_step(gates, products, bias, old, inner, hidden):
    """r, z = sigmoid(gates + products + bias), n = tanh(gates + b_in + r inner), in place in gates; h = n + z (h - n).

    Shapes: gates = x W_ihᵀ (n, 3 H), products = h W_hhᵀ (n, 3 H), bias (4 H,): of r and z both together, b_in, b_hn;
        old is the h before the step, inner = W_hn h + b_hn and hidden, the h after it, are written, all (n, H).
    """
    size = old.shape[1]
    r, z, n = (gates[:, k * size : (k + 1) * size] for k in range(3))
    r[...] = sigmoid(r + products[:, :size] + bias[:size])
    z[...] = sigmoid(z + products[:, size : 2 * size] + bias[size : 2 * size])
    inner[...] = products[:, 2 * size :] + bias[3 * size :]
    n[...] = np.tanh(n + bias[2 * size : 3 * size] + r * inner)
    hidden[...] = n + z * (old - n)


def gru_step_bprop(gates, inner, old, grad_hidden, grad_gates, grad_products):
    """The gradients of both products, and in place the direct part of that of the h before the step.

        grad_z = grad_h (h - n) z (1 - z),   grad_n = grad_h (1 - z) (1 - n²),   grad_r = grad_n inner r (1 - r)
        grad_products = grad_r, grad_z, grad_n r,   grad_h = grad_h z

    Shapes: as of `gru_step`.
    """
    size = old.shape[1]
    r, z, n = (gates[:, k * size : (k + 1) * size] for k in range(3))
    grad_r, grad_z, grad_n = (grad_gates[:, k * size : (k + 1) * size] for k in range(3))
    grad_z[...] = grad_hidden * (old - n) * z * (1 - z)
    grad_n[...] = grad_hidden * (1 - z) * (1 - n * n)
    grad_r[...] = grad_n * inner * r * (1 - r)
    grad_products[:, : 2 * size] = grad_gates[:, : 2 * size]
    grad_products[:, 2 * size :] = grad_n * r
    grad_hidden *= z


@kernel
def compiled_gru_step(gates, products, bias, old, inner, hidden):
    """The compiled form of `gru_step`."""
    size = old.shape[1]
    bias_both, bias_n, bias_inner = bias[: 2 * size], bias[2 * size : 3 * size], bias[3 * size : 4 * size]
    for m in range(old.shape[0]):
        row, product = gates[m], products[m]
        both, product_both, product_n = row[: 2 * size], product[: 2 * size], product[2 * size : 3 * size]
        r, z, n = row[:size], row[size : 2 * size], row[2 * size : 3 * size]
        before, within, h = old[m], inner[m], hidden[m]
        for k in range(both.size):
            both[k] = fast_sigmoid(both[k] + product_both[k] + bias_both[k])
        for k in range(within.size):
            within[k] = product_n[k] + bias_inner[k]
        for k in range(n.size):
            n[k] = fast_tanh(n[k] + bias_n[k] + r[k] * within[k])
        for k in range(h.size):
            h[k] = n[k] + z[k] * (before[k] - n[k])


@kernel
def compiled_gru_step_bprop(gates, inner, old, grad_hidden, grad_gates, grad_products):
    """The compiled form of `gru_step_bprop`."""
    size, one = old.shape[1], gates.dtype.type(1)
    for m in range(old.shape[0]):
        row, grad, product = gates[m], grad_gates[m], grad_products[m]
        r, z, n = row[:size], row[size : 2 * size], row[2 * size : 3 * size]
        grad_r, grad_z, grad_n = grad[:size], grad[size : 2 * size], grad[2 * size : 3 * size]
        before, within, grad_h = old[m], inner[m], grad_hidden[m]
        for k in range(grad_z.size):
            grad_z[k] = grad_h[k] * (before[k] - n[k]) * z[k] * (one - z[k])
        for k in range(grad_n.size):
            grad_n[k] = grad_h[k] * (one - z[k]) * (one - n[k] * n[k])
        for k in range(grad_r.size):
            grad_r[k] = grad_n[k] * within[k] * r[k] * (one - r[k])
        both, product_both, product_n = grad[: 2 * size], product[: 2 * size], product[2 * size : 3 * size]
        for k in range(both.size):
            product_both[k] = both[k]
        for k in range(product_n.size):
            product_n[k] = grad_n[k] * r[k]
        for k in range(grad_h.size):
            grad_h[k] *= z[k]


gru_step.compiled_form = compiled_gru_step  # type: ignore[attr-defined]
gru_step_bprop.compiled_form = compiled_gru_step_bprop  # type: ignore[attr-defined]
