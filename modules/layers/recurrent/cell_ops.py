"""The ops of recurrent cells: one step with its parameters, both passes, and along a direction."""

import numpy as np

from ...core.internal_op import InternalOp
from ...kernels.buffers import reuse
from ...kernels.matmul.gemm import matmul_into, sum_rows
from ...kernels.recurrent.gru_steps import gru_step, gru_step_bprop
from ...kernels.recurrent.lstm_steps import lstm_step, lstm_step_bprop
from ...kernels.recurrent.rnn_steps import rnn_step, rnn_step_bprop
from ...kernels.recurrent.second_order import (
    gru_change,
    gru_tangent,
    lstm_change,
    lstm_tangent,
    rnn_change,
    rnn_tangent,
)
from .parameters import add_parameters


class CellOp(InternalOp):
    """Base of the ops of cells: fprop(x, h) -> h', bprop(grad_h') -> grad_x, bprop_other(grad_h') -> grad_h."""

    gates = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool):
        super().__init__()
        self.hidden_size, self.has_bias = hidden_size, bool(bias)
        add_parameters(self, input_size, hidden_size, type(self).gates, bias)
        self.gate_values = self.hidden = self.grads = self.grad_x = self.grad_h = np.empty((0, 0))
        self.biases = np.empty(0)
        self.v_values = self.v_products = self.v_h = self.v_x = self.v_hidden = self.r_grad_h = np.empty((0, 0))

    def multiply(self, x, h):
        """Store the inputs; x W_ihᵀ + h W_hhᵀ in self.gate_values, and the sum of both biases in self.biases."""
        self.x, self.h = x, h
        self.hidden = reuse(self.hidden, (x.shape[0], self.hidden_size), x.dtype)
        self.gate_values = reuse(self.gate_values, (x.shape[0], self.weight_ih.shape[0]), x.dtype)
        self.biases = reuse(self.biases, (self.weight_ih.shape[0],), x.dtype)
        matmul_into(x, self.weight_ih.T, self.gate_values, False)
        matmul_into(h, self.weight_hh.T, self.gate_values, True)
        if self.bias_ih is not None:
            self.biases[:] = self.bias_ih
            self.biases += self.bias_hh
        else:
            self.biases[:] = 0

    def add_gradients(self, grads, products):
        """Add the gradients of the parameters, and compute those of x and h."""
        if self.needs_grad_parameters:
            matmul_into(grads.T, self.x, self.grad_weight_ih, self.accumulate)
            matmul_into(products.T, self.h, self.grad_weight_hh, self.accumulate)
            if self.bias_ih is not None:
                sum_rows(grads, self.grad_bias_ih, self.accumulate)
                sum_rows(products, self.grad_bias_hh, self.accumulate)
        self.grad_x = reuse(self.grad_x, self.x.shape, grads.dtype)
        matmul_into(grads, self.weight_ih, self.grad_x, False)

    def multiply_tangents(self, v_x, v_h):
        """Store the directions, and how both products with their biases change, in self.v_values, self.v_products."""
        self.v_x, self.v_h = v_x, v_h
        self.v_values = np.empty((v_x.shape[0], self.weight_ih.shape[0]), v_x.dtype)
        self.v_products, self.v_hidden = np.empty_like(self.v_values), np.empty_like(v_h)
        matmul_into(v_x, self.weight_ih.T, self.v_values, False)
        matmul_into(self.x, self.v_weight_ih.T, self.v_values, True)
        matmul_into(v_h, self.weight_hh.T, self.v_products, False)
        matmul_into(self.h, self.v_weight_hh.T, self.v_products, True)
        if self.bias_ih is not None:
            self.v_values += self.v_bias_ih
            self.v_products += self.v_bias_hh

    def add_changes(self, carry, grads):
        """Add how the gradients of the parameters change; returns that of grad_x, and stores that of grad_h."""
        r_grad_x = np.empty(self.x.shape, grads.dtype)
        matmul_into(grads[1].T, self.x, self.grad_weight_ih, True)
        matmul_into(grads[0].T, self.v_x, self.grad_weight_ih, True)
        matmul_into(grads[3].T, self.h, self.grad_weight_hh, True)
        matmul_into(grads[2].T, self.v_h, self.grad_weight_hh, True)
        if self.bias_ih is not None:
            sum_rows(grads[1], self.grad_bias_ih, True)
            sum_rows(grads[3], self.grad_bias_hh, True)
        matmul_into(grads[1], self.weight_ih, r_grad_x, False)
        matmul_into(grads[0], self.v_weight_ih, r_grad_x, True)
        self.r_grad_h = carry[1].copy()
        matmul_into(grads[3], self.weight_hh, self.r_grad_h, True)
        matmul_into(grads[2], self.v_weight_hh, self.r_grad_h, True)
        return r_grad_x


