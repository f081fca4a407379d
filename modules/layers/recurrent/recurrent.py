"""The base of recurrent layers: layers and directions, lengths, the time loop forward and backward, carried states.

All arrays inside are arranged by time step (see kernels/recurrent/arrangement.py). The time loop goes by spans of
steps, whose gates and gradients stay in cache. The products of a span's steps are single ones: with the weight of the
inputs before its loop, and for the gradients of both weights and of the inputs after it. The loop itself has the small
product with the hidden state only. It runs for some samples at a time, and these blocks of samples run in parallel: so
its results are the same bits for any number of threads.
"""

import numpy as np

from ...kernels.buffers import as_rows, reuse
from ...kernels.matmul.gemm import matmul_into, sum_rows
from ...kernels.matmul.packed_weights import matmul_packed, pack_weight, packed_size
from ...kernels.philox import uniform
from ...kernels.recurrent.arrangement import (
    add_columns,
    are_lengths,
    copy_states,
    fill_rows,
    gather_rows,
    rank_equal_samples,
    rank_samples,
    reserve,
    reserve_numbers,
    scatter_rows,
    start_steps,
    store_states,
    write_columns,
    zero_padding,
)
from ...kernels.threads import parallel_for
from .given_states import GivenStates

BLOCK, WIDE_BLOCK = 16, 48  # samples that go through the time loop together
CACHED = 262144  # numbers of a weight that stays in L2; a larger one meets more samples at once
SPAN_ROWS, SPAN_NUMBERS = 256, 131072  # of the gates of a span of steps, at least and about: they stay in L2


