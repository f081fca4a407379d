"""Embeddings next to PyTorch, tokens out of range, and steps that touch only the rows that occur."""

import numpy as np
import pytest
from bprop.modules import (
    Embedding,
    EmbeddingBag,
    Flatten,
    Graph,
    JoinTable,
    Linear,
    Module,
    NarrowTable,
    Normal,
    Padded,
    ParallelTable,
    Parameter,
    PositionalEmbedding,
    Sequential,
    SinusoidalPositions,
    SoftmaxCrossEntropy,
    manual_seed,
    num_threads,
)
from bprop.modules.derivatives import hvp, jvp, vjp
from bprop.modules.display.costs import count_bytes, count_flops, get_matmul
from bprop.trainers import SGD, Adam, Optimizer, Trainer, compile_step

RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.integers(0, 7, (5, 4))
DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def net(**settings):
    return Sequential(Embedding(7, 3, **settings), Flatten(), Linear(12, 4))


# -- tokens ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_tokens_of_any_integer_dtype(dtype):
    embedding = Embedding(7, 3)
    assert np.array_equal(embedding.fprop(TOKENS.astype(dtype)), embedding.weight[TOKENS])
    assert embedding.bprop(np.ones((5, 4, 3))).dtype == np.float32


REFUSED = pytest.mark.parametrize(("wrong", "row"), [(7, 3), (-1, 0), (2**40, 4)])


@REFUSED
def test_tokens_out_of_range_are_refused_by_fprop(wrong, row):
    x = TOKENS.copy()
    x[row, 2] = wrong
    message = rf"^Embedding\(7, 3\): token {wrong} in row {row}, expected 0\.\.6(\n|$)"
    with pytest.raises(ValueError, match=message):
        Embedding(7, 3).fprop(x)
    with pytest.raises(ValueError, match=message) as refused:
        Sequential(net()).fprop(x)
    assert refused.value.__notes__ == ["in model[0][0]"]
    message = message.replace("Embedding", "EmbeddingBag")
    with pytest.raises(ValueError, match=message):
        EmbeddingBag(7, 3).fprop(x)


@REFUSED
def test_tokens_out_of_range_are_refused_before_a_step(wrong, row):
    x, model = TOKENS.copy(), net()
    x[row, 2] = wrong
    step = compile_step(model, SoftmaxCrossEntropy(), SGD(lr=0.1))
    before = model.flat_parameters.copy()
    for call in (step, step.by_parts, lambda x, t: jvp(model, x), lambda x, t: vjp(model, x, np.ones((5, 4)))):
        with pytest.raises(ValueError, match=rf"^Embedding\(7, 3\): token {wrong} in row {row}, expected 0\.\.6(\n|$)"):
            call(x, np.zeros(5, int))
    assert np.array_equal(model.flat_parameters, before)
    assert np.isfinite(step(TOKENS, np.zeros(5, int)))


def test_unsigned_tokens_too_large_for_int64():
    x = TOKENS.astype(np.uint64)
    x[1, 1] = 2**64 - 1
    with pytest.raises(ValueError, match=r"^Embedding\(7, 3\): x has 1.84467e\+19 in row 1, expected whole numbers$"):
        Embedding(7, 3).fprop(x)


def test_each_module_that_reads_tokens_first_is_found():
    graph = Graph({"a": (Embedding(7, 2), "x"), "b": (Embedding(9, 2), "x"), "y": (JoinTable(2), ["a", "b"])}, "y")
    with pytest.raises(ValueError, match=r"^Embedding\(7, 2\): token 8 in row 1, expected 0\.\.6(\n|$)") as refused:
        graph.fprop(np.array([[0, 1], [8, 2]]))
    assert refused.value.__notes__ == ["in model.a"]
    columns = Sequential(NarrowTable([1, 3]), ParallelTable(Embedding(5, 2), Embedding(9, 2)), JoinTable(1))
    assert columns.fprop(np.array([[4, 8, 8, 8]])).shape == (1, 4, 2)
    with pytest.raises(ValueError, match=r"^Embedding\(5, 2\): token 5 in row 1, expected 0\.\.4(\n|$)"):
        columns.fprop(np.array([[4, 8, 8, 8], [5, 0, 0, 0]]))
    table = ParallelTable(Linear(2, 2), Embedding(5, 2))
    with pytest.raises(ValueError, match=r"^Embedding\(5, 2\): token 9 in row 0, expected 0\.\.4(\n|$)"):
        table.fprop((np.ones((1, 2)), np.array([[9]])))
    graph.replace("b", Embedding(4, 2))  # what was found is forgotten
    with pytest.raises(ValueError, match=r"^Embedding\(4, 2\): token 4 in row 1, expected 0\.\.3(\n|$)"):
        graph.fprop(np.array([[0, 1], [4, 2]]))


