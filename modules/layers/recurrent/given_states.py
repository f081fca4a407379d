"""First states that a recurrent layer is given, and last ones that it returns, with their gradients; see WithState.

    begin(x, h_0) -> x,                      then fprop(x),      then take_hidden(y) -> h_n
    bprop_last(grad_y, grad_h_n) -> grad_y,  then bprop(grad_y), then bprop_hidden(grad_x) -> grad_h_0

with a cell state beside each hidden one in an LSTM. x, y and their gradients pass through: they tie the calls together.
States are (N, layers directions H). What has been given holds for the pass that follows, and no longer.
"""

import numpy as np

from ...kernels.buffers import reuse
from ...kernels.recurrent.arrangement import copy_states, gather_rows, scatter_rows, store_states
from .recurrent_base import RecurrentBase


class GivenStates(RecurrentBase):
    """The part of RNN, GRU and LSTM that takes and returns hidden states; the LSTM adds its cell states."""

    def columns(self, states, k):
        """The states of one layer and direction."""
        return states[:, k * self.hidden_size : (k + 1) * self.hidden_size]

    def begin(self, x, hidden=None):
        """Take the states before the first step; without any they are zeros."""
        self.has_first = self.has_tangent = False
        if hidden is not None:
            self.first_hidden, self.has_first = hidden, True
        return x

    def begin_given(self, k, rows, first):
        """Write given states to where the first steps find them."""
        if self.has_first:
            copy_states(self.columns(self.first_hidden, k), self.order, rows, self.states, first)

    def take_hidden(self, y):
        """The hidden states after the last steps."""
        width = self.num_layers * self.directions * self.hidden_size
        self.last_hidden = reuse(self.last_hidden, (self.samples, width), y.dtype)
        self.store_last(self.states, self.last_hidden)
        return self.last_hidden

    def store_last(self, states, out):
        """Store the last states of all layers and directions, or what changes them, in out (N, layers directions H)."""
        for k in range(self.num_layers * self.directions):
            last = k * (self.rows + self.samples) + self.rows
            store_states(states, last, self.order, self.samples, self.columns(out, k))

    # -- backward ------------------------------------------------------------------------------------------------------

    def bprop_last(self, grad_y, grad_hidden):
        """Take the gradients of the last states."""
        self.grad_last_hidden, self.has_last = grad_hidden, True
        self.grad_first_hidden = reuse(self.grad_first_hidden, grad_hidden.shape, grad_y.dtype)
        return grad_y

    def begin_given_grads(self, k, begin, first, count):
        """Begin with the gradients of the last states."""
        if self.has_last:
            ranks, grads = self.order[begin : begin + count], self.columns(self.grad_last_hidden, k)
            gather_rows(grads, ranks, self.grad_states[first : first + count])

    def end_given_grads(self, k, begin, first, count):
        """Store the gradients of the first states."""
        if self.has_last:
            ranks, grads = self.order[begin : begin + count], self.columns(self.grad_first_hidden, k)
            scatter_rows(self.grad_states[first : first + count], ranks, grads)

    def bprop_hidden(self, grad_x):
        """The gradient of the given hidden states, which `bprop` has computed."""
        return self.grad_first_hidden

    # -- along a direction ---------------------------------------------------------------------------------------------

    def jvp_begin(self, v, v_hidden=None):
        """Take the changes of the given states."""
        if v_hidden is not None:
            self.v_first_hidden, self.has_tangent = v_hidden, True
        return v

    def begin_tangents(self):
        """Write the changes of the given states to where the first steps find them."""
        for k in range(self.num_layers * self.directions):
            rows, first = self.first_rows[k % self.directions], k * (self.rows + self.samples)
            copy_states(self.columns(self.v_first_hidden, k), self.order, rows, self.tangent_states, first)

    def jvp_take_hidden(self, v_y):
        """The changes of the last hidden states."""
        out = np.empty(self.last_hidden.shape, v_y.dtype)
        self.store_last(self.tangent_states, out)
        return out

    def rbprop_last(self, v, grad_y, grad_hidden, r_grad_y, r_grad_hidden, more=None):
        """Take the gradients of the last states and their changes; with lengths the second argument is their change."""
        if more is None:
            self.take_changes(grad_hidden, r_grad_hidden)
            return r_grad_y
        self.take_changes(r_grad_y, more)
        return r_grad_hidden

    def take_changes(self, grad_hidden, r_grad_hidden):
        """Store them for `rbprop`."""
        self.grad_last_hidden, self.r_last_hidden, self.has_change = grad_hidden, r_grad_hidden, True
        self.r_first_hidden = np.empty(grad_hidden.shape, grad_hidden.dtype)

    def begin_changes(self, k, carry):
        """Begin with the gradients of the last states and their changes."""
        ranks = self.order[: self.samples]
        gather_rows(self.columns(self.grad_last_hidden, k), ranks, carry[0])
        gather_rows(self.columns(self.r_last_hidden, k), ranks, carry[1])

    def end_changes(self, k, carry):
        """Store the changes of the gradients of the first states."""
        scatter_rows(carry[1], self.order[: self.samples], self.columns(self.r_first_hidden, k))

    def rbprop_hidden(self, v, grad_x, r_grad_x, more=None):
        """The change of the gradient of the given hidden states."""
        return self.r_first_hidden
