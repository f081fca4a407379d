"""Attention and blocks of transformers beside PyTorch, with lengths, dropout, cached keys, and what they refuse."""

import numpy as np
import pytest
from bprop.modules import (
    ConcatTable,
    CrossAttention,
    Embedding,
    Identity,
    LayerNorm,
    Linear,
    MeanOverTime,
    MeanSquaredError,
    MultiheadAttention,
    Padded,
    Sequential,
    TransformerBlock,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
    check_module,
    manual_seed,
    num_threads,
)
from bprop.modules.derivatives import hvp
from bprop.modules.engine.operations import Function, Operations
from bprop.modules.engine.plan import Plan
from bprop.modules.engine.stateful import plain_python

torch = pytest.importorskip("torch")
nn = torch.nn
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}


def sequences(random, dtype, *shapes):
    """Arrays, and PyTorch's tensors of the same numbers, whose gradients are asked for."""
    arrays = [random.standard_normal(shape).astype(dtype) for shape in shapes]
    return arrays, [torch.tensor(array, requires_grad=True) for array in arrays]


def load(module, other):
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    module.load_state_dict({name: value.numpy() for name, value in other.state_dict().items()})


def close(a, b, dtype):
    b = b.detach().numpy()
    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCES[dtype] * max(1, np.abs(b).max()))


def compare_gradients(module, other, dtype):
    gradients = dict(module.named_gradients())
    for name, parameter in other.named_parameters():
        close(gradients.pop(name), parameter.grad, dtype)
    assert not gradients


def padding(lengths, steps):
    """PyTorch's mask of padded steps."""
    return None if lengths is None else torch.arange(steps)[None] >= torch.tensor(lengths)[:, None]


def clear(y, mask):
    return y if mask is None else y * (~mask)[..., None]


def causal_mask(steps):
    return torch.ones(steps, steps, dtype=torch.bool).triu(1)


dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
lengths_of_three = pytest.mark.parametrize("lengths", [None, [7, 2, 5]], ids=["whole", "lengths"])


# -- beside PyTorch ----------------------------------------------------------------------------------------------------


@dtypes
@lengths_of_three
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("steps", [7, 37])
def test_self_attention(random, dtype, lengths, causal, steps):
    other = nn.MultiheadAttention(12, 3, batch_first=True, dtype=getattr(torch, dtype))
    module = MultiheadAttention(12, 3, causal=causal).to(dtype)
    load(module, other)
    (x, grad), (x_there, grad_there) = sequences(random, dtype, (3, steps, 12), (3, steps, 12))
    mask = padding(lengths, steps)
    y_there = other(
        x_there,
        x_there,
        x_there,
        key_padding_mask=mask,
        attn_mask=causal_mask(steps) if causal else None,
        need_weights=False,
    )[0]
    y_there = clear(y_there, mask)
    y_there.backward(grad_there)
    close(module(x, lengths), y_there, dtype)
    close(module.bprop(grad), x_there.grad, dtype)
    compare_gradients(module, other, dtype)


@dtypes
@lengths_of_three
def test_cross_attention(random, dtype, lengths):
    other = nn.MultiheadAttention(12, 3, batch_first=True, dtype=getattr(torch, dtype))
    module = CrossAttention(12, 3).to(dtype)
    load(module, other)
    arrays, tensors = sequences(random, dtype, (3, 4, 12), (3, 7, 12), (3, 4, 12))
    (x, memory, grad), (x_there, memory_there, grad_there) = arrays, tensors
    y_there = other(x_there, memory_there, memory_there, key_padding_mask=padding(lengths, 7), need_weights=False)[0]
    y_there.backward(grad_there)
    close(module(x, memory, lengths), y_there, dtype)
    grad_x, grad_memory = module.bprop(grad)
    close(grad_x, x_there.grad, dtype)
    close(grad_memory, memory_there.grad, dtype)
    compare_gradients(module, other, dtype)
    if lengths is not None:
        assert not grad_memory[1, 2:].any()
        assert grad_memory[1, :2].all()


SETTINGS = [{}, {"norm_first": True, "activation": "gelu"}, {"bias": False}]


