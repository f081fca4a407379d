"""The simple recurrent layer."""

from typing import Literal

from ...kernels.matmul.packed_weights import matmul_packed
from ...kernels.recurrent.rnn_steps import rnn_step, rnn_step_bprop
from ...kernels.recurrent.second_order import rnn_change, rnn_tangent
from .second_order import SecondOrder

Nonlinearity = Literal["tanh", "relu"]


def check_nonlinearity(who: str, nonlinearity: str) -> None:
    """Raise ValueError for another nonlinearity than tanh and relu."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{who}: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'")


class RNN(SecondOrder):
    """Simple recurrent (Elman) layer: a hidden state that each step computes from its input and the last state.

        h'     = f(W_ih x + b_ih + W_hh h + b_hh)
        grad_a = grad_h' f'(a),   grad_h = grad_a W_hh,   grad_x = grad_a W_ih

        grad_weight_ih += Σₜ grad_a[t]ᵀ x[t],   grad_weight_hh += Σₜ grad_a[t]ᵀ h[t - 1],   grad_bias_* += Σₜ grad_a[t]

    with a the argument of f, h the state before a step and h' after it. y[t] is h' of the last layer; each layer reads
    the h' of the one below, and in a bidirectional one those of both directions side by side.

    Shapes: x (N, T, D), y (N, T, H) or (N, T, 2 H), lengths (N,); weight_ih_l0 (H, D), weight_hh_l0 (H, H),
        bias_ih_l0, bias_hh_l0 (H,); names end in `_reverse` for the other direction.
    Args: nonlinearity: f, tanh or relu; the others as of `LSTM`; the carried state is `hidden_state`.
    `last_state()` returns h_n (L directions, N, H) of the last fprop, in PyTorch's order.
    Errors: ValueError for other sizes and settings, for an x of another shape, for lengths below 1 or above T.
    Source: Elman, Finding structure in time (1990); Goodfellow et al., Deep Learning, eqs. 10.8 to 10.11 and 10.23 to
        10.28 (the gradient through time); PyTorch's RNN.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        streams: int = 0,
    ):
        super().__init__(input_size, hidden_size, num_layers, bias, dropout, bidirectional, streams)
        check_nonlinearity("RNN", nonlinearity)
        self.rectified = nonlinearity == "relu"

    @property
    def nonlinearity(self) -> str:
        """`tanh` or `relu`."""
        return "relu" if self.rectified else "tanh"

    def step(self, k, at, before, after, first, count):
        gates = self.gate_values[at : at + count]
        rnn_step(gates, self.biases[k], self.rectified, self.states[after : after + count])

    def step_back(self, k, region, at, before, first, count):
        grads, grad_states = self.grads[region : region + count], self.grad_states[first : first + count]
        rnn_step_bprop(self.gate_values[at : at + count], self.rectified, grad_states, grads)
        matmul_packed(grads, self.packed[k], grad_states, False)

    def allocate_tangents(self, rows, states, dtype):
        """Nothing: the states are all that it stores."""

    def tangent_step(self, k, at, before, after, count, products):
        changes = self.tangent_values[at : at + count]
        changes += products
        after_step = self.tangent_states[after : after + count]
        rnn_tangent(self.gate_values[at : at + count], self.rectified, changes, after_step)

    def change_step(self, k, at, before, count, carry, grads):
        changes = self.tangent_values[at : at + count]
        rnn_change(self.gate_values[at : at + count], self.rectified, changes, carry, grads)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", nonlinearity='relu'" if self.rectified else "")
