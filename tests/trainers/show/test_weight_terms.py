"""What the gradients of weights are made of: the terms that the page shows sum to them, of every layer with weights."""

import inspect
from functools import cache
from types import SimpleNamespace

import bprop.modules
import numpy as np
import pytest
from bprop.modules import (
    GRU,
    LSTM,
    ConvTranspose1d,
    InstanceNorm3d,
    LastStep,
    Linear,
    Loss,
    MeanSquaredError,
    Module,
    MultiheadAttention,
    Parameter,
    Sequential,
    TransformerBlock,
)
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers.show import weight_terms
from bprop.trainers.show.arrays import Arrays, decode
from bprop.trainers.show.jacobians import record_jacobians
from bprop.trainers.show.subject import Subject, take_arrays
from bprop.trainers.show.walk import record_update, record_walk

from ...modules.cases import MODULES
from ...modules.cases.case import Case
from ...modules.cases.recurrent import WithLengths
from ...modules.custom import Residual, Scale

MORE = [
    Case("InstanceNorm3d", lambda: InstanceNorm3d(3, affine=True), (2, 3, 2, 3, 2)),
    Case("Padded attention", lambda: WithLengths(TransformerBlock(4, 2, hidden=4)), (3, 5, 4), least=3),
    Case("LSTM of streams", lambda: LSTM(3, 2, streams=3), (3, 4, 3), least=3),
]
ROWS = [*MODULES, *MORE]
CASES = {case.name: case for case in ROWS if any(array.size for _, array in case.make().named_parameters())}
SINGLE = ("MultiheadAttention", "Embedding, padding", "LSTM", "GRU", "Padded RNN", "Maxout")  # precision, too
TRIED = [(name, "float64") for name in CASES] + [(name, "float32") for name in SINGLE]
CHECKED = """
    const found = {};
    for (const [value, maker] of MAKERS) {
        if (!["gradient", "inner"].includes(maker.role)) continue;
        const name = maker.role === "inner" ? DATA.values[value].name : DATA.parameters[maker.parameter].name;
        const own = { worst: 0, without: [], count: 0, heads: new Set() };
        const largest = numbersOf(value).reduce((a, each) => Math.max(a, Math.abs(each)), 0);
        for (let index = 0; index < numbersOf(value).length; index++) {
            const made = explain({ value, index });
            if (!made.terms.length && made.total !== 0) own.without.push(index);
            const sum = made.terms.reduce((a, each) => a + each.value, 0);
            const scale = made.terms.reduce((a, each) => a + Math.abs(each.value), 1e-3 * largest);
            if (made.terms.length) own.worst = Math.max(own.worst, Math.abs(sum - made.total) / scale);
            own.count += made.terms.length;
            own.heads.add(made.head);
        }
        found[`${maker.role} ${name}`] = { ...own, heads: [...own.heads] };
    }
    return found;
"""


@pytest.fixture(autouse=True)
def enough_time(monkeypatch):
    """On a busy machine, too, there is time for the terms of all."""
    monkeypatch.setattr("bprop.trainers.show.weight_terms.SECONDS", 1e6)


def record(net, x, target=None):
    """The data of a page, with what its scripts ask for to take gradients apart, and arrays by their numbers."""
    random, arrays = np.random.default_rng(1), Arrays()
    subject = Subject("net", net.train(), MeanSquaredError(), None, None, None)
    target = random.standard_normal(net.one_output_shape(np.shape(x))) if target is None else target
    take_arrays(subject, x, target)
    with uncompiled():
        walk = record_walk(subject.net, subject.loss, subject.x, subject.target, arrays)
        record_jacobians(walk, arrays)
        record_update(walk, None, arrays, (subject.x, subject.target, {}))
    parts = {"modules": walk.modules, "steps": walk.steps, "parameters": walk.parameters, "quotients": []}
    data = parts | {"sample": {"tokens": None}} | arrays.as_dict()
    return data, lambda number: decode(data["values"][number], data["contents"])


# -- every layer ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def take_apart(run_pages):
    """`take_apart(dtype)`: by the name of each case and of each gradient, what the terms of its numbers sum to."""

    @cache
    def take(dtype):
        names = [name for name, each in TRIED if each == dtype]
        pages = [(record(CASES[name].make().to(dtype), CASES[name].x(1))[0], "") for name in names]
        return dict(zip(names, run_pages(pages, CHECKED), strict=True))

    return take