class Lookup(Module):
    """A custom module that knows how many tokens there are."""

    label_arguments = (0,)

    def __init__(self, vocabulary_size):
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.weight = Parameter(np.ones((vocabulary_size, 2)))

    def fprop(self, x):
        self.x = x
        y = np.empty((x.size, 2), self.weight.dtype)
        for n in range(x.size):
            y[n] = self.weight[x[n]]
        return y

    def bprop(self, grad_y):
        for n in range(self.x.size):
            self.grad_weight[self.x[n]] += grad_y[n]
        return np.zeros(self.x.shape, grad_y.dtype)


def test_a_custom_module_says_how_many_tokens_it_knows():
    with pytest.raises(ValueError, match=r"^Lookup\(\): token 3 in row 1, expected 0\.\.2(\n|$)"):
        Lookup(3).fprop(np.array([0, 3]))
    assert Lookup(3).fprop(np.array([0, 2])).shape == (2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Embedding(0, 3), r"Embedding: num_embeddings is 0, expected at least 1"),
        (lambda: Embedding(7, 0), r"Embedding: embedding_dim is 0, expected at least 1"),
        (lambda: Embedding(7, 3, padding_idx=7), r"Embedding: padding_idx is 7, expected -7 to 6"),
        (lambda: Embedding(7, 3, max_norm=0), r"Embedding: max_norm is 0, expected a finite number above 0"),
        (lambda: Embedding(7, 3, norm_type=0), r"Embedding: norm_type is 0, expected a number above 0"),
        (lambda: EmbeddingBag(7, 3, mode="max"), r"EmbeddingBag: mode is 'max', expected 'sum' or 'mean'"),
        (lambda: PositionalEmbedding(0, 3), r"PositionalEmbedding: num_positions is 0, expected at least 1"),
        (lambda: SinusoidalPositions(4, base=1), r"SinusoidalPositions: base is 1, expected a finite number above 1"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()


def test_repr():
    assert repr(Embedding(7, 3, -1, 2.0, 1)) == "Embedding(7, 3, padding_idx=6, max_norm=2, norm_type=1)"
    assert repr(EmbeddingBag(7, 3, mode="sum")) == "EmbeddingBag(7, 3, mode='sum')"
    assert repr(SinusoidalPositions(4, 50.0)) == "SinusoidalPositions(4, base=50)"


def test_initial_values():
    embedding = Embedding(1000, 50, padding_idx=3)
    assert not embedding.weight[3].any()
    assert np.std(embedding.weight) == pytest.approx(1, abs=0.02)
    assert np.std(Embedding(1000, 50, weight_init=Normal(0, 0.02)).weight) == pytest.approx(0.02, rel=0.02)


# -- next to PyTorch ---------------------------------------------------------------------------------------------------

SETTINGS = [{}, {"padding_idx": 2}, {"max_norm": 1.0}, {"max_norm": 2.5, "norm_type": 1.0, "padding_idx": 0}]
PRECISION = pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])