def run_forward(first, last, module, layer, begin, end):
    """Run steps `begin` to `end` of a layer's time loop for some of the blocks of samples, in each direction."""
    for block in range(first, last):
        module.run_steps(layer, block // module.blocks, block % module.blocks, begin, end)


def run_backward(first, last, module, layer, begin, end, grad, places):
    """Run steps of a layer's time loop backward for some of the blocks; row p of its gradient is grad[places[p]]."""
    for block in range(first, last):
        module.run_steps_back(layer, block // module.blocks, block % module.blocks, begin, end, grad, places)


class Recurrent(GivenStates):
    """Base of RNN, LSTM and GRU. Such a class has

        combine_biases()                     write self.biases (L D, ...) from the parameters
        step(k, at, before, after, count)    the step of `count` rows without its input product; see the LSTM
        step_back(k, region, at, before, first, count)

    where k counts layers and directions, `at` is the first row in arrays of all steps, `before` and `after` those of
    the states before and after the step in self.states.
    """

    # -- forward -----------------------------------------------------------------------------------------------------

    def fprop(self, x, lengths=None):  # type: ignore[override]
        self.arrange(x.shape[0], x.shape[1], lengths)
        self.allocate(x.dtype)
        gather_rows(as_rows(x), self.places, self.inputs[: self.rows])
        weights = self.list_weights_hh()
        for k in range(len(weights)):
            pack_weight(weights[k], True, self.packed[k])
        self.combine_biases()
        self.begin_states()
        if self.given is not None:
            self.has_first = False
        self.y = reuse(self.y, (x.shape[0], x.shape[1], self.width), x.dtype)
        if self.rows < self.samples * self.steps:
            zero_padding(self.order, self.ends, self.samples, self.y)
        flops = 2 * self.samples * self.span * self.directions * self.rows_of_gates * (self.hidden_size + 16)
        for layer in range(self.num_layers):
            for begin in range(0, self.steps, self.span):
                end = min(begin + self.span, self.steps)
                self.multiply_inputs(layer, begin, end)
                parallel_for(run_forward, self.directions * self.blocks, flops, self, layer, begin, end)
            if self.noise is not None and self.training and layer + 1 < self.num_layers:
                self.drop(layer)
        if self.noise is not None and self.training:
            self.draws += 1
        if self.carried is not None:
            self.store_last_states()
        return self.y

    def arrange(self, samples, steps, lengths):
        """Arrange the minibatch by time step."""
        self.samples, self.steps = samples, steps
        self.order, self.ends = reserve_numbers(self.order, samples), reserve_numbers(self.ends, samples)
        self.counts, self.starts = reserve_numbers(self.counts, steps + 1), reserve_numbers(self.starts, steps + 1)
        self.places = reserve_numbers(self.places, samples * steps)
        self.first_rows = reuse(self.first_rows, (2, samples), np.int64)
        if self.line.size < samples * steps * (self.num_layers - 1):
            self.line = np.arange(samples * steps * (self.num_layers - 1))
        if lengths is None:
            rank_equal_samples(samples, steps, self.order, self.ends, self.counts)
        else:
            if not are_lengths(lengths, steps):
                raise ValueError("lengths: got one below 1 or above the number of steps, expected 1 to T")
            rank_samples(lengths, steps, self.order, self.ends, self.counts, self.starts)
        start_steps(steps, self.order, self.counts, self.starts, self.places, self.first_rows)
        self.rows = self.starts[steps]
        some = BLOCK if self.hidden_size * self.rows_of_gates <= CACHED else WIDE_BLOCK
        self.blocks = (samples + some - 1) // some
        self.span = max(1, min(steps, max(SPAN_ROWS, SPAN_NUMBERS // self.rows_of_gates) // samples))

    def allocate(self, dtype):
        """Allocate what the passes need, for as many rows as this minibatch has with its padding."""
        count, rows = self.num_layers * self.directions, self.samples * self.steps
        self.inputs = reserve(self.inputs, rows, self.input_size, dtype)
        self.hidden = reserve(self.hidden, (self.num_layers - 1) * rows, self.width, dtype)
        self.gate_values = reserve(self.gate_values, count * rows, self.rows_of_gates, dtype)
        self.states = reserve(self.states, count * (rows + self.samples), self.hidden_size, dtype)
        size = max(packed_size(self.hidden_size, self.rows_of_gates), packed_size(self.rows_of_gates, self.hidden_size))
        self.packed = reserve(self.packed, count, size, dtype)
        self.allocate_more(count, rows, dtype)

    def allocate_more(self, count, rows, dtype):
        """Allocate what one kind of layer alone needs."""

    def combine_biases(self):
        """Write both biases together, for each layer and direction."""
        inner, outer = self.list_biases_ih(), self.list_biases_hh()
        self.biases = reuse(self.biases, (len(inner), self.rows_of_gates), self.packed.dtype)
        for k in range(len(inner)):
            row, a, b = self.biases[k], inner[k], outer[k]
            for i in range(row.size):
                row[i] = a[i] + b[i]

    def begin_states(self):
        """Write the states before the first step: zeros, what the last minibatch has left, or what was given."""
        for k in range(self.num_layers * self.directions):
            rows, first = self.first_rows[k % self.directions], k * (self.rows + self.samples)
            if self.carried is None:
                fill_rows(rows, self.states, first, 0)
            else:
                copy_states(self.hidden_state[k], self.order, rows, self.states, first)
            if self.given is not None:
                self.begin_given(k, rows, first)

    def store_last_states(self):
        """Store the states after the last step, for the next minibatch."""
        for k in range(self.num_layers * self.directions):
            last = k * (self.rows + self.samples) + self.rows
            store_states(self.states, last, self.order, self.samples, self.hidden_state[k])

    def multiply_inputs(self, layer, begin, end):
        """The product of the inputs of some steps and their weight, in each direction."""
        weights = self.list_weights_ih()
        for direction in range(self.directions):
            k = layer * self.directions + direction
            first, last = self.find_rows(direction, begin, end)
            if first == last:
                continue
            values = self.gate_values[k * self.rows + first : k * self.rows + last]
            if layer == 0:
                matmul_into(self.inputs[first:last], weights[k].T, values, False)
            else:
                below = (layer - 1) * self.rows
                matmul_into(self.hidden[below + first : below + last], weights[k].T, values, False)

    def find_rows(self, direction, begin, end):
        """Find the first row of steps `begin` to `end` of a direction, and the one after their last."""
        if direction == 0:
            return self.starts[begin], self.starts[end]
        return self.starts[self.steps - end], self.starts[self.steps - begin]

    def run_steps(self, layer, direction, block, first_step, last_step):
        """The time loop for a block of samples; self.states after it holds the state before each step, and the last."""
        begin, end = block * self.samples // self.blocks, (block + 1) * self.samples // self.blocks
        k = layer * self.directions + direction
        region, states = k * self.rows, k * (self.rows + self.samples)
        column = direction * self.hidden_size
        for s in range(first_step, last_step):
            row, count, stay, following, last = self.locate_step(direction, s, begin, end)
            if count <= 0:
                continue
            following, last = states + following, states + last
            self.multiply_state(k, region + row, states + row, begin, count)
            if stay > 0:
                self.step(k, region + row, states + row, following, begin, stay)
                self.write_outputs(layer, row, column, following, stay)
            if stay < count:
                self.step(k, region + row + stay, states + row + stay, last + stay, begin + stay, count - stay)
                self.write_outputs(layer, row + stay, column, last + stay, count - stay)

    def locate_step(self, direction, s, begin, end):
        """Locate the s-th step of a direction, for the samples of some ranks.

        Returns its first row, the number of its rows, how many of them have a next step, and the rows where the states
        of these and those of the others begin.
        """
        t = self.steps - 1 - s if direction else s
        count = max(0, min(self.counts[t], end) - begin)
        row, last = self.starts[t] + begin, self.rows + begin
        if direction == 0:
            return row, count, max(0, min(self.counts[t + 1], end) - begin), self.starts[t + 1] + begin, last
        if t > 0:
            return row, count, count, self.starts[t - 1] + begin, last
        return row, count, 0, last, last

    def multiply_state(self, k, at, before, first, count):
        """Add the product of the states before a step and their weight to the gates."""
        matmul_packed(self.states[before : before + count], self.packed[k], self.gate_values[at : at + count], True)

    def write_outputs(self, layer, row, column, after, count):
        """Write the states after a step to the outputs of the layer."""
        states = self.states[after : after + count]
        if layer + 1 == self.num_layers:
            write_columns(states, self.places[row : row + count], column, as_rows(self.y))
        else:
            to = layer * self.rows + row
            write_columns(states, self.line[to : to + count], column, self.hidden)

    def drop(self, layer):
        """Drop elements of the outputs of a layer below the last, and keep the mask."""
        size = self.rows * self.width
        self.mask = reserve(self.mask, self.num_layers - 1, self.samples * self.steps * self.width, self.hidden.dtype)
        mask = self.mask[layer][:size]
        uniform(self.key, self.draws * self.num_layers + layer, mask)
        scale = mask.dtype.type(1 / (1 - self.dropout))
        zero = mask.dtype.type(0)
        for i in range(size):
            mask[i] = scale if mask[i] >= self.dropout else zero
        self.apply_mask(layer, self.hidden[layer * self.rows : (layer + 1) * self.rows])

    def apply_mask(self, layer, rows):
        """Multiply the outputs of a layer, or their gradients, by its mask."""
        mask, numbers = self.mask[layer], rows.reshape(rows.size)
        for i in range(numbers.size):
            numbers[i] *= mask[i]

    # -- backward ----------------------------------------------------------------------------------------------------

    def bprop(self, grad_y):
        dtype, grad = grad_y.dtype, as_rows(grad_y)
        weights = self.list_weights_hh()
        for k in range(len(weights)):
            pack_weight(weights[k], False, self.packed[k])
        rows, capacity = self.samples * self.steps, self.samples * self.span
        self.grads = reserve(self.grads, self.directions * capacity, self.rows_of_gates, dtype)
        self.grad_states = reserve(self.grad_states, self.directions * self.samples, self.hidden_size, dtype)
        self.grad_hidden = reserve(self.grad_hidden, (self.num_layers - 1) * rows, self.width, dtype)
        self.allocate_grads(capacity, dtype)
        if self.needs_grad_x:
            self.grad_inputs = reserve(self.grad_inputs, rows, self.input_size, dtype)
        for s in range(self.num_layers):
            layer = self.num_layers - 1 - s
            if s == 0:
                self.run_layer_back(layer, grad, self.places)
            else:
                self.run_layer_back(layer, self.grad_hidden[layer * self.rows : (layer + 1) * self.rows], self.line)
            if layer > 0 and self.noise is not None and self.training:
                self.apply_mask(layer - 1, self.grad_hidden[(layer - 1) * self.rows : layer * self.rows])
        if self.needs_grad_x:
            self.grad_x = reuse(self.grad_x, (self.samples, self.steps, self.input_size), dtype)
            if self.rows < rows:
                zero_padding(self.order, self.ends, self.samples, self.grad_x)
            scatter_rows(self.grad_inputs[: self.rows], self.places, as_rows(self.grad_x))
        if self.given is not None:
            self.has_last = False
        return self.grad_x

    def allocate_grads(self, rows, dtype):
        """Allocate what the backward pass of one kind of layer alone needs, for so many rows in each direction."""

    def run_layer_back(self, layer, grad, places):
        """The backward pass of a layer, from the last span of steps on; grad[places[p]] is the gradient of row p."""
        flops = 2 * self.samples * self.span * self.directions * self.rows_of_gates * (self.hidden_size + 16)
        for begin in range(0, self.steps, self.span):
            end = min(begin + self.span, self.steps)
            parallel_for(run_backward, self.directions * self.blocks, flops, self, layer, begin, end, grad, places)
            if self.needs_grad_parameters:
                self.add_weight_gradients(layer, begin, end)
            if layer > 0 or self.needs_grad_x:
                self.multiply_grads(layer, begin, end)

    def run_steps_back(self, layer, direction, block, first_step, last_step, grad, places):
        """The time loop backward for a block of samples, which fills self.grads, the gradients of the gates."""
        begin, end = block * self.samples // self.blocks, (block + 1) * self.samples // self.blocks
        k, region = layer * self.directions + direction, direction * self.samples * self.span
        first, column = direction * self.samples + begin, direction * self.hidden_size
        span_row, _ = self.find_rows(1 - direction, first_step, last_step)
        if first_step == 0:
            self.clear_grad_states(first, end - begin)
            if self.given is not None:
                self.begin_given_grads(k, begin, first, end - begin)
        for s in range(first_step, last_step):
            t = s if direction else self.steps - 1 - s
            count = min(self.counts[t], end) - begin
            if count <= 0:
                continue
            row = self.starts[t] + begin
            at, before = k * self.rows + row, k * (self.rows + self.samples) + row
            add_columns(grad, places[row : row + count], column, self.grad_states[first : first + count])
            self.step_back(k, region + row - span_row, at, before, first, count)
        if self.given is not None and last_step == self.steps:
            self.end_given_grads(k, begin, first, end - begin)

    def clear_grad_states(self, first, count):
        """Begin with no gradient of the last states."""
        self.grad_states[first : first + count] = 0

    def add_weight_gradients(self, layer, begin, end):
        """Add the gradients of a layer's parameters: for each one product over the steps of a span."""
        grads_ih, grads_hh = self.list_grads_ih(), self.list_grads_hh()
        biases_ih, biases_hh = self.list_grads_bias_ih(), self.list_grads_bias_hh()
        add = self.accumulate or begin > 0
        for direction in range(self.directions):
            k = layer * self.directions + direction
            first, last = self.find_rows(1 - direction, begin, end)
            region, states = direction * self.samples * self.span, k * (self.rows + self.samples)
            grads = self.grads[region : region + last - first]
            outer = self.find_state_grads(region, last - first)
            if layer == 0:
                matmul_into(grads.T, self.inputs[first:last], grads_ih[k], add)
            else:
                below = (layer - 1) * self.rows
                matmul_into(grads.T, self.hidden[below + first : below + last], grads_ih[k], add)
            matmul_into(outer.T, self.states[states + first : states + last], grads_hh[k], add)
            if self.has_bias:
                sum_rows(grads, biases_ih[k], add)
                sum_rows(outer, biases_hh[k], add)

    def find_state_grads(self, first, count):
        """The gradients of the products with the states, of some rows: those of the gates."""
        return self.grads[first : first + count]

    def multiply_grads(self, layer, begin, end):
        """The gradient of a layer's inputs at the steps of a span, summed over its directions."""
        weights = self.list_weights_ih()
        if begin == 0 and self.directions > 1:
            self.clear_grad_inputs(layer)
        for direction in range(self.directions):
            first, last = self.find_rows(1 - direction, begin, end)
            if first == last:
                continue
            region, k = direction * self.samples * self.span, layer * self.directions + direction
            grads = self.grads[region : region + last - first]
            if layer == 0:
                matmul_into(grads, weights[k], self.grad_inputs[first:last], self.directions > 1)
            else:
                below = (layer - 1) * self.rows
                matmul_into(grads, weights[k], self.grad_hidden[below + first : below + last], self.directions > 1)

    def clear_grad_inputs(self, layer):
        """Begin with zeros, to which both directions add."""
        if layer == 0:
            self.grad_inputs[: self.rows] = 0
        else:
            self.grad_hidden[(layer - 1) * self.rows : layer * self.rows] = 0
