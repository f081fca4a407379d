"""The training that a page runs by itself: its script's numbers are NumPy's, in Node.js where it is installed."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bprop import modules
from bprop.modules import (
    BatchNorm1d,
    BinaryCrossEntropyWithLogits,
    Dropout,
    Elementwise,
    Flatten,
    Huber,
    LayerNorm,
    LeakyReLU,
    Linear,
    MeanSquaredError,
    PReLU,
    ReLU,
    Residual,
    Sequential,
    Share,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
)
from bprop.modules.engine.stateful import plain_python, uncompiled
from bprop.trainers import SGD, Adam, AdamW, RMSprop, show_net
from bprop.trainers.show.arrays import Arrays, decode
from bprop.trainers.show.play import describe_play
from bprop.trainers.show.subject import Subject, take_arrays
from bprop.trainers.show.translate import Untranslatable, translate_method

ENGINE = Path(show_net.__code__.co_filename).with_name("engine.js")
node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")


def run_node(script):
    """The JSON that a script prints, which has the functions of engine.js."""
    whole = ENGINE.read_text(encoding="utf-8") + script
    return json.loads(subprocess.run(["node", "-"], input=whole, capture_output=True, text=True, check=True).stdout)


def describe(net, loss, x, target, optimizer=None):
    """What the page is told of a training, its script, and the arrays by their numbers."""
    subject = Subject("net", net, loss, optimizer, None, None)
    take_arrays(subject, x, target)
    arrays = Arrays()
    play, code = describe_play(subject, arrays)
    data = arrays.as_dict()
    return play, code, lambda number: decode(data["values"][number], data["contents"])


def train_in_node(net, loss, rule, x, target, steps):
    """The losses, the parameters, and the output in evaluation mode, after some steps of the page's script."""
    play, code, array = describe(net, loss, x, target)
    for layer in play["layers"]:
        for name in ("weight", "bias", "mean", "var"):
            layer[name] = None if layer.get(name) is None else array(layer[name]).ravel().tolist()
    job = {"layers": play["layers"], "loss": play["loss"], "rule": rule, "x": x.ravel().tolist(), "steps": steps}
    job |= {"target": np.asarray(target, float).ravel().tolist(), "n": len(x)}
    return run_node(f"""{code}
        const job = {json.dumps(job)}, array = (each) => (each === null ? null : Float64Array.from(each));
        const layers = job.layers.map((each) => ({{
          ...each, weight: array(each.weight), bias: array(each.bias), mean: array(each.mean), var: array(each.var),
        }}));
        const net = new PlayNet(layers, job.loss, GENERATED), rule = new PlayRule(job.rule);
        rule.decays = net.layers.flatMap((each) => [
          ...(each.weight ? [each.kind === "linear"] : []), ...(each.bias ? [false] : []),
        ]);
        const step = () => net.step(array(job.x), array(job.target), job.n, rule);
        const losses = Array.from({{ length: job.steps }}, step);
        const y = [...net.forward(array(job.x), job.n)];
        console.log(JSON.stringify({{ losses, y, parameters: net.parameters.flatMap((each) => [...each]) }}));
    """)


SETTINGS = {"lr": 0.1, "momentum": 0.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "alpha": 0.99, "weight_decay": 0.0}
CASES = {
    "softmax": (SoftmaxCrossEntropy(), [0, 2, 1, 2, 0], SGD(0.1, momentum=0.9), {"name": "SGD", "momentum": 0.9}),
    "logits": (BinaryCrossEntropyWithLogits(), None, Adam(0.1), {"name": "Adam"}),
    "squares": (MeanSquaredError(), None, AdamW(0.1, weight_decay=0.1), {"name": "AdamW", "weight_decay": 0.1}),
    "huber": (Huber(0.3), None, RMSprop(0.1, weight_decay=0.01), {"name": "RMSprop", "weight_decay": 0.01}),
}


CHAIN = [Flatten(), Linear(4, 6), Tanh(), Linear(6, 5, bias=False), LeakyReLU(0.1), Linear(5, 3)]
NETS = {
    **dict.fromkeys(CASES, CHAIN),
    "branches": [
        Flatten(),
        Linear(4, 4),
        Residual(LayerNorm(4), Linear(4, 4), Sigmoid()),
        Residual(Tanh()),
        Linear(4, 3),
    ],
    "norms": [Flatten(), BatchNorm1d(4), Linear(4, 6), BatchNorm1d(6), ReLU(), Dropout(0.0), Linear(6, 3), Softmax()],
}


@node
@pytest.mark.parametrize("case", NETS)
def test_a_training_equals_numpys(case, random):
    loss, labels, optimizer, rule = CASES.get(case, CASES["squares"])
    net = Sequential(*(each.copy() for each in NETS[case]))
    net, loss, optimizer = net.to("float64"), loss.copy().to("float64"), optimizer.copy()
    x = random.standard_normal((5, 2, 2))
    target = np.array(labels) if labels else (random.random((5, 3)) > 0.5).astype(float)
    found = train_in_node(net.copy(), loss, SETTINGS | rule, x, target, 12)
    losses = []
    with uncompiled():
        for _ in range(12):
            net.zero_grad()
            losses.append(float(loss(net(x), target)))
            net.bprop(loss.bprop())
            optimizer.update(net)
        y = net.eval()(x)
    np.testing.assert_allclose(found["losses"], losses, rtol=1e-9)
    np.testing.assert_allclose(found["parameters"], net.flat_parameters, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found["y"], y.ravel(), rtol=1e-6, atol=1e-9)