def train_both(mine, other, x, dtype, tolerance, steps=10):
    """Compare outputs, gradients and weights of some steps of SGD."""
    torch = pytest.importorskip("torch")
    other = other.to(getattr(torch, dtype))
    mine.to(dtype).load_state_dict({name: value.numpy().copy() for name, value in other.state_dict().items()})
    random = np.random.default_rng(1)
    for _ in range(steps):
        y, y_there = mine.fprop(x), other(torch.tensor(x))
        np.testing.assert_allclose(y, y_there.detach().numpy(), rtol=tolerance, atol=tolerance)
        grad_y = random.standard_normal(y.shape)
        mine.zero_grad()
        other.zero_grad()
        mine.bprop(grad_y)
        y_there.backward(torch.tensor(grad_y, dtype=y_there.dtype))
        for (name, gradient), parameter in zip(mine.named_gradients(), other.parameters(), strict=True):
            np.testing.assert_allclose(gradient, parameter.grad.numpy(), rtol=tolerance, atol=tolerance, err_msg=name)
            with torch.no_grad():
                parameter -= 0.1 * parameter.grad
        mine.flat_parameters[:] -= 0.1 * mine.flat_gradients
    mine.eval()
    other.eval()
    np.testing.assert_allclose(mine.fprop(x), other(torch.tensor(x)).detach().numpy(), rtol=tolerance, atol=tolerance)


@PRECISION
@pytest.mark.parametrize("settings", SETTINGS)
def test_embedding_like_pytorch(settings, dtype, tolerance):
    torch = pytest.importorskip("torch")
    train_both(Embedding(7, 3, **settings), torch.nn.Embedding(7, 3, **settings), TOKENS, dtype, tolerance)


@PRECISION
@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_embedding_bag_like_pytorch(mode, settings, dtype, tolerance):
    torch = pytest.importorskip("torch")
    x = TOKENS.copy()
    x[1] = settings.get("padding_idx", x[1, 0])  # an empty bag
    other = torch.nn.EmbeddingBag(7, 3, mode=mode, **settings)
    train_both(EmbeddingBag(7, 3, mode=mode, **settings), other, x, dtype, tolerance)


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_lengths_of_bags_are_offsets_of_pytorch(mode):
    torch = pytest.importorskip("torch")
    lengths = np.array([1, 4, 2, 3, 4])
    flat = torch.tensor(np.concatenate([row[:n] for row, n in zip(TOKENS, lengths, strict=True)]))
    other = torch.nn.EmbeddingBag(7, 3, mode=mode, dtype=torch.float64)
    mine = EmbeddingBag(7, 3, mode=mode).to("float64")
    mine.weight = other.weight.detach().numpy()
    y = other(flat, torch.tensor(np.cumsum([0, *lengths[:-1]])))
    np.testing.assert_allclose(mine(TOKENS, lengths), y.detach().numpy(), rtol=1e-12)
    y.backward(torch.ones_like(y))
    assert not mine.bprop(np.ones((5, 3))).any()
    np.testing.assert_allclose(mine.grad_weight, other.weight.grad.numpy(), rtol=1e-12)
    with pytest.raises(ValueError, match=r"^EmbeddingBag\(7, 3.*\): lengths has shape \(4,\), expected \(5,\)$"):
        mine(TOKENS, lengths[1:])
    for wrong in (0, 5):
        with pytest.raises(
            ValueError, match=rf"^EmbeddingBag\(7, 3.*\): length {wrong} in row 2, expected 1 to 4, the st"
        ):
            mine(TOKENS, np.where(np.arange(5) == 2, wrong, lengths))
    padded = Padded(EmbeddingBag(7, 3, mode=mode))
    padded[0].weight = mine.weight
    np.testing.assert_allclose(padded.fprop((TOKENS, lengths)), mine(TOKENS, lengths), rtol=1e-6)


# -- steps -------------------------------------------------------------------------------------------------------------


class Wipes(Optimizer):
    """A custom optimizer that writes into the gradients, too."""

    def update(self, parameters, gradients):
        parameters -= 0.1 * gradients
        gradients[:] = 1


