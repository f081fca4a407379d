"""Recurrent layers, their cells, and pools over time; with lengths that each sample's first number determines."""

import numpy as np
from bprop.modules import (
    GRU,
    LSTM,
    RNN,
    Graph,
    GRUCell,
    JoinTable,
    LastStep,
    Linear,
    LSTMCell,
    MaxOverTime,
    MeanOverTime,
    Mul,
    NarrowTable,
    Padded,
    ParallelTable,
    RNNCell,
    SelectTable,
    Sequential,
    StackTable,
    WithState,
)
from bprop.modules.containers.container import Container
from bprop.modules.core.internal_op import InternalOp
from bprop.modules.kernels.buffers import reuse

from .case import Case
from .core import linear


class FindLengths(InternalOp):
    """Lengths from 1 to 5 that depend on x[n, 0, 0] alone."""

    locally_linear = True

    def __init__(self):
        super().__init__()
        self.lengths = np.empty(0, np.int64)

    def fprop(self, x):
        self.lengths = lengths = reuse(self.lengths, (x.shape[0],), np.int64)
        for n in range(x.shape[0]):
            lengths[n] = 1
            for threshold in (-0.7, -0.2, 0.2, 0.7):
                if x[n, 0, 0] > threshold:
                    lengths[n] += 1
        return lengths

    def jvp(self, v):
        return np.zeros(v.shape[0], v.dtype)


class WithLengths(Container):
    """Padded layers, whose lengths each sample's first number determines; grad_x is that of the layers.

    Source: none, for tests.
    """

    framework_base = True

    def __init__(self, *layers):
        super().__init__()
        self.inner = Padded(*layers)

    def call_fprop(self, call, x):
        return call(self.inner, "fprop", (x, call(self.get_op("_find", FindLengths), "fprop", x)))

    def call_bprop(self, call, grad_y):
        return call(self.inner, "bprop", grad_y)[0]

    def output_shape(self, input_shape):
        return self.inner.output_shape((input_shape, input_shape[:1]))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def with_biases(module, ending, x, h):
    """Both products of a step, with their biases."""
    first, second = (x @ getattr(module, f"weight_{k}{ending}").T for k, x in (("ih", x), ("hh", h)))
    if module.has_bias:
        first, second = (p + getattr(module, f"bias_{k}{ending}") for k, p in (("ih", first), ("hh", second)))
    return first, second


def rnn_step(module, ending, x, state):
    a = sum(with_biases(module, ending, x, state[0]))
    return (np.maximum(a, 0) if module.nonlinearity == "relu" else np.tanh(a),)


def gru_step(module, ending, x, state):
    inner, outer = with_biases(module, ending, x, state[0])
    (r, z, n), (r_h, z_h, n_h) = (np.split(part, 3, axis=-1) for part in (inner, outer))
    r, z = sigmoid(r + r_h), sigmoid(z + z_h)
    return ((1 - z) * np.tanh(n + r * n_h) + z * state[0],)


def lstm_step(module, ending, x, state):
    i, f, g, o = np.split(sum(with_biases(module, ending, x, state[0])), 4, axis=-1)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def run(step, states=1):
    """The reference of a layer with this step: one sample, layer, direction and step after another."""

    def reference(module, x, lengths=None):
        results = []
        for n in range(len(x)):
            y = x[n] if lengths is None else x[n, : lengths[n]]
            for layer in range(module.num_layers):
                sides = []
                for ending, order in (("", 1), ("_reverse", -1))[: module.directions]:
                    state, rows = (np.zeros(module.hidden_size),) * states, []
                    for row in y[::order]:
                        state = step(module, f"_l{layer}{ending}", row, state)
                        rows.append(state[0])
                    sides.append(np.array(rows)[::order])
                y = np.concatenate(sides, axis=1)
                if module.noise and layer + 1 < module.num_layers:
                    y = y * module.mask[layer, : y.size * len(x)].reshape(len(y), len(x), -1)[:, n]
            results.append(np.concatenate([y, np.zeros((x.shape[1] - len(y), y.shape[1]))]))
        return np.array(results)

    return reference


rnn, gru, lstm = run(rnn_step), run(gru_step), run(lstm_step, 2)