class RNNCellOp(CellOp):
    """h' = f(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool, rectified: bool):
        super().__init__(input_size, hidden_size, bias)
        self.rectified = rectified

    def fprop(self, x, h):  # type: ignore[override]
        self.multiply(x, h)
        rnn_step(self.gate_values, self.biases, self.rectified, self.hidden)
        return self.hidden

    def bprop(self, grad_y):
        self.grads = reuse(self.grads, self.gate_values.shape, grad_y.dtype)
        rnn_step_bprop(self.gate_values, self.rectified, grad_y, self.grads)
        self.add_gradients(self.grads, self.grads)
        return self.grad_x

    def bprop_other(self, grad_y):
        """The gradient of h."""
        self.grad_h = reuse(self.grad_h, grad_y.shape, grad_y.dtype)
        matmul_into(self.grads, self.weight_hh, self.grad_h, False)
        return self.grad_h

    def jvp(self, v_x, v_h):
        self.multiply_tangents(v_x, v_h)
        self.v_values += self.v_products
        rnn_tangent(self.gate_values, self.rectified, self.v_values, self.v_hidden)
        return self.v_hidden.copy()

    def rbprop(self, v_x, v_h, grad_y, r_grad_y):
        self.jvp(v_x, v_h)
        carry, grads = (
            make_carry(grad_y, r_grad_y),
            np.empty((4, self.v_values.shape[0], self.v_values.shape[1]), grad_y.dtype),
        )
        rnn_change(self.gate_values, self.rectified, self.v_values, carry, grads)
        return self.add_changes(carry, grads)

    def rbprop_other(self, v_x, v_h, grad_y, r_grad_y):
        """The change of the gradient of h."""
        return self.r_grad_h


class GRUCellOp(CellOp):
    """r, z = σ(...), n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h."""

    gates = 3

    def __init__(self, input_size: int, hidden_size: int, bias: bool):
        super().__init__(input_size, hidden_size, bias)
        self.products = self.inner = self.grad_products = self.v_inner = np.empty((0, 0))

    def fprop(self, x, h):  # type: ignore[override]
        self.x, self.h, size = x, h, self.hidden_size
        self.hidden, self.inner = reuse(self.hidden, h.shape, x.dtype), reuse(self.inner, h.shape, x.dtype)
        self.gate_values = reuse(self.gate_values, (x.shape[0], 3 * size), x.dtype)
        self.products = reuse(self.products, (x.shape[0], 3 * size), x.dtype)
        self.biases = reuse(self.biases, (4 * size,), x.dtype)
        matmul_into(x, self.weight_ih.T, self.gate_values, False)
        matmul_into(h, self.weight_hh.T, self.products, False)
        if self.bias_ih is not None:
            self.biases[: 3 * size] = self.bias_ih
            self.biases[: 2 * size] += self.bias_hh[: 2 * size]
            self.biases[3 * size :] = self.bias_hh[2 * size :]
        else:
            self.biases[:] = 0
        gru_step(self.gate_values, self.products, self.biases, h, self.inner, self.hidden)
        return self.hidden

    def bprop(self, grad_y):
        self.grads = reuse(self.grads, self.gate_values.shape, grad_y.dtype)
        self.grad_products = reuse(self.grad_products, self.gate_values.shape, grad_y.dtype)
        self.grad_h = reuse(self.grad_h, grad_y.shape, grad_y.dtype)
        self.grad_h[:] = grad_y
        gru_step_bprop(self.gate_values, self.inner, self.h, self.grad_h, self.grads, self.grad_products)
        self.add_gradients(self.grads, self.grad_products)
        return self.grad_x

    def bprop_other(self, grad_y):
        """The gradient of h."""
        matmul_into(self.grad_products, self.weight_hh, self.grad_h, True)
        return self.grad_h

    def jvp(self, v_x, v_h):
        self.multiply_tangents(v_x, v_h)
        both = 2 * self.hidden_size
        self.v_values[:, :both] += self.v_products[:, :both]
        self.v_inner = self.v_products[:, both:].copy()
        gru_tangent(self.gate_values, self.inner, self.h, self.v_values, self.v_inner, v_h, self.v_hidden)
        return self.v_hidden.copy()

    def rbprop(self, v_x, v_h, grad_y, r_grad_y):
        self.jvp(v_x, v_h)
        carry, grads = (
            make_carry(grad_y, r_grad_y),
            np.empty((4, self.v_values.shape[0], self.v_values.shape[1]), grad_y.dtype),
        )
        gru_change(self.gate_values, self.inner, self.h, self.v_values, self.v_inner, v_h, carry, grads)
        return self.add_changes(carry, grads)

    def rbprop_other(self, v_x, v_h, grad_y, r_grad_y):
        """The change of the gradient of h."""
        return self.r_grad_h


class LSTMCellOp(CellOp):
    """fprop(x, h, c) -> h', next_cell(h') -> c'; bprop(grad_h', grad_c') -> grad_x, and two for grad_h and grad_c."""

    gates = 4

    def __init__(self, input_size: int, hidden_size: int, bias: bool):
        super().__init__(input_size, hidden_size, bias)
        self.cell = self.tanh_cell = self.grad_c = np.empty((0, 0))
        self.v_c = self.v_cell = self.v_tanh_cell = self.r_grad_c = np.empty((0, 0))

    def fprop(self, x, h, c):  # type: ignore[override]
        self.multiply(x, h)
        self.c = c
        self.cell, self.tanh_cell = reuse(self.cell, c.shape, x.dtype), reuse(self.tanh_cell, c.shape, x.dtype)
        lstm_step(self.gate_values, self.biases, c, self.cell, self.tanh_cell, self.hidden)
        return self.hidden

    def next_cell(self, hidden):
        """The cell state after the step that has made `hidden`."""
        return self.cell

    def bprop(self, grad_h, grad_c):  # type: ignore[override]
        self.grads = reuse(self.grads, self.gate_values.shape, grad_h.dtype)
        self.grad_c = reuse(self.grad_c, grad_c.shape, grad_h.dtype)
        self.grad_c[:] = grad_c
        lstm_step_bprop(self.gate_values, self.c, self.tanh_cell, grad_h, self.grad_c, self.grads)
        self.add_gradients(self.grads, self.grads)
        return self.grad_x

    def bprop_other(self, grad_h):
        """The gradient of h."""
        self.grad_h = reuse(self.grad_h, grad_h.shape, grad_h.dtype)
        matmul_into(self.grads, self.weight_hh, self.grad_h, False)
        return self.grad_h

    def bprop_cell(self, grad_h):
        """The gradient of c."""
        return self.grad_c

    def jvp(self, v_x, v_h, v_c):
        self.multiply_tangents(v_x, v_h)
        self.v_c, self.v_cell, self.v_tanh_cell = v_c, np.empty_like(v_c), np.empty_like(v_c)
        self.v_values += self.v_products
        lstm_tangent(
            self.gate_values,
            self.c,
            self.tanh_cell,
            self.v_values,
            v_c,
            self.v_cell,
            self.v_tanh_cell,
            self.v_hidden,
        )
        return self.v_hidden.copy()

    def jvp_next_cell(self, v_hidden):
        """The change of the cell state after the step."""
        return self.v_cell

    def rbprop(self, v_x, v_h, v_c, grad_h, grad_c, r_grad_h, r_grad_c):
        self.jvp(v_x, v_h, v_c)
        carry, grads = (
            make_carry(grad_h, r_grad_h),
            np.empty((4, self.v_values.shape[0], self.v_values.shape[1]), grad_h.dtype),
        )
        carry[2], carry[3] = grad_c, r_grad_c
        lstm_change(self.gate_values, self.c, self.tanh_cell, self.v_values, v_c, self.v_tanh_cell, carry, grads)
        self.r_grad_c = carry[3].copy()
        return self.add_changes(carry, grads)

    def rbprop_other(self, v_x, v_h, v_c, grad_h, r_grad_h):
        """The change of the gradient of h."""
        return self.r_grad_h

    def rbprop_cell(self, v_x, v_h, v_c, grad_h, r_grad_h):
        """The change of the gradient of c."""
        return self.r_grad_c


def make_carry(grad, r_grad):
    """The carry of kernels/recurrent/second_order.py of the last step."""
    carry = np.zeros((4, grad.shape[0], grad.shape[1]), grad.dtype)
    carry[0], carry[1] = grad, r_grad
    return carry
