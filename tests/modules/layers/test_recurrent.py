"""Recurrent layers: lengths, states carried from minibatch to minibatch, and what they refuse."""

import re

import numpy as np
import pytest
from bprop.modules import (
    GRU,
    LSTM,
    RNN,
    GRUCell,
    LastStep,
    Linear,
    LSTMCell,
    MaxOverTime,
    MeanOverTime,
    Padded,
    RNNCell,
    Sequential,
    WithState,
    manual_seed,
    num_threads,
)
from bprop.modules.layers.recurrent import recurrent

LAYERS = [RNN, LSTM, GRU]
POOLS = [LastStep, MeanOverTime, MaxOverTime]
layers = pytest.mark.parametrize("cls", LAYERS)


def states_of(layer):
    """The last states as a tuple: h_n, or h_n and c_n."""
    last = layer.last_state()
    return last if isinstance(last, tuple) else (last,)


def passes(layer, x, lengths, grad_y):
    """y, grad_x, and all gradients."""
    layer.zero_grad()
    y = layer(x, lengths)
    grad_x = layer.bprop(grad_y)
    return [y, grad_x, *(gradient.copy() for _, gradient in layer.named_gradients())]


@layers
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_padding_is_not_computed(random, cls, dtype):
    layer = cls(3, 4, 2, bidirectional=True).to(dtype)
    lengths = np.array([5, 2, 6, 1])
    x, grad_y = random.standard_normal((4, 6, 3)), random.standard_normal((4, 6, 8))
    expected = passes(layer, x, lengths, grad_y)
    padding = np.arange(6) >= lengths[:, None]
    x[padding] = grad_y[padding] = np.nan
    actual = passes(layer, x, lengths, grad_y)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not actual[0][padding].any()
    assert not actual[1][padding].any()


@layers
def test_lengths_are_as_if_each_sample_were_alone(random, cls):
    layer = cls(3, 4, 2, bidirectional=True).to("float64")
    lengths, x = np.array([5, 2, 6, 1]), random.standard_normal((4, 6, 3))
    y = layer(x, lengths)
    last = states_of(layer)
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(y[n, :length], layer(x[n : n + 1, :length])[0], rtol=1e-12)
        for whole, alone in zip(last, states_of(layer), strict=True):
            np.testing.assert_allclose(whole[:, n], alone[:, 0], rtol=1e-12)


@layers
def test_full_lengths_are_as_none(random, cls):
    layer, x, grad_y = cls(3, 4), random.standard_normal((3, 5, 3)), random.standard_normal((3, 5, 4))
    for a, b in zip(passes(layer, x, None, grad_y), passes(layer, x, np.full(3, 5, np.int32), grad_y), strict=True):
        np.testing.assert_array_equal(a, b)


@layers
def test_streams_go_on_where_the_last_minibatch_has_ended(random, cls):
    x = random.standard_normal((3, 10, 2))
    whole, parts = cls(2, 4, 2).to("float64"), cls(2, 4, 2, streams=3).to("float64")
    parts.load_state_dict({**parts.state_dict(), **whole.state_dict()})
    y = whole(x)
    np.testing.assert_allclose(parts(x[:, :6]), y[:, :6], rtol=1e-12)
    np.testing.assert_allclose(parts(x[:, 6:]), y[:, 6:], rtol=1e-12)
    for name, last in zip(parts.state_names, states_of(whole), strict=True):
        np.testing.assert_allclose(getattr(parts, name), last, rtol=1e-12)
    parts.reset_state()
    assert not any(getattr(parts, name).any() for name in parts.state_names)
    np.testing.assert_allclose(parts(x[:, :6]), y[:, :6], rtol=1e-12)


@layers
def test_the_gradient_of_streams_ends_at_the_minibatch(random, cls):
    """It is that of a layer that begins with the state as a constant: of differences with the state set anew."""
    x, grad_y = random.standard_normal((2, 8, 2)), random.standard_normal((2, 4, 3))
    layer = cls(2, 3, streams=2).to("float64")
    layer(x[:, :4])
    state = {name: getattr(layer, name).copy() for name in layer.state_names}
    layer.zero_grad()
    layer(x[:, 4:])
    grad_x = layer.bprop(grad_y)
    gradient, direction, step = layer.flat_gradients.copy(), random.standard_normal(layer.flat_gradients.size), 1e-6
    v, values = random.standard_normal(grad_x.shape), []
    for h in (step, -step):
        for name, value in state.items():
            getattr(layer, name)[...] = value
        layer.flat_parameters[...] += h * direction
        values.append((layer(x[:, 4:] + h * v) * grad_y).sum())
        layer.flat_parameters[...] -= h * direction
    expected = (values[0] - values[1]) / (2 * step)
    assert (gradient * direction).sum() + (grad_x * v).sum() == pytest.approx(expected, rel=1e-7)


