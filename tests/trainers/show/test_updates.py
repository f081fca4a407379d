"""The update of single weights, by the lines of the optimizer's source: they make the change of the recorded step."""

import numpy as np
import pytest
from bprop.modules import Linear, MeanSquaredError, Sequential, Tanh
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import (
    ASGD,
    LBFGS,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    ConjugateGradient,
    Group,
    Lion,
    Muon,
    NAdam,
    NewtonCG,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    optimizers,
)
from bprop.trainers.optimizers import FullBatch

BY_ELEMENT = {
    "sgd": SGD(0.1),
    "momentum": SGD(0.1, momentum=0.9, dampening=0.1, weight_decay=0.1),
    "nesterov": SGD(0.1, momentum=0.9, nesterov=True, decay="all", weight_decay=0.1),
    "adam": Adam(0.1),
    "amsgrad": Adam(0.1, amsgrad=True, clip_norm=0.1),
    "adamw": AdamW(0.1, weight_decay=0.3),
    "adamax": Adamax(0.1, l1=0.1),
    "nadam": NAdam(0.1),
    "radam": RAdam(0.1),
    "radam late": RAdam(0.1, betas=(0.9, 0.5)),
    "adagrad": Adagrad(0.1, lr_decay=0.1),
    "adadelta": Adadelta(),
    "rmsprop": RMSprop(0.1),
    "rmsprop momentum": RMSprop(0.1, momentum=0.5),
    "rmsprop centered": RMSprop(0.1, centered=True),
    "asgd": ASGD(0.1, t0=0),
    "lion": Lion(0.01, weight_decay=0.1),
    "rprop": Rprop(),
    "groups": SGD(0.1, groups=[Group("0.weight", lr_factor=0.5), Group("2.bias", frozen=True)], max_norm=0.3, ema=0.9),
    "maximize": Adam(0.1, maximize=True, clip_value=0.01),
    "muon": Muon(0.1),
    "adafactor": Adafactor(),
}


def make_page(record_page, random, optimizer):
    """A page of a net of 2-3-2 units at its third step, in float64."""
    net = Sequential(Linear(2, 3), Tanh(), Linear(3, 2)).to("float64")
    x, target = random.standard_normal((3, 2)), random.standard_normal((3, 2))
    loss, optimizer = MeanSquaredError().to("float64"), optimizer.copy()
    with uncompiled():
        for _ in range(2):
            net.zero_grad()
            loss(net(x), target)
            net.bprop(loss.bprop())
            optimizer.update(net)
        return record_page(net, loss, x, target, optimizer)


CHANGES = """
    return DATA.parameters.map((each, k) => Array.from({ length: each.size }, (_, i) => {
        const { rows, change } = updateTerms(k, i);
        return { change, expected: numbersOf(each.change)[i], rows };
    })).flat();
"""


def test_the_lines_of_every_optimizer_sum_to_its_change(record_page, run_pages, random):
    pages = {name: make_page(record_page, random, optimizer) for name, optimizer in BY_ELEMENT.items()}
    found = dict(zip(pages, run_pages([page[:2] for page in pages.values()], CHANGES), strict=True))
    for name, weights in found.items():
        for weight in weights:
            assert weight["change"] == pytest.approx(weight["expected"], rel=1e-6, abs=1e-12), name
    texts = [row.get("text") for row in found["adam"][0]["rows"]]
    assert texts[1:] == [
        None,  # the function, and the line of its loop
        "mean[i] = beta1 * mean[i] + (1 - beta1) * gradients[i]",
        "square[i] = beta2 * square[i] + (1 - beta2) * gradients[i] * gradients[i]",
        "parameters[i] -= step * mean[i] / (root * np.sqrt(square[i]) + eps)",
    ]
    assert found["adam"][0]["rows"][2]["filled"].startswith("0.9 × ")
    assert any("the last of 5 times" in row.get("head", "") for row in found["muon"][0]["rows"])


def test_no_optimizer_is_forgotten():
    classes = {getattr(optimizers, name) for name in optimizers.__all__} - {Optimizer, FullBatch, Group}
    assert classes == {type(each) for each in (*BY_ELEMENT.values(), *FULL_BATCH)}


FULL_BATCH = [LBFGS(), ConjugateGradient(), NewtonCG()]


@pytest.mark.parametrize("optimizer", FULL_BATCH, ids=lambda each: type(each).__name__)
def test_a_full_batch_optimizer_on_the_sample_alone(optimizer, record_page, run_pages, random):
    net = Sequential(Linear(2, 3), Tanh(), Linear(3, 1)).to("float64")
    x, target = random.standard_normal((1, 2)), np.ones((1, 1))
    data, script, _ = record_page(net, MeanSquaredError().to("float64"), x, target, optimizer)
    (weights,) = run_pages([(data, script)], CHANGES)
    changes = [weight["change"] for weight in weights]
    np.testing.assert_allclose(changes, [weight["expected"] for weight in weights], rtol=1e-6, atol=1e-12)
    assert np.abs(changes).max() > 0
    step = data["steps"][-1]
    assert (step["kind"], step["method"]) == ("update", "direction")
    assert step["optimizer"]["source"][0]["name"] == "direction"
    assert step["lines"]
    assert len(step["optimizer"]["tried"]) >= 2


class Half(Optimizer):
    """Moves by half of the gradient, without a loop."""

    def start(self, parameters):
        self.last = np.zeros_like(parameters)

    def update(self, parameters, gradients):
        self.last[:] = gradients
        parameters -= self.last / 2


class Signs(Optimizer):
    """A custom optimizer with a loop of branches."""

    def start(self, parameters):
        self.turns = np.zeros_like(parameters)

    def update(self, parameters, gradients):
        rate = 0.25
        for i in range(parameters.size):
            if gradients[i] > 0 and not self.turns[i] > 5:
                self.turns[i] += 1
                parameters[i] -= rate
            else:
                parameters[i] += rate * rate


@pytest.mark.filterwarnings("ignore")
def test_custom_optimizers(record_page, run_pages, random):
    pages = [make_page(record_page, random, optimizer)[:2] for optimizer in (Half(), Signs())]
    half, signs = run_pages(pages, CHANGES)
    assert [row["text"] for row in half[0]["rows"]] == ["gradients[i]", "last before", "last after"]
    assert half[0]["change"] is None
    assert half[0]["rows"][2]["value"] == pytest.approx(-2 * half[0]["expected"])
    assert all(weight["change"] == pytest.approx(weight["expected"], rel=1e-6) for weight in signs)
    assert "if gradients[i] > 0 and (not self.turns[i] > 5)" in [row.get("text") for row in signs[0]["rows"]]
    (lines,) = [step["lines"] for step in pages[1][0]["steps"] if step["kind"] == "update"]
    assert [line["source"] for line in lines] == [0] * len(lines)