@dtypes
@lengths_of_three
@pytest.mark.parametrize("settings", SETTINGS, ids=["norm last", "norm first", "without bias"])
def test_ten_steps_of_an_encoder_layer(random, dtype, lengths, settings):
    other = nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True, dtype=getattr(torch, dtype), **settings)
    module = TransformerEncoderLayer(8, 2, 12, 0.0, **settings).to(dtype)
    load(module, other)
    mask, optimizer = padding(lengths, 7), torch.optim.SGD(other.parameters(), lr=0.01)
    for _ in range(10):
        (x, grad), (x_there, grad_there) = sequences(random, dtype, (3, 7, 8), (3, 7, 8))
        optimizer.zero_grad()
        module.zero_grad()
        y_there = clear(other(x_there, src_key_padding_mask=mask), mask)
        y_there.backward(grad_there)
        close(module(x, lengths), y_there, dtype)
        close(module.bprop(grad), x_there.grad, dtype)
        compare_gradients(module, other, dtype)
        optimizer.step()
        module.flat_parameters[...] -= 0.01 * module.flat_gradients


@dtypes
@lengths_of_three
@pytest.mark.parametrize("settings", SETTINGS[:2], ids=["norm last", "norm first"])
def test_ten_steps_of_a_decoder(random, dtype, lengths, settings):
    layer = nn.TransformerDecoderLayer(8, 2, 12, 0.0, batch_first=True, dtype=getattr(torch, dtype), **settings)
    other = nn.TransformerDecoder(layer, 2, nn.LayerNorm(8, dtype=getattr(torch, dtype)))
    module = TransformerDecoder(TransformerDecoderLayer(8, 2, 12, 0.0, **settings), 2, LayerNorm(8)).to(dtype)
    load(module, other)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.01)
    for _ in range(10):
        arrays, tensors = sequences(random, dtype, (3, 4, 8), (3, 7, 8), (3, 4, 8))
        (x, memory, grad), (x_there, memory_there, grad_there) = arrays, tensors
        optimizer.zero_grad()
        module.zero_grad()
        mask = padding(lengths, 7)
        y_there = other(x_there, memory_there, tgt_mask=causal_mask(4), memory_key_padding_mask=mask)
        y_there.backward(grad_there)
        close(module((x, memory), lengths), y_there, dtype)
        grad_x, grad_memory = module.bprop(grad)
        close(grad_x, x_there.grad, dtype)
        close(grad_memory, memory_there.grad, dtype)
        compare_gradients(module, other, dtype)
        optimizer.step()
        module.flat_parameters[...] -= 0.01 * module.flat_gradients


def test_an_encoder_has_the_names_of_pytorch():
    other = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), 2, nn.LayerNorm(8))
    module = TransformerEncoder(TransformerEncoderLayer(8, 2, 12), 2, LayerNorm(8))
    expected = {name: tuple(value.shape) for name, value in other.state_dict().items()}
    assert {name: value.shape for name, value in module.state_dict().items()} == expected


# -- gradients ---------------------------------------------------------------------------------------------------------

CASES = {
    "self": lambda: MultiheadAttention(8, 2),
    "causal": lambda: MultiheadAttention(8, 2, causal=True),
    "grouped": lambda: MultiheadAttention(8, 4, num_kv_heads=2, causal=True),
    "rope": lambda: MultiheadAttention(8, 2, rope=True),
    "alibi": lambda: MultiheadAttention(8, 2, alibi=True, causal=True),
    "bias": lambda: MultiheadAttention(8, 2, score_bias=np.ones((2, 5, 5)), learn_score_bias=True),
    "dropout": lambda: MultiheadAttention(8, 2, dropout=0.4),
    "block": lambda: TransformerBlock(8, 2, 12, 0.3, "swiglu", norm="rms"),
    "post": lambda: TransformerEncoderLayer(8, 2, 12, 0.2),
}


def directional_errors(random, module, arrays, more):
    """How far gradients of arrays and parameters are from central differences along one direction each, relatively."""
    counters, v = module.counters(), None

    def outputs():
        module.load_counters(counters)
        return module.fprop(*arrays, *more)

    v = random.standard_normal(outputs().shape)
    grads = module.bprop(v)
    grads = [*(grads if len(arrays) > 1 else [grads]), module.flat_gradients.copy()]
    errors = []
    for array, grad in zip([*arrays, module.flat_parameters], grads, strict=True):
        step, values = random.standard_normal(array.shape), []
        for h in (1e-5, -2e-5):
            array += h * step
            values.append(np.sum(outputs() * v))
        array += 1e-5 * step
        expected = (values[0] - values[1]) / 2e-5
        errors.append(abs(np.sum(grad * step) - expected) / abs(expected))
    return errors


