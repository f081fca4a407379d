"""Parameters shared by layers of two kinds: an embedding and the scores of its tokens."""

import numpy as np
import pytest
from bprop.modules import (
    Embedding,
    Graph,
    Linear,
    Normal,
    ReLU,
    Sequential,
    Share,
    SoftmaxCrossEntropy,
    Tanh,
    check_gradients,
    check_module,
    manual_seed,
)
from bprop.trainers import SGD, Adam, compile_step

RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.integers(0, 7, (6, 4))
LABELS = RANDOM.integers(0, 7, (6, 4))


def tied(bias=True):
    """Tokens (N, T) to scores (N, T, 7) by one matrix, forth and back."""
    tokens = Embedding(7, 5, weight_init=Normal(0, 0.5))
    return Sequential(tokens, Linear(5, 5), Tanh(), tokens.share(Linear(5, 7, bias)))


def graph():
    nodes = {
        "tokens": (Embedding(7, 5, weight_init=Normal(0, 0.5)), "x"),
        "body": ([Linear(5, 5), Tanh()], "tokens"),
        "scores": (Share("tokens", Linear(5, 7)), "body"),
    }
    return Graph(nodes, "scores")


def of_torch(bias=True):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    net = nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 7, bias))
    net[3].weight = net[0].weight
    return net


def test_the_layers_have_one_matrix():
    for net, tokens, scores in ((model := tied(), model[0], model[3]), (model := graph(), model.tokens, model.scores)):
        assert scores.weight is tokens.weight
        assert scores.grad_weight is tokens.grad_weight
        assert net.parameter_count == net.flat_parameters.size == 7 * 5 + 5 * 5 + 5 + 7
        assert scores.weight is tokens.weight
        tokens.weight = np.arange(35).reshape(7, 5)
        assert (scores.weight == tokens.weight).all()
        twin = net.copy()
        assert twin.flat_parameters.size == net.flat_parameters.size
        twin.flat_parameters[:] = 0
        assert tokens.weight.any()


def test_gradients_add():
    check_module(tied(), TOKENS).raise_if_wrong()
    check_gradients(graph(), TOKENS).raise_if_wrong()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_training_like_pytorch(name, bias, dtype, tolerance):
    torch = pytest.importorskip("torch")
    mine, other = tied(bias).to(dtype), of_torch(bias).to(getattr(torch, dtype))
    mine.load_state_dict({name: value.numpy().copy() for name, value in other.state_dict().items()})
    settings = {"momentum": 0.9, "lr": 0.1} if name == "SGD" else {"lr": 0.01}
    step = compile_step(mine, SoftmaxCrossEntropy().to(dtype), (SGD if name == "SGD" else Adam)(**settings))
    optimizer = getattr(torch.optim, name)(other.parameters(), **settings)
    for k in range(10):
        x, labels = np.roll(TOKENS, k)[: 6 - k % 2], np.roll(LABELS, k)[: 6 - k % 2]
        optimizer.zero_grad()
        value = torch.nn.CrossEntropyLoss()(other(torch.tensor(x)).movedim(-1, 1), torch.tensor(labels))
        value.backward()
        optimizer.step()
        assert step(x, labels) == pytest.approx(value.item(), rel=tolerance)
    for (name, array), there in zip(mine.named_parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(array, there.detach().numpy(), rtol=tolerance, atol=tolerance, err_msg=name)


def test_a_bias_of_its_own_is_cleared_where_the_weight_is_added_to():
    """The second layer in the backward pass adds to the shared matrix, and begins its own bias anew."""
    first = Linear(4, 4)
    net = Sequential(first, ReLU(), first.share(Linear(4, 4, bias=False)))
    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.0))
    x, labels = RANDOM.standard_normal((5, 4)), np.array([0, 1, 2, 3, 0])
    step(x, labels)
    once = net.flat_gradients.copy()
    step(x, labels)
    np.testing.assert_allclose(net.flat_gradients, once, rtol=1e-6)
    assert net.flat_gradients.size == 16 + 4


def test_saved_once_loaded_by_one_name_or_both():
    net, other = tied(), tied()
    state = net.state_dict()
    assert list(state) == ["0.weight", "1.weight", "1.bias", "3.weight", "3.bias"]  # as in PyTorch
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "1.weight", "1.bias", "3.bias"]
    other.load_state_dict(state)
    assert np.array_equal(other.fprop(TOKENS), net.fprop(TOKENS))
    del state["3.weight"]
    third = tied()
    third.load_state_dict(state)
    assert np.array_equal(third.fprop(TOKENS), net.fprop(TOKENS))
    del state["0.weight"]
    with pytest.raises(ValueError, match=r"missing 0\.weight; missing 3\.weight$"):
        third.load_state_dict(state)


def test_a_share_in_a_sequential():
    manual_seed(0)
    net = Sequential(Embedding(7, 5), Sequential(Linear(5, 5)), Share(0, Linear(5, 7)))
    net.append(Linear(7, 5, bias=False))
    net.append(Share("1.0"))
    assert net[2].weight is net[0].weight
    assert net[4].weight is net[1][0].weight
    assert net[4].bias is net[1][0].bias
    assert "the weights of model[0]" in repr(net)
    assert "the weights of [0]" in str(net.graph("mermaid", (2, 3)))
    assert f"{net.parameter_count:,}" in str(net.summary((2, 3)))


def test_replacing_tied_layers():
    net = tied()
    net.replace("[03]", lambda old: Embedding(9, 5) if isinstance(old, Embedding) else Linear(5, 9))
    assert net[3].weight is net[0].weight
    assert net.fprop(np.array([[8]])).shape == (1, 1, 9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Embedding(7, 5).share(Tanh()),
            r"Tanh\(\) has no parameter of the name of one of Embedding\(7, 5\), exp",
        ),
        (
            lambda: Embedding(7, 5).share(Linear(7, 5)),
            r"Linear\(7 -> 5\): weight has shape \(5, 7\), expected \(7, 5\), that of Embedding\(7, 5\)$",
        ),
        (
            lambda: tied()[0].share(tied()[3]),
            r"Linear\(5 -> 7\) shares its weights already, expected one that shares non",
        ),
        (
            lambda: tied()[3].share(),
            r"Linear\(5 -> 7\) shares weight with another module, expected all or nothing shared",
        ),
        (
            lambda: Sequential(Tanh(), Share(1)),
            r"element 1 shares the weights of 1, which does not stand before it; kn",
        ),
        (
            lambda: Sequential(Tanh(), Share("0.a")),
            r"element 1 shares the weights of '0\.a', which does not stand befo",
        ),
        (
            lambda: Graph({"a": (Linear(3, 3), "x"), "b": (Share("c", Linear(3, 3)), "a")}, "b"),
            r"^Graph: the node 'b' shares the weights of 'c', which there is not; known: a$",
        ),
    ],
)
def test_what_cannot_be_shared(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_several_heads_have_biases_of_their_own():
    tokens = Embedding(7, 5)
    net = Sequential(tokens, tokens.share(Linear(5, 7)), Linear(7, 5), tokens.share(Linear(5, 7)))
    assert net.parameter_count == 35 + 7 + 40 + 7
    assert net[1].bias is not net[3].bias
    assert net[1].weight is net[3].weight
    check_gradients(net, TOKENS).raise_if_wrong()
    net.to("float64")
    assert net[1].weight is net[3].weight
    assert net[0].weight.dtype == np.float64