@pytest.mark.parametrize("optimizer", [lambda: SGD(lr=0.1), lambda: Adam(lr=0.1), Wipes])
def test_a_step_has_the_gradients_of_its_tokens_alone(optimizer):
    """Steps with other tokens and of other sizes, with a run by hand between them, next to gradients by hand."""
    model, loss, labels = net(), SoftmaxCrossEntropy(), np.array([0, 1, 2, 3, 0])
    step = compile_step(model, loss, optimizer())
    own = isinstance(step.optimizer, Wipes)
    for k in range(8):
        x, t = RANDOM.integers(k % 4, k % 4 + 3, (5 - k % 2, 4)), labels[: 5 - k % 2]
        twin = model.copy()
        twin.zero_grad()
        value = SoftmaxCrossEntropy().fprop(twin.fprop(x), t)
        after = SoftmaxCrossEntropy()
        after.fprop(twin.fprop(x), t)
        twin.bprop(after.bprop())
        before = model.flat_parameters.copy()
        assert step(x, t) == pytest.approx(value, rel=1e-5)
        if own:
            change = (before - model.flat_parameters) / 0.1
            np.testing.assert_allclose(change, twin.flat_gradients, rtol=1e-3, atol=1e-5)
        else:
            np.testing.assert_allclose(model.flat_gradients, twin.flat_gradients, rtol=1e-4, atol=1e-7)
        if k == 4:  # gradients of other rows, by another plan
            model.fprop(np.full((2, 4), 6))
            model.bprop(np.ones((2, 4)))


def test_gradients_that_are_added_up_are_those_of_one_minibatch():
    """Micro-batches whose gradients an accumulator writes: nothing of the last ones is left."""
    results = []
    x, labels = RANDOM.integers(0, 50, (24, 4)), RANDOM.integers(0, 4, 24)
    for size, k in ((12, 1), (3, 4)):
        manual_seed(0)
        model = Sequential(Embedding(50, 3), Flatten(), Linear(12, 4))
        trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(lr=0.5), quiet=True)
        trainer.fit((x, labels), epochs=3, batch_size=size, accumulate=k, shuffle=False)
        results.append(model.flat_parameters.copy())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-4, atol=1e-6)


@pytest.mark.jit
def test_a_step_clears_only_the_rows_of_the_last_one():
    model = Sequential(Embedding(1000, 3), Flatten(), Linear(12, 4))
    step = compile_step(model, SoftmaxCrossEntropy(), SGD(lr=0.1))
    step(TOKENS, np.zeros(5, int))
    assert (model[0].row_count, model[0].clears_all) == (len(np.unique(TOKENS)), False)
    model[0].grad_weight[900] = 5  # a mark: no later step writes there
    step(TOKENS[:, ::-1].copy(), np.zeros(5, int))
    assert (model[0].grad_weight[900] == 5).all()
    model.fprop(TOKENS)  # another plan: the next step takes nothing for granted
    step(TOKENS, np.zeros(5, int))
    assert not model[0].grad_weight[900].any()


@pytest.mark.jit
@pytest.mark.parametrize("make", [Embedding, lambda *sizes: EmbeddingBag(*sizes, mode="sum")])
def test_sgd_updates_only_rows_that_occur_to_the_same_bits(make):
    def steps(**settings):
        manual_seed(0)
        model = Sequential(make(50, 6), Flatten(), Linear(24 if make is Embedding else 6, 4))
        return model, compile_step(model, SoftmaxCrossEntropy(), SGD(lr=0.1, **settings))

    (model, step), (other, whole) = steps(), steps(clip_value=1e9)  # which looks at the whole gradient
    for k in range(10):
        x, labels = RANDOM.integers(0, 50, (5 - k % 2, 4)), RANDOM.integers(0, 4, 5 - k % 2)
        before = model[0].weight.copy()
        assert step(x, labels) == whole(x, labels)
        assert np.array_equal(model.flat_parameters, other.flat_parameters)
        assert np.array_equal(model.flat_gradients, other.flat_gradients)
        changed = (model[0].weight != before).any(axis=1)
        assert set(np.flatnonzero(changed)) <= set(x.ravel())
    assert len(step.optimizer.slices) == 2
    assert set(step.optimizer.state_dict()) == {"steps", "velocity"}
    step.optimizer.momentum = whole.optimizer.momentum = 0.5  # then all rows move
    for _ in range(3):
        assert step(x, labels) == whole(x, labels)
        assert np.array_equal(model.flat_parameters, other.flat_parameters)