@pytest.mark.parametrize("name", CASES)
def test_gradients_with_lengths(random, name):
    module = CASES[name]().to("float64")
    arrays, lengths = [random.standard_normal((3, 5, 8))], np.array([5, 1, 3])
    assert max(directional_errors(random, module, arrays, [lengths])) < 1e-6


def test_gradients_of_more_steps_than_short_ones(random):
    module = MultiheadAttention(8, 2, causal=True, num_kv_heads=1).to("float64")
    assert max(directional_errors(random, module, [random.standard_normal((1, 35, 8))], [])) < 1e-6


def test_gradients_of_dropped_weights(random):
    check_module(MultiheadAttention(8, 2, dropout=0.4), random.standard_normal((2, 9, 8))).raise_if_wrong()


@pytest.mark.parametrize("more", [[], [np.array([4, 2])]], ids=["whole", "lengths"])
@pytest.mark.parametrize("settings", [{}, {"num_kv_heads": 1, "bias": False, "dropout": 0.3}], ids=str)
def test_gradients_of_cross_attention(random, more, settings):
    arrays = [random.standard_normal((2, 3, 8)), random.standard_normal((2, 4, 8))]
    assert max(directional_errors(random, CrossAttention(8, 2, **settings).to("float64"), arrays, more)) < 1e-6


def test_dropout_leaves_out_weights_of_attention(random):
    """With values of one and without output weights, outputs are the sums of the weights that are left."""
    module = MultiheadAttention(4, 1, dropout=0.25).to("float64")
    module.in_proj_weight[...], module.in_proj_bias[8:] = 0, 1
    module.out_proj.weight[...] = np.eye(4)
    x = random.standard_normal((4, 200, 4))
    sums = module(x)[..., 0]
    left = sums * 0.75 * 200  # of 200 equal weights
    np.testing.assert_allclose(left, left.round(), atol=1e-9)
    assert abs(sums.mean() - 1) < 0.01
    assert 0.02 < sums.std() < 0.06  # √(p / (1 - p) / 200) = 0.041
    assert not np.array_equal(module(x)[..., 0], sums)
    np.testing.assert_allclose(module.eval()(x), 1, rtol=1e-12)


def test_rotary_scores_depend_on_distances(random):
    """A constant sequence has equal keys and queries: with rope, outputs of a causal head depend on distances alone."""
    module = MultiheadAttention(8, 1, rope=True).to("float64")
    q, k = random.standard_normal((2, 8))
    module.in_proj_weight[...], module.in_proj_bias[:8], module.in_proj_bias[8:16] = 0, q, k
    with plain_python():
        module.fprop(np.zeros((1, 9, 8)))
        scores = module.qkv[:, :8] @ module.qkv[:, 8:16].T
    for offset in range(-8, 9):
        np.testing.assert_allclose(np.diagonal(scores, offset), np.diagonal(scores, offset)[0], rtol=1e-12)


def test_second_derivatives_with_a_decoder_layer(random):
    net, x = Sequential(TransformerBlock(4, 2, 6)).to("float64"), random.standard_normal((2, 3, 4))
    target, v = random.standard_normal((2, 3, 4)), random.standard_normal(net.parameter_count)
    with plain_python():
        left = hvp(net, MeanSquaredError(), x, target, v)
        w = random.standard_normal(v.size)
        assert w @ left == pytest.approx(v @ hvp(net, MeanSquaredError(), x, target, w), rel=1e-10)


# -- lengths, threads, memory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("dropout", "block", "post")])
def test_padded_steps_change_nothing(random, name):
    module = CASES[name]().to("float64")
    x, grad, lengths = random.standard_normal((3, 5, 8)), random.standard_normal((3, 5, 8)), np.array([5, 2, 3])
    y, grad_x = module(x, lengths), module.bprop(grad)
    gradients = module.flat_gradients.copy()
    module.zero_grad()
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(y[n : n + 1, :length], module(x[n : n + 1, :length]), atol=1e-14)
        np.testing.assert_allclose(grad_x[n : n + 1, :length], module.bprop(grad[n : n + 1, :length]), atol=1e-14)
        assert not y[n, length:].any()
        assert not grad_x[n, length:].any()
    np.testing.assert_allclose(module.flat_gradients, gradients, atol=1e-13)