def test_the_state_is_saved_and_may_be_set(random):
    layer = LSTM(2, 3, streams=2)
    assert {"hidden_state", "cell_state"} <= set(layer.state_dict())
    assert "hidden_state" not in LSTM(2, 3).state_dict()
    x = random.standard_normal((2, 4, 2)).astype(np.float32)
    layer.hidden_state[...], layer.cell_state[...] = 0.5, -0.25
    other = LSTM(2, 3, streams=2)
    other.load_state_dict(layer.state_dict())
    y = layer(x)
    np.testing.assert_array_equal(other(x), y)
    layer.reset_state()
    assert np.abs(layer(x) - y).max() > 1e-3


def test_fewer_samples_than_streams_go_on_with_the_first_ones(random):
    layer = GRU(2, 3, streams=4)
    layer(random.standard_normal((4, 2, 2)))
    state = layer.hidden_state.copy()
    layer(random.standard_normal((1, 2, 2)))
    np.testing.assert_array_equal(layer.hidden_state[:, 1:], state[:, 1:])
    assert (layer.hidden_state[:, 0] != state[:, 0]).any()


def test_lengths_of_streams_leave_the_state_after_the_last_real_step(random):
    layer, x = GRU(2, 3, streams=2), random.standard_normal((2, 5, 2))
    y = layer(x, np.array([2, 5]))
    np.testing.assert_array_equal(layer.hidden_state[0], y[[0, 1], [1, 4]])


def test_dropout_between_layers(random):
    manual_seed(0)
    layer, x = GRU(3, 5, 2, dropout=0.5), random.standard_normal((4, 6, 3))
    assert not np.array_equal(layer(x), layer(x))
    assert layer.counters()["draws"] == 2
    layer.eval()
    np.testing.assert_array_equal(layer(x), layer(x))
    plain = GRU(3, 5, 2)
    plain.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(layer(x), plain(x))