def encoder_decoder(make, encode, last):
    """A decoder that begins with an encoder's last state; its outputs, then its last states."""
    nodes = {
        "state": (encode(WithState(make()), SelectTable(1)), "x"),
        "decoded": (WithState(make()), ["x", "state"]),
        "last": (StackTable(), last),
        "y": (JoinTable(), ["decoded.0", "last"]),
    }
    return Graph(nodes, outputs="y")


def decoded(step, states, with_lengths=False):
    """The reference of `encoder_decoder`."""

    def run_from(layer, x, state, lengths):
        outputs = np.zeros((*x.shape[:2], layer.hidden_size))
        for t in range(x.shape[1]):
            after = step(layer, "_l0", x[:, t], state)
            real = (t < lengths)[:, None]
            state = tuple(np.where(real, new, old) for new, old in zip(after, state, strict=True))
            outputs[:, t] = np.where(real, after[0], 0)
        return outputs, state

    def reference(net, x):
        inner = net["state"].inner if with_lengths else net["state"]
        state, steps = (np.zeros((len(x), net["decoded"].layer.hidden_size)),) * states, np.full(len(x), x.shape[1])
        _, state = run_from(inner[0].layer, x, state, find_lengths(x) if with_lengths else steps)
        y, state = run_from(net["decoded"].layer, x, state, steps)
        return np.concatenate([y, *(part[:, None] for part in state)], axis=1)

    return reference


def find_lengths(x):
    return 1 + sum((x[:, 0, 0] > threshold).astype(int) for threshold in (-0.7, -0.2, 0.2, 0.7))


def padded(*references):
    """The reference of `WithLengths`, from those of its layers: (reference, whether it takes lengths)."""

    def reference(module, x):
        lengths = find_lengths(x)
        for layer, (each, takes) in zip(module.inner, references, strict=True):
            x = each(layer, x, lengths) if takes else each(layer, x)
        return x

    return reference


def last_step(module, x, lengths=None):
    return x[np.arange(len(x)), (x.shape[1] if lengths is None else lengths) - 1]


def mean_over_time(module, x, lengths=None):
    return np.stack([row[: len(row) if lengths is None else lengths[n]].mean(axis=0) for n, row in enumerate(x)])


def max_over_time(module, x, lengths=None):
    return np.stack([row[: len(row) if lengths is None else lengths[n]].max(axis=0) for n, row in enumerate(x)])


