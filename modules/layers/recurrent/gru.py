"""Gated recurrent units."""

import numpy as np

from ...kernels.buffers import reuse
from ...kernels.matmul.packed_weights import matmul_packed
from ...kernels.recurrent.arrangement import reserve
from ...kernels.recurrent.gru_steps import gru_step, gru_step_bprop
from ...kernels.recurrent.second_order import gru_change, gru_tangent
from .second_order import SecondOrder


class GRU(SecondOrder):
    """Gated recurrent units of a sequence, step by step, in one or more layers.

        r = σ(W_ir x + b_ir + W_hr h + b_hr)            grad_z' = grad_h' (h - n) z (1 - z)
        z = σ(W_iz x + b_iz + W_hz h + b_hz)            grad_n' = grad_h' (1 - z) (1 - n²)
        m = W_hn h + b_hn                               grad_m = grad_n' r
        n = tanh(W_in x + b_in + r m)                   grad_r' = grad_n' m r (1 - r)
        h' = (1 - z) n + z h                            grad_h = grad_h' z + W_hhᵀ (grad_r', grad_z', grad_m)

        grad_weight_ih += Σₜ (grad_r', grad_z', grad_n')[t]ᵀ x[t],        grad_bias_ih += Σₜ (grad_r', grad_z', grad_n')
        grad_weight_hh += Σₜ (grad_r', grad_z', grad_m)[t]ᵀ h[t - 1],     grad_bias_hh += Σₜ (grad_r', grad_z', grad_m)
        grad_x[t] = (grad_r', grad_z', grad_n')[t] W_ih

    with h the state before a step, h' after it, and r', z', n' before their functions. y[t] is h' of the last layer;
    each layer reads the h' of the one below, and in a bidirectional one those of both directions side by side.

    Shapes: x (N, T, D), y (N, T, H) or (N, T, 2 H), lengths (N,); weight_ih_l0 (3 H, D), weight_hh_l0 (3 H, H),
        bias_ih_l0, bias_hh_l0 (3 H,), gates in the order r, z, n; names end in `_reverse` for the other direction.
    Args: as of `LSTM`; the carried state is `hidden_state`; memory: T, at least 2, starts the biases of z at
        log s, uniform on 0 to log(T - 1), so that units remember for 2 to T steps; 0: not.
    `last_state()` returns h_n (L directions, N, H) of the last fprop, in PyTorch's order.
    Errors: ValueError for other sizes and settings, for an x of another shape, for lengths below 1 or above T.
    Source: Cho et al., Learning phrase representations using RNN encoder-decoder (2014), with the reset gate after the
        product; Goodfellow et al., Deep Learning, section 10.10.2; PyTorch's GRU.
    """

    gates = 3
    scratch = ("products", "inner", "grad_products", "tangent_inner")
    products: np.ndarray
    inner: np.ndarray
    grad_products: np.ndarray
    tangent_inner: np.ndarray

    def start_biases(self, ending, memory):
        """Write the log-odds of keeping a state to the biases of z."""
        size = self.hidden_size
        getattr(self, f"bias_ih{ending}")[size : 2 * size] = memory
        getattr(self, f"bias_hh{ending}")[size : 2 * size] = 0

    def allocate_more(self, count, rows, dtype):
        self.products = reserve(self.products, self.directions * self.samples, self.rows_of_gates, dtype)
        self.inner = reserve(self.inner, count * rows, self.hidden_size, dtype)

    def allocate_grads(self, rows, dtype):
        self.grad_products = reserve(self.grad_products, self.directions * rows, self.rows_of_gates, dtype)

    def combine_biases(self):
        """The biases of r and z both together, then those of n: b_in, b_hn."""
        inner, outer, size = self.list_biases_ih(), self.list_biases_hh(), self.hidden_size
        self.biases = reuse(self.biases, (len(inner), 4 * size), self.packed.dtype)
        for k in range(len(inner)):
            row, a, b = self.biases[k], inner[k], outer[k]
            for i in range(2 * size):
                row[i] = a[i] + b[i]
            for i in range(2 * size, 3 * size):
                row[i], row[size + i] = a[i], b[i]

    def multiply_state(self, k, at, before, first, count):
        """The product of the states before a step and their weight."""
        to = k % self.directions * self.samples + first
        states = self.states[before : before + count]
        matmul_packed(states, self.packed[k], self.products[to : to + count], False)

    def step(self, k, at, before, after, first, count):
        product = k % self.directions * self.samples + first
        gru_step(
            self.gate_values[at : at + count],
            self.products[product : product + count],
            self.biases[k],
            self.states[before : before + count],
            self.inner[at : at + count],
            self.states[after : after + count],
        )

    def step_back(self, k, region, at, before, first, count):
        grad_states = self.grad_states[first : first + count]
        grad_products = self.grad_products[region : region + count]
        gru_step_bprop(
            self.gate_values[at : at + count],
            self.inner[at : at + count],
            self.states[before : before + count],
            grad_states,
            self.grads[region : region + count],
            grad_products,
        )
        matmul_packed(grad_products, self.packed[k], grad_states, True)

    def find_state_grads(self, first, count):
        return self.grad_products[first : first + count]

    def allocate_tangents(self, rows, states, dtype):
        self.tangent_inner = np.zeros((rows, self.hidden_size), dtype)

    def tangent_step(self, k, at, before, after, count, products):
        changes, inner, both = (
            self.tangent_values[at : at + count],
            self.tangent_inner[at : at + count],
            2 * self.hidden_size,
        )
        changes[:, :both] += products[:, :both]
        inner[:] = products[:, both:]
        gru_tangent(
            self.gate_values[at : at + count],
            self.inner[at : at + count],
            self.states[before : before + count],
            changes,
            inner,
            self.tangent_states[before : before + count],
            self.tangent_states[after : after + count],
        )

    def change_step(self, k, at, before, count, carry, grads):
        gru_change(
            self.gate_values[at : at + count],
            self.inner[at : at + count],
            self.states[before : before + count],
            self.tangent_values[at : at + count],
            self.tangent_inner[at : at + count],
            self.tangent_states[before : before + count],
            carry,
            grads,
        )