@pytest.mark.jit
@pytest.mark.parametrize(("shape", "dropout"), [((4, 150, 32), 0.1), ((40, 32, 32), 0.0)], ids=["long", "short"])
def test_the_same_bits_in_one_and_in_two_threads(random, shape, dropout):
    x, grad = random.standard_normal(shape), random.standard_normal(shape)
    results = []
    for threads in (1, 2):
        with num_threads(threads):
            manual_seed(0)
            module = MultiheadAttention(32, 2, causal=True, dropout=dropout)
            y = module(x)
            results.append((y, module.bprop(grad), module.flat_gradients.copy()))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_memory_grows_with_the_length(random):
    """Each array that a pass keeps has so many numbers for each step; none has so many for each pair of steps."""
    sizes = []
    for steps in (100, 200):
        module, x = MultiheadAttention(8, 2, causal=True), random.standard_normal((1, steps, 8))
        with plain_python():
            module.fprop(x)
            module.bprop(x)
        sizes.append({name: value.size for name, value in vars(module).items() if isinstance(value, np.ndarray)})
    small, large = sizes
    assert all(large[name] in (small[name], 2 * small[name]) for name in large)
    assert max(small.values()) == 24 * 100


# -- step by step ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"rope": True, "num_kv_heads": 1}, {"alibi": True}], ids=str)
@pytest.mark.parametrize("parts", [[1] * 6, [3, 1, 2]], ids=str)
def test_decoding_equals_one_pass(random, settings, parts):
    module = MultiheadAttention(8, 2, causal=True, **settings).to("float64")
    x = random.standard_normal((2, 6, 8))
    expected = module(x)
    with plain_python():
        for _ in range(2):  # each start forgets what was before
            module.decode_start(2, 6)
            ends = np.cumsum(parts)
            found = [module.decode(x[:, end - part : end]).copy() for end, part in zip(ends, parts, strict=True)]
            np.testing.assert_allclose(np.concatenate(found, axis=1), expected, atol=1e-14)
        with pytest.raises(ValueError, match=r"^decode: more samples or steps than decode_start was told$"):
            module.decode(x[:, :1])


@pytest.mark.jit
def test_decoding_compiled(random):
    module, x = MultiheadAttention(8, 2, causal=True, rope=True), random.standard_normal((2, 5, 8)).astype(np.float32)
    expected, operations = module(x), Operations()
    y = operations.call(module, "decode", "x")
    function = Function("decode", operations.items, ("x",), (y,))
    module.decode_start(2, 5)
    plan = Plan("One step.", [function], {"x": x[:, :1].copy()})
    for _ in range(2):
        module.decode_start(2, 5)
        found = [plan.call(function, np.ascontiguousarray(x[:, t : t + 1])).copy() for t in range(5)]
        np.testing.assert_allclose(np.concatenate(found, axis=1), expected, atol=1e-6)


def test_what_is_not_causal_is_not_decoded():
    message = r"^MultiheadAttention\(8, 2 heads\): sees later steps, expected causal attention to decode step by step$"
    with pytest.raises(ValueError, match=message):
        MultiheadAttention(8, 2).decode_start(1, 4)


# -- errors ------------------------------------------------------------------------------------------------------------

