"""The recorded step of a page: its numbers are those of NumPy, its lines those that have run."""

import numpy as np
import pytest
from bprop.modules import (
    GRU,
    BatchNorm1d,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    Linear,
    MaxPool2d,
    MeanSquaredError,
    Module,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Softmin,
    Tanh,
)
from bprop.trainers import SGD, Adam
from bprop.trainers.show.arrays import LIMIT, Arrays, decode
from bprop.trainers.show.show import record_subject
from bprop.trainers.show.subject import Subject, take_arrays


def record(net, loss, x, target, optimizer=None):
    """What a page of these shows, and a function from the number of a value to its array."""
    subject = Subject("net", net, loss, optimizer, None, None)
    take_arrays(subject, x, target)
    data, _ = record_subject(subject, 0)
    return data, lambda number: decode(data["values"][number], data["contents"])


@pytest.fixture
def small(random):
    """A 2-2-1 net, its sample, and the page's data of it."""
    net = Sequential(Linear(2, 2), Tanh(), Linear(2, 1))
    x, target = random.standard_normal((1, 2)).astype(np.float32), np.float32([[0.5]])
    data, array = record(net, MeanSquaredError(), x, target, SGD(lr=0.1, momentum=0.9))
    return net, x, target, data, array


def test_a_step_by_numpy(small):
    net, x, target, data, array = small
    first, last = net[0], net[2]
    a = x @ first.weight.T + first.bias
    h = np.tanh(a)
    y = h @ last.weight.T + last.bias
    grad_y = 2 * (y - target)
    grad_h = grad_y @ last.weight
    grad_a = grad_h * (1 - h * h)
    expected = [a, h, y, np.square(y - target).mean(), grad_y, grad_h, grad_a, grad_a @ first.weight]
    kinds = ["fprop", "fprop", "fprop", "loss", "grad", "bprop", "bprop", "bprop", "update"]
    assert [step["kind"] for step in data["steps"]] == kinds
    for step, value in zip(data["steps"], expected, strict=False):
        np.testing.assert_allclose(array(step["output"]), value, rtol=1e-5)
    gradients = [grad_a.T @ x, grad_a[0], grad_y.T @ h, grad_y[0]]
    for parameter, gradient in zip(data["parameters"], gradients, strict=True):
        np.testing.assert_allclose(array(parameter["gradient"]), gradient, rtol=1e-5)
        np.testing.assert_allclose(array(parameter["change"]), -0.1 * gradient, rtol=1e-4, atol=1e-8)
    assert data["loss"] == pytest.approx(float(expected[3]))


def test_the_net_is_left_alone(small):
    net, *_ = small
    assert not net.flat_gradients.any()
    assert net._pending is None