def cell(step):
    """The reference of a cell whose input is x (N, 2) and its states (N, 3), side by side."""

    def reference(module, x):
        inner = module[-1] if isinstance(module[-1], (RNNCell, GRUCell)) else module[2]
        states = np.split(x[:, 2:], (x.shape[1] - 2) // 3, axis=1)
        return np.concatenate(step(inner, "", x[:, :2], tuple(states)), axis=1)

    return reference


def refuse(label, shape=(3, 5, 5)):
    """The message of a layer for an x of this shape."""
    return f"{label}: x has shape {shape}, expected (N, T, 4)"


MODULES = [
    Case("RNN", lambda: RNN(4, 3), (3, 5, 4), (3, 5, 5), refuse("RNN(4 -> 3)"), rnn),
    Case(
        "RNN, relu, no bias, two layers",
        lambda: RNN(4, 3, 2, "relu", bias=False),
        (3, 4, 4),
        (3, 4),
        refuse("RNN(4 -> 3, num_layers=2, bias=False, nonlinearity='relu')", (3, 4)),
        rnn,
    ),
    Case("LSTM", lambda: LSTM(4, 3), (3, 5, 4), (3, 5, 5), refuse("LSTM(4 -> 3)"), lstm),
    Case(
        "LSTM, two layers, both directions",
        lambda: LSTM(4, 3, 2, bidirectional=True),
        (3, 4, 4),
        (3, 5, 5),
        refuse("LSTM(4 -> 3, num_layers=2, bidirectional=True)"),
        lstm,
    ),
    Case(
        "LSTM, no bias", lambda: LSTM(4, 3, bias=False), (3, 4, 4), (3, 5, 5), refuse("LSTM(4 -> 3, bias=False)"), lstm
    ),
    Case("GRU", lambda: GRU(4, 3), (3, 5, 4), (3, 5, 5), refuse("GRU(4 -> 3)"), gru),
    Case(
        "GRU, two layers, both directions",
        lambda: GRU(4, 3, 2, bidirectional=True),
        (3, 4, 4),
        (3, 5, 5),
        refuse("GRU(4 -> 3, num_layers=2, bidirectional=True)"),
        gru,
    ),
    Case("GRU, no bias", lambda: GRU(4, 3, bias=False), (3, 4, 4), (3, 5, 5), refuse("GRU(4 -> 3, bias=False)"), gru),
    Case(
        "LSTM, dropout",
        lambda: LSTM(4, 3, 2, dropout=0.4),
        (3, 4, 4),
        (3, 5, 5),
        refuse("LSTM(4 -> 3, num_layers=2, dropout=0.4)"),
        lstm,
        samples_apart=False,
    ),
    Case(
        "Padded LSTM",
        lambda: WithLengths(LSTM(4, 3, 2, bidirectional=True), Linear(6, 2), LastStep()),
        (5, 6, 4),
        (3, 5, 5),
        refuse("LSTM(4 -> 3, num_layers=2, bidirectional=True)") + "\nin model.inner[0]",
        padded((lstm, True), (linear, False), (last_step, True)),
    ),
    Case(
        "Padded GRU",
        lambda: WithLengths(GRU(4, 3, bidirectional=True), MeanOverTime()),
        (5, 6, 4),
        (3, 5, 5),
        refuse("GRU(4 -> 3, bidirectional=True)") + "\nin model.inner[0]",
        padded((gru, True), (mean_over_time, True)),
    ),
    Case(
        "Padded RNN",
        lambda: WithLengths(RNN(4, 3, 2), MaxOverTime()),
        (5, 6, 4),
        (3, 5, 5),
        refuse("RNN(4 -> 3, num_layers=2)") + "\nin model.inner[0]",
        padded((rnn, True), (max_over_time, True)),
    ),
    Case(
        "WithState, LSTM",
        lambda: encoder_decoder(lambda: LSTM(4, 3), Sequential, "decoded.1"),
        (3, 4, 4),
        (3, 5, 5),
        refuse("LSTM(4 -> 3)") + "\nin model.state[0].layer",
        decoded(lstm_step, 2),
    ),
    Case(
        "WithState, GRU with lengths",
        lambda: encoder_decoder(lambda: GRU(4, 3), WithLengths, ["decoded.1"]),
        (3, 5, 4),
        (3, 5, 5),
        refuse("GRU(4 -> 3)") + "\nin model.state.inner[0].layer",
        decoded(gru_step, 1, with_lengths=True),
    ),
    Case("LastStep", LastStep, (3, 5, 4), (3, 5), "LastStep(): x has shape (3, 5), expected (N, T, D)", last_step),
    Case(
        "MeanOverTime",
        MeanOverTime,
        (3, 5, 4),
        (3, 5),
        "MeanOverTime(): x has shape (3, 5), expected (N, T, D)",
        mean_over_time,
    ),
    Case(
        "MaxOverTime",
        MaxOverTime,
        (3, 5, 4),
        (3, 5),
        "MaxOverTime(): x has shape (3, 5), expected (N, T, D)",
        max_over_time,
    ),
    Case(
        "RNNCell",
        lambda: Sequential(NarrowTable([2, 3]), RNNCell(2, 3)),
        (4, 5),
        (4, 6),
        "NarrowTable([2, 3], axis=1): x has shape (4, 6), expected size 5 along axis 1\nin model[0]",
        cell(rnn_step),
    ),
    Case(
        "GRUCell",
        lambda: Sequential(NarrowTable([2, 3]), GRUCell(2, 3)),
        (4, 5),
        (4, 6),
        "NarrowTable([2, 3], axis=1): x has shape (4, 6), expected size 5 along axis 1\nin model[0]",
        cell(gru_step),
    ),
    Case(
        "LSTMCell",
        lambda: Sequential(NarrowTable([2, 6]), ParallelTable(Mul(), NarrowTable([3, 3])), LSTMCell(2, 3), JoinTable()),
        (4, 8),
        (4, 7),
        "NarrowTable([2, 6], axis=1): x has shape (4, 7), expected size 8 along axis 1\nin model[0]",
        lambda module, x: cell(lstm_step)(module, np.concatenate([x[:, :2] * module[1][0].weight, x[:, 2:]], axis=1)),
    ),
]