@layers
def test_spans_of_steps_are_as_one(random, cls, monkeypatch):
    layer, lengths = cls(3, 4, 2, bidirectional=True).to("float64"), np.array([5, 2, 6, 1])
    x, grad_y = random.standard_normal((4, 7, 3)), random.standard_normal((4, 7, 8))
    for given in (None, lengths):
        whole = passes(layer, x, given, grad_y)
        assert layer.span == 7
        with monkeypatch.context() as patched:
            patched.setattr(recurrent, "SPAN_ROWS", 8)
            patched.setattr(recurrent, "SPAN_NUMBERS", 0)
            parts = passes(layer, x, given, grad_y)
        assert layer.span == 2
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.jit
@layers
def test_memory_is_reused_and_minibatches_may_change(random, cls):
    """A smaller minibatch after a larger one, other lengths, and back."""
    layer = cls(3, 17, 2, bidirectional=True).to("float64")
    for samples, steps in ((5, 7), (33, 3), (5, 7), (1, 1), (20, 9)):
        x, grad_y = random.standard_normal((samples, steps, 3)), random.standard_normal((samples, steps, 34))
        for lengths in (None, random.integers(1, steps + 1, samples)):
            fresh = cls(3, 17, 2, bidirectional=True).to("float64")
            fresh.load_state_dict(layer.state_dict())
            for a, b in zip(passes(layer, x, lengths, grad_y), passes(fresh, x, lengths, grad_y), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.jit
@layers
def test_threads_give_the_same_bits(random, cls):
    layer = cls(8, 64, 2, bidirectional=True)
    x, grad_y = random.standard_normal((40, 12, 8)), random.standard_normal((40, 12, 128))
    lengths, results = random.integers(1, 13, 40), []
    for count in (1, 2, 4):
        with num_threads(count):
            results.append(passes(layer, x, lengths, grad_y))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


# -- pools over time, and the container --------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", POOLS)
def test_pools_see_real_steps_only(random, cls):
    lengths, x, grad_y = np.array([3, 1, 4]), random.standard_normal((3, 4, 2)), random.standard_normal((3, 2))
    pool = cls().to("float64")
    x[np.arange(4) >= lengths[:, None]] = np.nan
    y = pool(x, lengths)
    grad_x = pool.bprop(grad_y)
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(y[n], pool(x[n : n + 1, :length])[0])
        np.testing.assert_allclose(grad_x[n, :length], pool.bprop(grad_y[n : n + 1])[0])
    assert not grad_x[np.arange(4) >= lengths[:, None]].any()


def test_padded_gives_lengths_to_those_that_take_them(random):
    lengths, x = np.array([3, 1, 4]), random.standard_normal((3, 4, 2))
    net = Padded(LSTM(2, 3), Linear(3, 5), LastStep(), Linear(5, 2)).to("float64")
    y = net.fprop((x, lengths))
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(y[n], net.fprop((x[n : n + 1, :length], lengths[n : n + 1]))[0], rtol=1e-12)
    net.fprop((x, lengths))
    grad_x, zeros = net.bprop(np.ones((3, 2)))
    assert grad_x.shape == x.shape
    assert zeros.shape == (3,)
    assert not zeros.any()
    assert net.which_are_labels((None, None)) == (False, True)


def test_padded_in_a_chain_and_in_pieces(random):
    x, lengths = random.standard_normal((3, 4, 2)), np.array([4, 2, 1], np.uint8)
    net = Sequential(Padded(GRU(2, 3), MeanOverTime()), Linear(3, 1))
    assert net.output_shape(((3, 4, 2), (3,))) == (3, 1)
    assert net.fprop((x, lengths)).shape == (3, 1)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([2, 5, 1], "length 5 in row 1, expected 1 to 4, the steps of x"),
        ([2, 3, 0], "length 0 in row 2, expected 1 to 4, the steps of x"),
        ([-1, 3, 1], "length -1 in row 0, expected 1 to 4, the steps of x"),
        ([2, 3], "lengths has shape (2,), expected (3,)"),
        ([[2], [3], [1]], "lengths has shape (3, 1), expected (3,)"),
        ([2, 1.5, 1], "label 1.5 in row 1, expected whole numbers"),
    ],
)
@pytest.mark.parametrize(
    "make", [lambda: GRU(2, 3), LastStep, lambda: Padded(GRU(2, 3))], ids=["GRU", "LastStep", "Padded"]
)
def test_wrong_lengths(make, lengths, message):
    module, x, lengths = make(), np.zeros((3, 4, 2)), np.array(lengths)
    with pytest.raises(ValueError, match=re.escape(message).replace("label", "(label|x has)")):
        module.fprop((x, lengths)) if isinstance(module, Padded) else module(x, lengths)