@pytest.mark.slow  # the first one records all
@pytest.mark.parametrize(("name", "dtype"), TRIED)
def test_the_terms_sum_to_the_gradient(name, dtype, take_apart):
    found = take_apart(dtype)[name]
    gradients = {key: each for key, each in found.items() if key.startswith("gradient")}
    assert len(gradients) == len(list(CASES[name].make().named_parameters()))
    for key, each in found.items():
        assert each["worst"] < (1e-12 if dtype == "float64" else 1e-6 if key in gradients else 1e-5), key
    for key, each in gradients.items():
        assert each["without"] == [], key


def test_every_layer_with_weights_is_tried():
    exported = [each for each in vars(bprop.modules).values() if inspect.isclass(each) and issubclass(each, Module)]
    tried = {type(inside) for case in CASES.values() for inside in case.make().all_modules()}
    bases = {each for each in exported if any(other is not each and issubclass(other, each) for other in exported)}
    untried = [each for each in exported if each not in tried | bases and not issubclass(each, Loss)]
    assert [each.__name__ for each in untried if may_have_weights(each)] == []


def may_have_weights(cls):
    """Whether the source of a class, or of one that it derives from, makes a parameter."""
    return any("Parameter(" in inspect.getsource(each) for each in cls.__mro__[: cls.__mro__.index(Module)])


# -- what kind of terms ---------------------------------------------------------------------------------------------

SEQUENCES = (2, 5, 3)


def take_one_apart(run_pages, net, x):
    """What the terms of each gradient sum to, and what is said of them; and the page's data."""
    page = record(net.to("float64"), x)
    return run_pages([(page[0], "")], CHECKED)[0], page[0]


def test_recurrent_layers_have_the_terms_of_the_books(run_pages, random):
    net = Sequential(GRU(3, 4, num_layers=2), LastStep(), Linear(4, 2))
    found, data = take_one_apart(run_pages, net, random.standard_normal(SEQUENCES))
    assert found["gradient 0.weight_ih_l0"]["heads"] == [
        "grad_weight_ih_l0 = Σ δ of layer 0 of [0] × x, over 10 positions"
    ]
    assert found["gradient 0.weight_hh_l1"]["heads"] == [
        "grad_weight_hh_l1 = Σ δ_h of layer 1 of [0] × y of [0], over 10 positions"
    ]
    assert found["gradient 0.bias_hh_l0"]["heads"] == ["grad_bias_hh_l0 = Σ δ_h of layer 0 of [0], over 10 positions"]
    assert found["gradient 0.weight_ih_l0"]["count"] == 12 * 3 * 10
    weights = data["modules"][0]["weights"]
    assert all("products" in each for each in weights.values())
    assert {"inner δ of layer 0 of [0]", "inner δ_h of layer 1 of [0]"} <= set(found)


def test_attention_sums_over_steps(run_pages, random):
    found, _ = take_one_apart(run_pages, Sequential(MultiheadAttention(6, 2)), random.standard_normal((1, 4, 6)))
    heads = {key: each["heads"] for key, each in found.items()}
    name = "δ of q, k or v of [0]"
    assert heads["gradient 0.in_proj_weight"] == [f"grad_in_proj_weight = Σ {name} × x, over 4 positions"]
    assert heads["gradient 0.in_proj_bias"] == [f"grad_in_proj_bias = Σ {name}, over 4 positions"]
    product = "grad_y of [0] × o of [0]"
    assert heads["gradient 0.out_proj.weight"] == [f"grad_out_proj.weight = Σ {product}, over 4 positions"]
    assert found[f"inner {name}"]["without"] == []


def test_modules_inside_of_a_custom_one(run_pages, random):
    found, data = take_one_apart(run_pages, Sequential(Residual(3), Scale(3)), random.standard_normal((2, 3)))
    assert set(data["modules"][0]["weights"]) == {"gate", "inner.weight", "inner.bias"}
    assert all(each["without"] == [] and each["count"] for each in found.values())
    assert all(each["worst"] < 1e-12 for each in found.values())