WRONG = [
    (lambda: MultiheadAttention(8, 3), "^MultiheadAttention: embed_dim is 8, expected a multiple of num_heads = 3$"),
    (lambda: MultiheadAttention(0, 1), "^MultiheadAttention: embed_dim is 0, expected at least 1$"),
    (
        lambda: MultiheadAttention(8, 4, num_kv_heads=3),
        "^MultiheadAttention: num_heads is 4, expected a multiple of num_kv_heads = 3$",
    ),
    (lambda: MultiheadAttention(8, 4, num_kv_heads=0), "^MultiheadAttention: num_kv_heads is 0, expected at least 1$"),
    (lambda: CrossAttention(600, 2), "^CrossAttention: heads have 300 features, expected at most 256$"),
    (lambda: MultiheadAttention(6, 2, rope=True), "heads have 3 features, expected an even number for rope$"),
    (
        lambda: MultiheadAttention(8, 2, rope=1),
        "^MultiheadAttention: rope is 1, expected True, False, or the base, a whole number of at least 2$",
    ),
    (lambda: MultiheadAttention(8, 2, 1.0), "^MultiheadAttention: dropout is 1.0, expected at least 0 and below 1$"),
    (
        lambda: MultiheadAttention(8, 2, score_bias=np.zeros((3, 4, 4))),
        r"^MultiheadAttention: score_bias has shape \(3, 4, 4\), expected \(queries, keys\) or \(2, queries, keys\)$",
    ),
    (
        lambda: MultiheadAttention(8, 2, learn_score_bias=True),
        "learn_score_bias without a score_bias, expected initial",
    ),
    (
        lambda: TransformerBlock(8, 2, activation="tanh"),
        "^TransformerBlock: activation is 'tanh', expected one of relu, gelu, gelu_tanh, silu, swiglu$",
    ),
    (lambda: TransformerBlock(8, 2, norm="batch"), "^TransformerBlock: norm is 'batch', expected layer or rms$"),
    (lambda: TransformerBlock(8, 2, 0), "^TransformerBlock: hidden is 0, expected at least 1$"),
    (lambda: TransformerEncoder(LayerNorm(8), 0), "^TransformerEncoder: num_layers is 0, expected at least 1$"),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_stack_of_no_module_is_refused():
    with pytest.raises(TypeError, match=r"^TransformerEncoder: the layer is .*, expected a Module"):
        TransformerEncoder(TransformerBlock, 2)


def test_wrong_lengths_are_refused(random):
    x = random.standard_normal((3, 5, 8))
    for module in (MultiheadAttention(8, 2), TransformerBlock(8, 2)):
        with pytest.raises(ValueError, match=r"length 6 in row 1, expected 1 to 5, the steps of x$"):
            module(x, [5, 6, 1])
        with pytest.raises(ValueError, match=r"length 0 in row 2, expected 1 to 5, the steps of x$"):
            module(x, [5, 1, 0])
        with pytest.raises(ValueError, match=r"lengths has shape \(2,\), expected \(3,\)$"):
            module(x, [5, 1])
    with pytest.raises(ValueError, match=r"length 6 in row 1, expected 1 to 4, the steps of x$"):
        CrossAttention(8, 2)(x, x[:, :4], [1, 6, 1])
    with pytest.raises(ValueError, match=r"length 6 in row 1, expected 1 to 4, the steps of x$"):
        TransformerDecoderLayer(8, 2)((x, x[:, :4]), [1, 6, 1])


def test_wrong_memories_are_refused(random):
    x = random.standard_normal((3, 5, 8))
    with pytest.raises(ValueError, match=r"^CrossAttention\(8, 2 heads\): got x alone, expected x and a memory$"):
        CrossAttention(8, 2).fprop(x)
    with pytest.raises(ValueError, match=r"^CrossAttention\(8, 2 heads\): got x alone, expected x and a memory"):
        Sequential(CrossAttention(8, 2))((x, x))
    with pytest.raises(ValueError, match=r"memory has shape \(2, 5, 8\), expected \(3, S, 8\)$"):
        CrossAttention(8, 2)(x, x[:2])
    with pytest.raises(ValueError, match=r"x has shape \(3, 5, 8\), expected a table of arrays$"):
        TransformerDecoderLayer(8, 2)(x)
    with pytest.raises(ValueError, match=r"5 queries and 5 keys, expected at most 5 and 4, the shape of score_bias$"):
        CrossAttention(8, 2, score_bias=np.zeros((5, 4)))(x, x)


def test_drawings_show_the_memory_and_all_branches():
    net = Sequential(
        ConcatTable(Identity(), Linear(8, 8)),
        TransformerDecoder(TransformerDecoderLayer(8, 2, 12, 0.0), 1, LayerNorm(8)),
    )
    text = str(net.graph("mermaid", (2, 5, 8)))
    assert text.count("CrossAttention(8, 2 heads)") == 1
    assert text.count("TransformerDecoderLayer: sum") == 3
    padded = Padded(Embedding(10, 8), TransformerBlock(8, 2), MeanOverTime())
    assert "ClearPadded" not in str(padded.graph("mermaid", ((4, 6), (4,))))
