"""Long short-term memory."""

import numpy as np

from ...kernels.buffers import reuse
from ...kernels.matmul.packed_weights import matmul_packed
from ...kernels.recurrent.arrangement import (
    copy_states,
    fill_rows,
    gather_rows,
    reserve,
    scatter_rows,
    store_states,
)
from ...kernels.recurrent.lstm_steps import lstm_step, lstm_step_bprop
from ...kernels.recurrent.second_order import lstm_change, lstm_tangent
from .second_order import SecondOrder


class LSTM(SecondOrder):
    """Long short-term memory of a sequence, step by step, in one or more layers.

        i = σ(W_ii x + b_ii + W_hi h + b_hi)        grad_o' = grad_h tanh(c') o (1 - o)
        f = σ(W_if x + b_if + W_hf h + b_hf)        grad_c' += grad_h o (1 - tanh²(c'))
        g = tanh(W_ig x + b_ig + W_hg h + b_hg)     grad_i' = grad_c' g i (1 - i)
        o = σ(W_io x + b_io + W_ho h + b_ho)        grad_f' = grad_c' c f (1 - f)
        c' = f c + i g                              grad_g' = grad_c' i (1 - g²)
        h' = o tanh(c')                             grad_c = grad_c' f,   grad_h = W_hhᵀ (grad_i', ... grad_o')

        grad_weight_ih += Σₜ grad_gates'[t]ᵀ x[t],   grad_weight_hh += Σₜ grad_gates'[t]ᵀ h[t - 1]
        grad_bias_ih, grad_bias_hh += Σₜ grad_gates'[t],   grad_x[t] = grad_gates'[t] W_ih

    with (h, c) the state before a step, (h', c') after it, and gates' before their functions. y[t] is h' of the last
    layer; each layer reads the h' of the one below, and in a bidirectional one those of both directions side by side.

    Shapes: x (N, T, D), y (N, T, H) or (N, T, 2 H), lengths (N,); weight_ih_l0 (4 H, D), weight_hh_l0 (4 H, H),
        bias_ih_l0, bias_hh_l0 (4 H,), gates in the order i, f, g, o; names end in `_reverse` for the other direction.
    Args: input_size, hidden_size: D and H; num_layers: at least 1; bias: add b; dropout: probability of dropping an
        element between layers, in training; bidirectional: also a second direction, from the last real step to the
        first; streams: for minibatches that go on where the last one has ended: row n of each is the next part of
        stream n, the states are carried on in the buffers `hidden_state` and `cell_state` (L, streams, H), and the
        gradient ends at the minibatch's first step; `reset_state` sets them to zero, assignment to anything;
        memory: T, at least 2, starts the biases of f at log s, uniform on 0 to log(T - 1), and those of i at -log s, so
        that cells remember for 2 to T steps; 0: not.
    `last_state()` returns h_n and c_n (L directions, N, H) of the last fprop, in PyTorch's order.
    Errors: ValueError for other sizes and settings, for an x of another shape, for lengths below 1 or above T.
    Source: Hochreiter and Schmidhuber, Long short-term memory (1997); Gers et al., Learning to forget (2000);
        Tallec and Ollivier, Can recurrent neural networks warp time? (2018), section 3 (memory);
        Goodfellow et al., Deep Learning, section 10.10.1; PyTorch's LSTM.
    """

    gates = 4
    state_names = ("hidden_state", "cell_state")
    scratch = ("cells", "tanh_cells", "grad_cells", "tangent_cells", "tangent_tanh_cells")
    cells: np.ndarray
    tanh_cells: np.ndarray
    grad_cells: np.ndarray
    tangent_cells: np.ndarray
    tangent_tanh_cells: np.ndarray

    def start_biases(self, ending, memory):
        """Write the log-odds of keeping a cell to the biases of f, and their negatives to those of i."""
        size = self.hidden_size
        getattr(self, f"bias_ih{ending}")[: 2 * size] = np.concatenate([-memory, memory])
        getattr(self, f"bias_hh{ending}")[: 2 * size] = 0

    def allocate_more(self, count, rows, dtype):
        self.cells = reserve(self.cells, count * (rows + self.samples), self.hidden_size, dtype)
        self.tanh_cells = reserve(self.tanh_cells, count * rows, self.hidden_size, dtype)

    def allocate_grads(self, rows, dtype):
        self.grad_cells = reserve(self.grad_cells, self.directions * self.samples, self.hidden_size, dtype)

    def begin_states(self):
        for k in range(self.num_layers * self.directions):
            rows, first = self.first_rows[k % self.directions], k * (self.rows + self.samples)
            if self.carried is None:
                fill_rows(rows, self.states, first, 0)
                fill_rows(rows, self.cells, first, 0)
            else:
                copy_states(self.hidden_state[k], self.order, rows, self.states, first)
                copy_states(self.cell_state[k], self.order, rows, self.cells, first)
            if self.given is not None:
                self.begin_given(k, rows, first)

    def store_last_states(self):
        for k in range(self.num_layers * self.directions):
            last = k * (self.rows + self.samples) + self.rows
            store_states(self.states, last, self.order, self.samples, self.hidden_state[k])
            store_states(self.cells, last, self.order, self.samples, self.cell_state[k])

    def step(self, k, at, before, after, first, count):
        lstm_step(
            self.gate_values[at : at + count],
            self.biases[k],
            self.cells[before : before + count],
            self.cells[after : after + count],
            self.tanh_cells[at : at + count],
            self.states[after : after + count],
        )

    def clear_grad_states(self, first, count):
        self.grad_states[first : first + count] = 0
        self.grad_cells[first : first + count] = 0

    def step_back(self, k, region, at, before, first, count):
        grads, grad_states = self.grads[region : region + count], self.grad_states[first : first + count]
        lstm_step_bprop(
            self.gate_values[at : at + count],
            self.cells[before : before + count],
            self.tanh_cells[at : at + count],
            grad_states,
            self.grad_cells[first : first + count],
            grads,
        )
        matmul_packed(grads, self.packed[k], grad_states, False)

    def allocate_tangents(self, rows, states, dtype):
        self.tangent_cells = np.zeros((states, self.hidden_size), dtype)
        self.tangent_tanh_cells = np.zeros((rows, self.hidden_size), dtype)

    def tangent_step(self, k, at, before, after, count, products):
        changes = self.tangent_values[at : at + count]
        changes += products
        lstm_tangent(
            self.gate_values[at : at + count],
            self.cells[before : before + count],
            self.tanh_cells[at : at + count],
            changes,
            self.tangent_cells[before : before + count],
            self.tangent_cells[after : after + count],
            self.tangent_tanh_cells[at : at + count],
            self.tangent_states[after : after + count],
        )

    def change_step(self, k, at, before, count, carry, grads):
        lstm_change(
            self.gate_values[at : at + count],
            self.cells[before : before + count],
            self.tanh_cells[at : at + count],
            self.tangent_values[at : at + count],
            self.tangent_cells[before : before + count],
            self.tangent_tanh_cells[at : at + count],
            carry,
            grads,
        )

    def last_state(self):
        """The states after each sample's last step of the last fprop: h_n and c_n (L D, N, H), in PyTorch's order."""
        return self.collect_last(self.states), self.collect_last(self.cells)

    # -- given states, as in given_states.py ---------------------------------------------------------------------------

    def begin(self, x, hidden=None, cell=None):
        self.has_first = self.has_tangent = False
        if cell is not None:
            self.first_hidden, self.first_cell, self.has_first = hidden, cell, True
        return x

    def begin_given(self, k, rows, first):
        if self.has_first:
            copy_states(self.columns(self.first_hidden, k), self.order, rows, self.states, first)
            copy_states(self.columns(self.first_cell, k), self.order, rows, self.cells, first)

    def take_cell(self, y):
        """The cell states after the last steps."""
        self.last_cell = reuse(self.last_cell, self.last_hidden.shape, y.dtype)
        self.store_last(self.cells, self.last_cell)
        return self.last_cell

    def bprop_last(self, grad_y, grad_hidden, grad_cell):
        self.grad_last_hidden, self.grad_last_cell, self.has_last = grad_hidden, grad_cell, True
        self.grad_first_hidden = reuse(self.grad_first_hidden, grad_hidden.shape, grad_y.dtype)
        self.grad_first_cell = reuse(self.grad_first_cell, grad_hidden.shape, grad_y.dtype)
        return grad_y

    def begin_given_grads(self, k, begin, first, count):
        if self.has_last:
            ranks, end = self.order[begin : begin + count], first + count
            gather_rows(self.columns(self.grad_last_hidden, k), ranks, self.grad_states[first:end])
            gather_rows(self.columns(self.grad_last_cell, k), ranks, self.grad_cells[first:end])

    def end_given_grads(self, k, begin, first, count):
        if self.has_last:
            ranks, end = self.order[begin : begin + count], first + count
            scatter_rows(self.grad_states[first:end], ranks, self.columns(self.grad_first_hidden, k))
            scatter_rows(self.grad_cells[first:end], ranks, self.columns(self.grad_first_cell, k))

    def bprop_cell(self, grad_x):
        """The gradient of the given cell states, which `bprop` has computed."""
        return self.grad_first_cell

    def jvp_begin(self, v, v_hidden=None, v_cell=None):
        if v_cell is not None:
            self.v_first_hidden, self.v_first_cell, self.has_tangent = v_hidden, v_cell, True
        return v

    def begin_tangents(self):
        for k in range(self.num_layers * self.directions):
            rows, first = self.first_rows[k % self.directions], k * (self.rows + self.samples)
            copy_states(self.columns(self.v_first_hidden, k), self.order, rows, self.tangent_states, first)
            copy_states(self.columns(self.v_first_cell, k), self.order, rows, self.tangent_cells, first)

    def jvp_take_cell(self, v_y):
        """The changes of the last cell states."""
        out = np.empty(self.last_cell.shape, v_y.dtype)
        self.store_last(self.tangent_cells, out)
        return out

    def rbprop_last(self, v, grad_y, grad_hidden, grad_cell, r_grad_y, r_grad_hidden, r_grad_cell, more=None):
        if more is None:
            self.take_changes(grad_hidden, r_grad_hidden)
            self.grad_last_cell, self.r_last_cell = grad_cell, r_grad_cell
            self.r_first_cell = np.empty(grad_cell.shape, grad_cell.dtype)
            return r_grad_y
        self.take_changes(grad_cell, r_grad_cell)
        self.grad_last_cell, self.r_last_cell = r_grad_y, more
        self.r_first_cell = np.empty(more.shape, more.dtype)
        return r_grad_hidden

    def begin_changes(self, k, carry):
        ranks = self.order[: self.samples]
        gather_rows(self.columns(self.grad_last_hidden, k), ranks, carry[0])
        gather_rows(self.columns(self.r_last_hidden, k), ranks, carry[1])
        gather_rows(self.columns(self.grad_last_cell, k), ranks, carry[2])
        gather_rows(self.columns(self.r_last_cell, k), ranks, carry[3])

    def end_changes(self, k, carry):
        ranks = self.order[: self.samples]
        scatter_rows(carry[1], ranks, self.columns(self.r_first_hidden, k))
        scatter_rows(carry[3], ranks, self.columns(self.r_first_cell, k))

    def rbprop_cell(self, v, grad_x, r_grad_x, more=None):
        """The change of the gradient of the given cell states."""
        return self.r_first_cell