def test_many_outputs_are_taken_in_groups(run_pages, random, monkeypatch):
    monkeypatch.setattr("bprop.trainers.show.jacobians.DENSE", 10)
    monkeypatch.setattr(weight_terms, "SINGLE", 4)
    monkeypatch.setattr(weight_terms, "KEPT", 30)
    monkeypatch.setattr(weight_terms, "GROUPS", (6, 20))
    net = Sequential(ConvTranspose1d(2, 3, 3))
    found, data = take_one_apart(run_pages, net, random.standard_normal((2, 2, 20)))
    weight, bias = (found[f"gradient 0.{name}"] for name in ("weight", "bias"))
    groups = data["modules"][0]["weights"]["weight"]["sum"]["groups"]
    assert groups[:2] == ["grad_y[0, 0, 0] to [0, 0, 21]", "grad_y[0, 1, 0] to [0, 1, 21]"]
    assert weight["worst"] < 1e-12
    assert bias["without"] == []
    assert (weight["count"], bias["count"]) == (30, 6)  # 15 of 18 weights, each of a channel of two samples
    assert len(weight["without"]) == 3
    gradient = data["parameters"][0]["gradient"]
    body = f"return [explain(at({gradient}, {weight['without'][0]})), termsKnown({gradient}), termsKnown(0)];"
    ((made, known, other),) = run_pages([(data, "")], body)
    assert "terms are recorded for 15 of these numbers, those with the largest gradients" in made["head"]
    assert len(made["others"]) == 8
    assert (
        known == "Terms are recorded for 15 of these numbers, the largest ones: those of all are too many for the page."
    )
    assert other is None


def test_few_channels_are_divided(run_pages, random, monkeypatch):
    monkeypatch.setattr("bprop.trainers.show.jacobians.DENSE", 10)
    monkeypatch.setattr(weight_terms, "SINGLE", 4)
    found, data = take_one_apart(run_pages, Sequential(ConvTranspose1d(2, 3, 3)), random.standard_normal((1, 2, 20)))
    groups = data["modules"][0]["weights"]["weight"]["sum"]["groups"]
    assert groups[:2] == ["grad_y[0, 0, 0] to [0, 0, 1]", "grad_y[0, 0, 2]"]
    assert len(groups) == 63
    assert found["gradient 0.weight"]["without"] == []
    assert found["gradient 0.weight"]["worst"] < 1e-12


class Signed(Module):
    """A layer whose bprop is no derivative: it adds the signs of grad_y."""

    estimates = True

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.ones(3))

    def fprop(self, x):
        return x * self.weight

    def bprop(self, grad_y):
        self.grad_weight += np.sign(grad_y).sum(axis=0)
        return grad_y


def test_what_has_no_terms_says_why(run_pages, random):
    data, _ = record(Sequential(Signed()).to("float64"), random.standard_normal((2, 3)))
    gradient = data["parameters"][0]["gradient"]
    ((made, known),) = run_pages([(data, "")], f"return [explain(at({gradient}, 0)), termsKnown({gradient})];")
    reason = "its bprop is no linear function of the gradients that it gets"
    assert made["terms"] == []
    assert made["head"].endswith(f"it has no terms here: {reason}")
    assert known == f"These numbers have no terms: {reason}."


def test_modules_that_do_not_run_once():
    fprop, bprop = (SimpleNamespace(module="layer", method=method) for method in ("fprop", "bprop"))
    for forward, backward, reason in (
        ([fprop], [bprop], ""),
        ([fprop, fprop], [bprop], "it runs more than once in this step"),
        ([fprop], [], "its bprop does not run once in this step"),
    ):
        assert weight_terms.find_reason(SimpleNamespace(forward=forward, backward=backward), "layer") == reason


def test_a_gradient_beyond_what_is_kept(run_pages, random, monkeypatch):
    monkeypatch.setattr("bprop.trainers.show.arrays.LIMIT", 10)
    data, _ = record(Sequential(Linear(4, 5)), random.standard_normal((1, 4)))
    gradient = data["parameters"][0]["gradient"]
    ((inside, beyond),) = run_pages([(data, "")], f"return [9, 10].map((k) => cutOff(at({gradient}, k)));")
    assert inside is None
    assert beyond == "this number is not in the page, which keeps the first 10 of the 20 numbers of this array"


SUMS = ("Padded attention", "LSTM of streams", "Padded GRU", "TransformerDecoder, norm first", "LSTMCell")


@pytest.mark.parametrize("name", SUMS)
def test_products_of_padded_and_other_sequences(name):
    data, _ = record(CASES[name].make().to("float64"), CASES[name].x(3))
    weights = [each["weights"] for each in data["modules"] if each.get("inner")]
    assert weights
    assert all("products" in each for own in weights for each in own.values())