def test_quotients_begin_where_a_carried_state_was(random):
    """Each run of a difference quotient begins with the state before the step, and moves no other one's."""
    net = Sequential(GRU(2, 3, streams=2), Linear(3, 1))
    net[0].hidden_state[:] = random.standard_normal(net[0].hidden_state.shape)
    data, array = record(net, MeanSquaredError(), random.standard_normal((2, 4, 2)), np.ones((2, 4, 1)), SGD(lr=0.1))
    for each in data["quotients"]:
        gradient = array(data["parameters"][each["parameter"]]["gradient"]).flat[each["index"]]
        assert each["central"][len(each["central"]) // 3] == pytest.approx(gradient, rel=2e-4, abs=1e-6)


def test_difference_quotients_meet_the_gradient(small):
    *_, data, array = small
    assert {each["parameter"] for each in data["quotients"]} == {0, 1, 2, 3}
    for each in data["quotients"]:
        gradient = array(data["parameters"][each["parameter"]]["gradient"]).flat[each["index"]]
        assert each["central"][4] == pytest.approx(gradient, rel=1e-5, abs=1e-7)
        assert abs(each["forward"][1] - gradient) > abs(each["forward"][5] - gradient)


class Scaled(Module):
    """Scales its input.

    y      = 3 x
    grad_x = 3 grad_y
    """

    def fprop(self, x):
        self.factor = 3
        y = x * self.factor
        return y

    def bprop(self, grad_y):
        grad_x = np.zeros_like(grad_y)
        for _ in range(3):
            grad_x += grad_y
        return grad_x


def test_lines_of_a_custom_module(random):
    x = random.standard_normal((1, 3)).astype(np.float32)
    data, array = record(Sequential(Scaled()), MeanSquaredError(), x, np.zeros_like(x))
    module = data["modules"][0]
    assert module["sentence"] == "Scales its input."
    fprop, bprop = data["steps"][0], data["steps"][3]
    (source,) = module["methods"]["fprop"]
    assert source["owner"] == "Scaled"
    assert source["file"] == "show/test_walk.py"
    assert [source["lines"][line["line"] - source["first"]].strip() for line in fprop["lines"]] == [
        "self.factor = 3",
        "y = x * self.factor",
        "return y",
    ]
    assert fprop["lines"][0]["made"]["self.factor"] == {"text": "3"}
    np.testing.assert_array_equal(array(fprop["lines"][1]["made"]["y"]["value"]), 3 * x)
    grad = array(bprop["inputs"][0])
    visits = {line["line"] - module["methods"]["bprop"][0]["first"]: line for line in bprop["lines"]}
    assert visits[3]["visits"] == 3
    np.testing.assert_array_equal(array(visits[3]["made"]["grad_x"]["value"]), grad)  # of its first run
    np.testing.assert_allclose(array(bprop["output"]), 3 * grad, rtol=1e-6)
    assert np.allclose(array(module["form"]["dense"]), 3 * np.eye(3))


def test_equations_are_those_of_the_class(small):
    *_, data, _ = small
    assert [module["equations"].split("\n")[0] for module in data["modules"]] == [
        "y           = x Wᵀ + b",
        "y      = tanh(x)",
        "y           = x Wᵀ + b",
        "value  = Σ (y - target)² / size",
    ]
    assert [each["owner"] + "." + each["name"] for each in data["modules"][1]["methods"]["bprop"]] == [
        "Elementwise.bprop",
        "Tanh.derivative",
    ]


def test_jacobians_of_convolutions_pools_and_others(random):
    net = Sequential(Conv2d(1, 2, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(8, 3), Softmin())
    x = random.standard_normal((1, 1, 6, 6)).astype(np.float32)
    data, array = record(net, MeanSquaredError(), x, np.zeros((1, 3), np.float32))
    forms = [module["form"] for module in data["modules"]]
    kinds = ["conv2d", "elementwise", "jacobian", "copy", "linear", "jacobian", "loss"]
    assert [form["kind"] for form in forms] == kinds
    pooled, inside = data["steps"][2], array(data["steps"][1]["output"])
    np.testing.assert_array_equal(
        inside.ravel()[array(forms[2]["sparse"]["columns"])[:, 0]], array(pooled["output"]).ravel()
    )
    p = array(data["steps"][5]["output"])[0]
    np.testing.assert_allclose(array(forms[5]["dense"]), np.outer(p, p) - np.diag(p), rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(array(forms[1]["slope"]), array(data["steps"][0]["output"]) > 0)


def test_branches_and_dropout(random):
    net = Sequential(Residual(Linear(3, 3), Dropout(0.5)), Linear(3, 2))
    x = random.standard_normal((1, 3)).astype(np.float32)
    data, array = record(net, SoftmaxCrossEntropy(), x, np.array([1]), Adam(lr=0.1))
    sums = [step for step in data["steps"][:-1] if data["modules"][step["module"]]["class"] == "Sum"]
    assert [step["kind"] for step in sums] == ["fprop", "bprop"]
    for step in sums:
        a, b = map(array, step["inputs"])
        np.testing.assert_allclose(array(step["output"]), a + b, rtol=1e-6)
    mask = array(data["modules"][1]["form"]["slope"])
    assert set(np.unique(mask)) <= {0, 2}
    update = data["steps"][-1]["optimizer"]
    assert update["class"] == "Adam"
    assert not array(update["before"]["mean"]).any()


def test_tokens_and_shared_weights():
    net = Sequential(Embedding(5, 3), Linear(3, 5, bias=False))
    data, array = record(net, SoftmaxCrossEntropy(class_axis=-1), np.array([[1, 4]]), np.array([[4, 0]]))
    assert data["modules"][0]["form"]["kind"] == "embedding"
    assert array(data["steps"][0]["inputs"][0]).tolist() == [[1, 4]]


def test_batch_norm_needs_evaluation_mode(random):
    net = Sequential(Linear(3, 3), BatchNorm1d(3), Linear(3, 2))
    subject = Subject("net", net, SoftmaxCrossEntropy(), None, None, None)
    take_arrays(subject, random.standard_normal((1, 3)), np.array([1]))
    assert not net.training
    assert "evaluation mode" in subject.notes[0]


def test_arrays_are_stored_once():
    arrays = Arrays()
    first = arrays.add("a", np.arange(20.0))
    second = arrays.add("b", np.arange(20.0).reshape(4, 5))
    zeros, whole = arrays.add("zeros", np.zeros((100, 3), np.float32)), arrays.add("whole", [1, 2**40])
    longest = arrays.add("long", np.arange(LIMIT + 5, dtype=np.float32))
    data = arrays.as_dict()
    assert data["values"][first]["content"] == data["values"][second]["content"]
    assert len(data["contents"][data["values"][zeros]["content"]]) == 8
    for number, expected in ((second, np.arange(20.0).reshape(4, 5)), (zeros, np.zeros((100, 3))), (whole, [1, 2**40])):
        np.testing.assert_array_equal(decode(data["values"][number], data["contents"]), expected)
    assert data["values"][longest]["kept"] == LIMIT
    assert len(decode(data["values"][longest], data["contents"])) == LIMIT
