"""Recurrent layers along a direction: forward mode, and the derivative of the backward pass, for exact Hessians.

Both run step by step over the arrays that fprop has stored; they allocate what they need.
"""

import numpy as np

from ...kernels.buffers import as_rows
from ...kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows
from ...kernels.recurrent.arrangement import gather_rows, scatter_rows, write_columns
from .recurrent import Recurrent


class SecondOrder(Recurrent):
    """Base of recurrent layers with `jvp` and `rbprop`. Such a layer has

    allocate_tangents(rows, dtype)                                allocate what it alone needs
    tangent_step(k, at, before, after, count, products)           write the change of `count` rows' states
    change_step(k, at, before, count, carry, grads)               see kernels/recurrent/second_order.py
    """

    def jvp(self, v, v_lengths=None):
        """v_h' of each step, from v_a = v_x W_ihᵀ + x V_ihᵀ + v_h W_hhᵀ + h V_hhᵀ + v_b."""
        count, rows, out = self.num_layers * self.directions, self.rows, np.zeros(self.y.shape, v.dtype)
        self.tangent_inputs = np.zeros((rows, self.input_size), v.dtype)
        if self.needs_grad_x:  # else nothing before this layer is learned, and x stands still
            gather_rows(as_rows(v), self.places, self.tangent_inputs)
        self.tangent_hidden = np.zeros(((self.num_layers - 1) * rows, self.width), v.dtype)
        self.tangent_values = np.zeros((count * rows, self.rows_of_gates), v.dtype)
        self.tangent_states = np.zeros((count * (rows + self.samples), self.hidden_size), v.dtype)
        self.allocate_tangents(count * rows, count * (rows + self.samples), v.dtype)
        if self.given is not None and self.has_tangent:
            self.begin_tangents()
        for layer in range(self.num_layers):
            for direction in range(self.directions):
                self.multiply_tangents(layer, layer * self.directions + direction)
                self.run_tangents(layer, direction, as_rows(out))
            if self.noise is not None and self.training and layer + 1 < self.num_layers:
                self.apply_mask(layer, self.tangent_hidden[layer * rows : (layer + 1) * rows])
        return out

    def multiply_tangents(self, layer, k):
        """The change of the product with the inputs of all steps, with its bias."""
        weights, directions, biases = self.list_weights_ih(), self.list_directions_ih(), self.list_directions_bias_ih()
        values = self.tangent_values[k * self.rows : (k + 1) * self.rows]
        matmul_into(self.find_inputs(layer), directions[k].T, values, False)
        matmul_into(self.find_tangents(layer), weights[k].T, values, True)
        if self.has_bias:
            add_to_rows(values, biases[k])

    def find_inputs(self, layer):
        """The inputs of a layer, of all steps."""
        if layer == 0:
            return self.inputs[: self.rows]
        return self.hidden[(layer - 1) * self.rows : layer * self.rows]

    def find_tangents(self, layer):
        """Their changes."""
        if layer == 0:
            return self.tangent_inputs[: self.rows]
        return self.tangent_hidden[(layer - 1) * self.rows : layer * self.rows]

    def run_tangents(self, layer, direction, out):
        """The time loop of `jvp`."""
        weights, directions, biases = self.list_weights_hh(), self.list_directions_hh(), self.list_directions_bias_hh()
        k, column = layer * self.directions + direction, direction * self.hidden_size
        region, states = k * self.rows, k * (self.rows + self.samples)
        for s in range(self.steps):
            row, count, stay, following, last = self.locate_step(direction, s, 0, self.samples)
            before = states + row
            products = np.empty((count, self.rows_of_gates), out.dtype)
            matmul_into(self.states[before : before + count], directions[k].T, products, False)
            matmul_into(self.tangent_states[before : before + count], weights[k].T, products, True)
            if self.has_bias:
                add_to_rows(products, biases[k])
            for part in range(2):
                first, end, after = (0, stay, following) if part == 0 else (stay, count, last + stay)
                if first == end:
                    continue
                after += states
                self.tangent_step(k, region + row + first, before + first, after, end - first, products[first:end])
                changes = self.tangent_states[after : after + end - first]
                if layer + 1 == self.num_layers:
                    write_columns(changes, self.places[row + first : row + end], column, out)
                else:
                    to = layer * self.rows + row
                    write_columns(changes, self.line[to + first : to + end], column, self.tangent_hidden)

    def rbprop(self, v, grad_y, r_grad_y, last=None):
        """How grad_x and the gradients of the parameters change along v and the parameters' directions.

            R{grad_weight_ih} += Σₜ r_grad_a[t]ᵀ x[t] + grad_a[t]ᵀ v_x[t], and so on; grad_a of the gates' arguments

        With lengths there is one argument more, the second: their direction, which means nothing.
        """
        self.jvp(v)
        if last is None:
            return self.change_gradients(grad_y, r_grad_y)
        return self.change_gradients(r_grad_y, last)

    def change_gradients(self, grad_y, r_grad_y):
        """`rbprop`: backward through layers and steps, with gradients and their changes side by side."""
        rows, dtype, size = self.rows, grad_y.dtype, self.hidden_size
        grad, r_grad = np.empty((rows, self.width), dtype), np.empty((rows, self.width), dtype)
        gather_rows(as_rows(grad_y), self.places, grad)
        gather_rows(as_rows(r_grad_y), self.places, r_grad)
        weights, directions = self.list_weights_ih(), self.list_directions_ih()
        for each in range(self.num_layers):
            layer = self.num_layers - 1 - each
            below = np.empty((rows, self.width if layer > 0 else self.input_size), dtype)
            r_below = np.empty(below.shape, dtype)
            for direction in range(self.directions):
                k, column = layer * self.directions + direction, direction * size
                grads = np.empty((4, rows, self.rows_of_gates), dtype)
                self.run_changes(
                    k, direction, grad[:, column : column + size], r_grad[:, column : column + size], grads
                )
                self.add_changes(layer, k, grads)
                matmul_into(grads[0], weights[k], below, direction > 0)
                matmul_into(grads[1], weights[k], r_below, direction > 0)
                matmul_into(grads[0], directions[k], r_below, True)
            if layer > 0 and self.noise is not None and self.training:
                self.apply_mask(layer - 1, below)
                self.apply_mask(layer - 1, r_below)
            grad, r_grad = below, r_below
        out = np.zeros((self.samples, self.steps, self.input_size), dtype)
        scatter_rows(r_grad, self.places, as_rows(out))
        if self.given is not None:
            self.has_change = False
        return out

    def run_changes(self, k, direction, grad, r_grad, grads):
        """The time loop of `rbprop`, which fills grads (4, rows, G)."""
        weights, directions = self.list_weights_hh(), self.list_directions_hh()
        carry = np.zeros((4, self.samples, self.hidden_size), grads.dtype)
        if self.given is not None and self.has_change:
            self.begin_changes(k, carry)
        for s in range(self.steps):
            t = s if direction else self.steps - 1 - s
            row, count = self.starts[t], self.counts[t]
            if count == 0:
                continue
            end, at, before = row + count, k * self.rows + row, k * (self.rows + self.samples) + row
            some = carry[:, :count].copy()
            some[0] += grad[row:end]
            some[1] += r_grad[row:end]
            step_grads = grads[:, row:end].copy()
            self.change_step(k, at, before, count, some, step_grads)
            matmul_into(step_grads[2], weights[k], some[0], True)
            matmul_into(step_grads[3], weights[k], some[1], True)
            matmul_into(step_grads[2], directions[k], some[1], True)
            grads[:, row:end] = step_grads
            carry[:, :count] = some
        if self.given is not None and self.has_change:
            self.end_changes(k, carry)

    def add_changes(self, layer, k, grads):
        """Add how the gradients of the parameters of one layer and direction change."""
        grads_ih, grads_hh = self.list_grads_ih(), self.list_grads_hh()
        biases_ih, biases_hh = self.list_grads_bias_ih(), self.list_grads_bias_hh()
        first = k * (self.rows + self.samples)
        matmul_into(grads[1].T, self.find_inputs(layer), grads_ih[k], True)
        matmul_into(grads[0].T, self.find_tangents(layer), grads_ih[k], True)
        matmul_into(grads[3].T, self.states[first : first + self.rows], grads_hh[k], True)
        matmul_into(grads[2].T, self.tangent_states[first : first + self.rows], grads_hh[k], True)
        if self.has_bias:
            sum_rows(grads[1], biases_ih[k], True)
            sum_rows(grads[3], biases_hh[k], True)