@pytest.mark.jit
def test_wrong_lengths_inside_of_a_net():
    net = Sequential(Padded(GRU(2, 3), LastStep()))
    with pytest.raises(ValueError, match=re.escape("lengths: got one below 1 or above the number of steps")):
        net.fprop((np.zeros((2, 3, 2)), np.array([1, 4])))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM(0, 3), "LSTM: input_size is 0, expected at least 1"),
        (lambda: GRU(2, 3, 0), "GRU: num_layers is 0, expected at least 1"),
        (lambda: RNN(2, 3, nonlinearity="sigmoid"), "RNN: nonlinearity is 'sigmoid', expected 'tanh' or 'relu'"),
        (lambda: RNNCell(2, 3, nonlinearity="s"), "RNNCell: nonlinearity is 's', expected 'tanh' or 'relu'"),
        (lambda: LSTM(2, 3, dropout=0.5), "LSTM: dropout is 0.5 with one layer, expected more"),
        (lambda: LSTM(2, 3, 2, dropout=1.0), "LSTM: dropout is 1.0, expected at least 0 and below 1"),
        (lambda: LSTM(2, 3, streams=-1), "LSTM: streams is -1, expected at least 0"),
        (lambda: GRU(2, 3, streams=2, bidirectional=True), "GRU: streams with bidirectional, expected one"),
        (lambda: GRU(2, 3, memory=1), "GRU: memory is 1, expected the steps to remember, at least 2, or 0"),
        (lambda: LSTM(2, 3, bias=False, memory=9), "LSTM: memory with bias false, expected biases"),
        (
            lambda: WithState(GRU(2, 3, streams=2)),
            "WithState: GRU(2 -> 3, streams=2) carries its own state, expected one",
        ),
        (
            lambda: WithState(GRU(2, 3))((np.zeros((4, 5, 2)), np.zeros((4, 2)))),
            "WithState(GRU(2 -> 3)): h_0 has shape (4, 2), expected (4, 3)",
        ),
        (
            lambda: WithState(LSTM(2, 3))((np.zeros((4, 5, 2)), (np.zeros((4, 3)), np.zeros((3, 3))))),
            "WithState(LSTM(2 -> 3)): c_0 has shape (3, 3), expected (4, 3)",
        ),
        (lambda: WithState(LSTM(2, 3))((np.zeros((4, 5, 2)), np.zeros((4, 3)))), "expected a table of arrays"),
        (lambda: GRUCell(2, 0), "GRUCell: hidden_size is 0, expected at least 1"),
        (lambda: Padded(GRU(2, 3)).fprop(np.zeros((3, 4, 2))), "expected a table (x, lengths)"),
        (lambda: GRU(2, 3, streams=2)(np.zeros((3, 4, 2))), "x has 3 samples, expected 2 streams at most"),
        (
            lambda: GRUCell(2, 3)(np.zeros((4, 3)), np.zeros((4, 3))),
            "GRUCell(2 -> 3): x has shape (4, 3), expected (N, 2)",
        ),
        (
            lambda: GRUCell(2, 3)(np.zeros((4, 2)), np.zeros((5, 3))),
            "GRUCell(2 -> 3): h has shape (5, 3), expected (4, 3)",
        ),
        (
            lambda: LSTMCell(2, 3)(np.zeros((4, 2)), (np.zeros((4, 3)), np.zeros((4, 2)))),
            "LSTMCell(2 -> 3): c has shape (4, 2), expected (4, 3)",
        ),
        (lambda: LSTMCell(2, 3)(np.zeros((4, 2)), np.zeros((4, 3))), "expected a table of arrays"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_only_recurrent_layers_have_states():
    with pytest.raises(TypeError, match=re.escape("WithState: layer is Linear(2 -> 3), expected an RNN, GRU or LSTM")):
        WithState(Linear(2, 3))


def test_the_last_state_needs_an_fprop():
    with pytest.raises(RuntimeError, match=re.escape("GRU(2 -> 3): last_state without a fprop; call fprop(x) first")):
        GRU(2, 3).last_state()


def test_cells_run_step_by_step_like_the_layer(random):
    """A loop over the cell is the layer of the same weights."""
    x = random.standard_normal((3, 5, 2))
    for cell, layer in ((RNNCell(2, 4), RNN(2, 4)), (GRUCell(2, 4), GRU(2, 4)), (LSTMCell(2, 4), LSTM(2, 4))):
        cell.to("float64"), layer.to("float64")
        layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
        state = (np.zeros((3, 4)),) * 2 if isinstance(cell, LSTMCell) else np.zeros((3, 4))
        y = layer(x)
        for t in range(5):
            state = cell(x[:, t], state)
            np.testing.assert_allclose(state[0] if isinstance(state, tuple) else state, y[:, t], rtol=1e-12)


def test_parameters_of_a_cell_are_its_own():
    cell = GRUCell(2, 3)
    assert list(cell.state_dict()) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    cell.weight_ih = np.ones((9, 2))
    assert (cell.weight_ih == 1).all()
    assert cell.grad_weight_hh.shape == (9, 3)
    assert GRUCell(2, 3, bias=False).bias_ih is None
    assert next(iter(Sequential(cell).state_dict())) == "0.weight_ih"


@pytest.mark.parametrize(("cls", "gate"), [(GRU, slice(200, 400)), (LSTM, slice(200, 400))])
def test_gates_begin_with_memories_of_up_to_so_many_steps(cls, gate):
    """Without inputs, a state falls to about 1 / e after 1 + s steps, for s from 1 to T - 1, each decade as often."""
    manual_seed(0)
    layer = cls(2, 200, 2, bidirectional=True, memory=101)
    for ending in ("_l0", "_l1", "_l0_reverse", "_l1_reverse"):
        inner, outer = getattr(layer, f"bias_ih{ending}"), getattr(layer, f"bias_hh{ending}")
        assert not outer[gate].any()
        assert 0 <= inner[gate].min() < 0.1
        assert np.log(100) - 0.2 < inner[gate].max() < np.log(100) + 1e-6
        assert (inner[gate] < np.log(10)).mean() == pytest.approx(0.5, abs=0.1)
        other = slice(0, 200)  # r of a GRU stays as it is; i of an LSTM lets in what f lets go
        assert np.array_equal(inner[other], -inner[gate]) == (cls is LSTM)