@pytest.mark.jit
@pytest.mark.parametrize("make", [Embedding, EmbeddingBag])
def test_the_same_bits_for_any_number_of_threads(make):
    x, results = RANDOM.integers(0, 50, (200, 64)), []
    layer = make(50, 300)
    grad_y = RANDOM.standard_normal(layer.output_shape(x.shape)).astype(np.float32)
    for threads in (1, 2, 3):
        with num_threads(threads):
            layer.zero_grad()
            y = layer.fprop(x).copy()
            layer.bprop(grad_y)
            results.append((y, layer.grad_weight.copy()))
    for y, gradient in results[1:]:
        assert np.array_equal(y, results[0][0])
        assert np.array_equal(gradient, results[0][1])


def test_second_derivatives():
    model, target = net(padding_idx=2).to("float64"), np.array([0, 1, 2, 3, 0])
    loss, v = SoftmaxCrossEntropy().to("float64"), RANDOM.standard_normal(model.parameter_count)
    actual = hvp(model, loss, TOKENS, target, v)

    def gradient(step):
        twin, other = model.copy(), SoftmaxCrossEntropy().to("float64")
        twin.flat_parameters[:] += step * v
        other.fprop(twin.fprop(TOKENS), target)
        twin.bprop(other.bprop())
        return twin.flat_gradients.copy()

    np.testing.assert_allclose(actual, (gradient(1e-5) - gradient(-1e-5)) / 2e-5, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        jvp(model, TOKENS, direction=v),
        (model_at(model, 1e-6 * v).fprop(TOKENS) - model_at(model, -1e-6 * v).fprop(TOKENS)) / 2e-6,
        rtol=1e-6,
        atol=1e-8,
    )


def model_at(model, change):
    twin = model.copy()
    twin.flat_parameters[:] += change
    return twin


# -- positions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: PositionalEmbedding(8, 4), lambda: SinusoidalPositions(4)])
def test_positions_of_a_text_that_grows(make):
    layer, x = make(), RANDOM.standard_normal((2, 6, 4)).astype(np.float32)
    whole = layer.fprop(x)
    for t in (0, 5, 3):
        layer.first = t
        np.testing.assert_allclose(layer.fprop(x[:, t : t + 1]), whole[:, t : t + 1], rtol=1e-6)


def test_a_sequence_beyond_the_context_is_refused():
    layer = PositionalEmbedding(8, 4)
    with pytest.raises(ValueError, match=r"x has 9 positions, expected at most 8, the longest context$"):
        layer.fprop(np.zeros((1, 9, 4)))
    layer.fprop(np.zeros((1, 4, 4)))
    layer.first = 5
    with pytest.raises(ValueError, match=r"the sequence ends after the last of the learned positions$"):
        layer.fprop(np.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match=r"x has 4 positions from position 5 on, expected at most 3, the longest con"):
        layer.output_shape((1, 4, 4))


def test_sines_as_in_the_paper():
    y = SinusoidalPositions(6).to("float64").fprop(np.zeros((1, 50, 6)))[0]
    for t in (0, 1, 49):
        angles = t / 10000 ** (np.array([0, 2, 4]) / 6)
        np.testing.assert_allclose(y[t, ::2], np.sin(angles), atol=1e-12)
        np.testing.assert_allclose(y[t, 1::2], np.cos(angles), atol=1e-12)


def test_costs_count_the_rows_that_are_read():
    embedding, positions = Embedding(1000, 8), PositionalEmbedding(6, 8)
    assert get_matmul(embedding, (2, 3, 8)) is None
    assert get_matmul(positions, (2, 3, 8)) is None
    assert count_flops(embedding, (2, 3), (2, 3, 8)) == (0, 48)
    assert count_flops(EmbeddingBag(1000, 8), (2, 3), (2, 8)) == (96, 96)
    assert count_bytes(embedding, (2, 3), (2, 3, 8), False) == (4 * (6 + 48 + 48), 4 * (48 + 6 + 48))