@node
def test_dropout_keeps_the_mean():
    play, code, _ = describe(
        Sequential(Dropout(0.25), Linear(2, 2)), MeanSquaredError(), np.ones((1, 2)), np.ones((1, 2))
    )
    layers = json.dumps([play["layers"][0]])
    found = run_node(f"""{code}
        const net = new PlayNet({layers}, {{}}, GENERATED, makeRandom(1)), x = new Float64Array(4000).fill(3);
        const evaluated = [...net.forward(x, 1)];
        net.training = true;
        const y = [...net.forward(x, 1)];
        net.backward(x, 1);
        console.log(JSON.stringify({{ evaluated, y }}));
    """)
    assert set(found["evaluated"]) == {3}
    assert set(found["y"]) == {0, 4}
    assert np.mean(found["y"]) == pytest.approx(3, abs=0.1)


def list_units():
    """All units without parameters that the package has, with a name."""
    for name in modules.__all__:
        cls = getattr(modules, name)
        if isinstance(cls, type) and issubclass(cls, Elementwise) and cls is not Elementwise:
            try:
                unit = cls()
            except (TypeError, ValueError):
                continue
            if not unit._parameters:
                yield name, unit.to("float64")


@node
def test_translated_units_equal_python():
    x = np.array([-3.0, -1.5, -0.7, -0.2, 0.3, 0.9, 1.4, 2.5])
    codes, expected, refused = {}, {}, []
    for name, unit in list_units():
        try:
            codes[name] = [translate_method(unit, method) for method in ("function", "derivative")]
        except Untranslatable:
            refused.append(name)
            continue
        with plain_python(), np.errstate(all="ignore"):
            y = [float(unit.function(each)) for each in x]
            expected[name] = y, [float(unit.derivative(a, b)) for a, b in zip(x, y, strict=True)]
    units = ", ".join(f"{name}: [{', '.join(code)}]" for name, code in codes.items())
    found = run_node(f"""
        const units = {{ {units} }}, x = {json.dumps(x.tolist())}, found = {{}};
        for (const [name, [f, d]] of Object.entries(units)) {{
          const y = x.map((each) => Number(f(each)));
          found[name] = [y, x.map((each, k) => Number(d(each, y[k])))];
        }}
        console.log(JSON.stringify(found));
    """)
    assert {"ReLU", "Tanh", "Sigmoid", "LeakyReLU", "ELU", "Softplus", "SiLU"} <= found.keys()
    for name, pair in expected.items():
        np.testing.assert_allclose(np.array(found[name], float), pair, rtol=1e-9, atol=1e-12, err_msg=name)
    assert len(refused) < len(found)


class Loop(Elementwise):
    """A unit that is no arithmetic of numbers."""

    def function(self, x):
        for _ in range(3):
            x = x * x
        return x

    def derivative(self, x, y):
        return open(x)


@pytest.mark.parametrize(
    ("method", "message"), [("function", "function has for _"), ("derivative", r"has open\(x\)|has open,")]
)
def test_what_is_no_arithmetic_is_refused(method, message):
    with pytest.raises(Untranslatable, match=message):
        translate_method(Loop(), method)


@pytest.mark.parametrize(
    ("net", "loss", "reason"),
    [
        (Sequential(Linear(3, 3000)), MeanSquaredError(), "the model has 12,000 weights, expected at most 5,000"),
        (Sequential(Linear(3, 3), Loop()), MeanSquaredError(), "which is no arithmetic of numbers"),
        (
            Sequential(Linear(3, 3), PReLU()),
            MeanSquaredError(),
            r"it has PReLU\(1\), which .* the page trains: Linear,",
        ),
        (Sequential(Linear(3, 3), Share(0)), MeanSquaredError(), "layers of the model share weights"),
        (Sequential(Linear(3, 3)), SoftmaxCrossEntropy(label_smoothing=0.1), "which the page does not compute"),
        (Sequential(ReLU()), MeanSquaredError(), "the model has no Linear layer"),
    ],
)
def test_what_the_page_cannot_train(net, loss, reason):
    outputs = 3000 if net.parameter_count > 5000 else 3
    target = np.array([1]) if isinstance(loss, SoftmaxCrossEntropy) else np.zeros((1, outputs))
    play, code, _ = describe(net, loss, np.ones((1, 3)), target)
    assert code == ""
    assert re.search(reason, play["reason"])


def test_settings_of_the_optimizer():
    play, code, _ = describe(
        Sequential(Linear(2, 1), Sigmoid()), MeanSquaredError(), np.ones((1, 2)), np.ones((1, 1)), Adam(0.02)
    )
    assert play["rule"] == SETTINGS | {"name": "Adam", "lr": 0.02}
    assert play["layers"][1] == {"inputs": [1], "kind": "unit", "label": "Sigmoid()", "unit": 0}
    assert "sigmoid(v_x)" in code
