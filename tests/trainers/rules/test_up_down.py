"""The up-down rule against its equations, what it learns, and what it refuses."""

import contextlib
import re

import numpy as np
import pytest
from bprop.datasets import Digits
from bprop.modules import (
    ClassRBM,
    Dropout,
    Flatten,
    Linear,
    Normal,
    Sequential,
    SigmoidBelief,
    SoftmaxCrossEntropy,
    manual_seed,
)
from bprop.modules.engine.stateful import uncompiled
from bprop.modules.kernels.philox import uniform
from bprop.trainers import SGD, Trainer, UpDown, compile_step


def sigma(x):
    return 1 / (1 + np.exp(-x))


def make_net():
    manual_seed(3)
    net = Sequential(
        SigmoidBelief(7, 6, weight_init=Normal()),
        SigmoidBelief(6, 5, weight_init=Normal()),
        ClassRBM(5, 3, 4, weight_init=Normal()),
    ).to("float64")
    random = np.random.default_rng(3)
    for _, parameter in net.named_parameters():
        parameter[...] += 0.3 * random.standard_normal(parameter.shape)  # generative weights are no longer W
    return net


class Draws:
    """The random numbers of a copy of the rule, again."""

    def __init__(self, copy):
        self.key, self.step = copy.key, 0

    def bits(self, p):
        u = np.empty(p.size)
        uniform(self.key, self.step, u)
        self.step += 1
        return (u.reshape(p.shape) < p).astype(float)

    def labels(self, p):
        u = np.empty(len(p))
        uniform(self.key, self.step, u)
        self.step += 1
        return np.eye(p.shape[1])[(p.cumsum(axis=1) <= u[:, None]).sum(axis=1)]


def up_down(net, draws, x, target, steps, chain=None):
    """The gradients that up-down leaves, by equations; the lines of appendix B of Hinton, Osindero and Teh (2006).

    With a chain, arrays of features and labels, Gibbs sampling goes on from there and ends there.
    """
    first, second, top = net
    n, grads = len(x), {}
    below = [x]
    for k, layer in enumerate((first, second)):
        h = draws[k].bits(sigma(below[-1] @ layer.weight.T + layer.bias))
        wrong = (sigma(h @ layer.generative_weight + layer.generative_bias) - below[-1]) / n
        grads |= {f"{k}.generative_weight": h.T @ wrong, f"{k}.generative_bias": wrong.sum(axis=0)}
        below.append(h)
    v, label = below[-1], np.eye(3)[target]

    def collect(v, label):
        s = sigma(v @ top.weight.T + label @ top.label_weight.T + top.hidden_bias)
        return s, [s.T @ v, s.T @ label, s.sum(axis=0), v.sum(axis=0), label.sum(axis=0)]

    statistics = [collect(v, label)[1]]
    if chain is not None:
        rows = np.arange(n) % len(chain[0])
        v, label = chain[0][rows], chain[1][rows]
    for _ in range(steps):
        h = draws[2].bits(collect(v, label)[0])
        scores = np.exp(h @ top.label_weight + top.label_bias)
        label = draws[2].labels(scores / scores.sum(axis=1, keepdims=True))
        v = draws[2].bits(sigma(h @ top.weight + top.visible_bias))
    statistics.append(collect(v, label)[1])
    if chain is not None:
        chain[0][:n], chain[1][:n] = v[: len(chain[0])], label[: len(chain[0])]
    names = ("weight", "label_weight", "hidden_bias", "visible_bias", "label_bias")
    grads |= {f"2.{name}": (b - a) / n for name, a, b in zip(names, *statistics, strict=True)}
    for k, layer in ((1, second), (0, first)):
        p = sigma(v @ layer.generative_weight + layer.generative_bias)
        dreamt = draws[k].bits(p) if k else p
        wrong = (sigma(dreamt @ layer.weight.T + layer.bias) - v) / n
        grads |= {f"{k}.weight": wrong.T @ dreamt, f"{k}.bias": wrong.sum(axis=0)}
        v = dreamt
    return grads


def run(steps, context, chains=0):
    net, rule = make_net(), UpDown(steps=steps, chains=chains, seed=4)
    random = np.random.default_rng(5)
    x, target = random.uniform(size=(8, 7)), random.integers(3, size=8)
    step = compile_step(net, SoftmaxCrossEntropy().to("float64"), SGD(lr=0.0), rule=rule)
    with context:
        value = step(x, target)
        draws = [Draws(rule.copy_at(layer)) for layer in net]
        chain = (np.zeros((chains, 5)), np.zeros((chains, 3))) if chains else None
        expected = up_down(net, draws, x, target, steps, chain)
        if chains:  # the second step goes on from where the first ended
            step(x, target)
            expected = up_down(net, draws, x, target, steps, chain)
    gradients = dict(net.named_gradients())
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-12, err_msg=name)
    assert value == pytest.approx(SoftmaxCrossEntropy().to("float64").fprop(net.fprop(x), target))


@pytest.mark.parametrize("steps", [1, 3])
def test_up_down_is_its_equations(steps):
    run(steps, uncompiled())


@pytest.mark.parametrize("chains", [5, 8, 10])
def test_chains_go_on_from_step_to_step(chains):
    run(1, uncompiled(), chains)


def test_compiled_up_down_is_its_equations():
    run(2, contextlib.nullcontext(), chains=5)


def test_a_class_rbm_learns_digits_by_contrastive_divergence():
    manual_seed(0)
    net = Sequential(Flatten(), ClassRBM(64, 10, 64))
    optimizer = SGD(lr=0.1, momentum=0.9)
    trainer = Trainer(net, SoftmaxCrossEntropy(), optimizer, rule=UpDown(steps=1), quiet=True)
    trainer.fit(Digits(), epochs=15)
    assert trainer.evaluate(Digits())["accuracy"] > 0.85


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([Linear(7, 3)], "UpDown(): there is model[0] Linear(7 -> 3), expected a ClassRBM as the last layer"),
        (
            [Linear(7, 5), ClassRBM(5, 3, 4)],
            "UpDown(): there is model[0] Linear(7 -> 5), expected a SigmoidBelief below the last layer",
        ),
        (
            [SigmoidBelief(7, 5), Dropout(), ClassRBM(5, 3, 4)],
            "UpDown(): Dropout(p=0.5) stands after model[0] SigmoidBelief(7 -> 5), expected the next layer, or the end",
        ),
    ],
)
def test_up_down_refuses_other_nets(modules, message):
    trainer = Trainer(Sequential(*modules), SoftmaxCrossEntropy(), SGD(lr=0.1), rule=UpDown(), quiet=True)
    with pytest.raises(ValueError, match=re.escape(message)):
        trainer.fit((np.zeros((4, 7), np.float32), np.array([0, 1, 2, 0])), epochs=1, batch_size=4)


def test_up_down_refuses_settings():
    with pytest.raises(ValueError, match="UpDown: steps is 0, expected at least 1"):
        UpDown(steps=0)
    with pytest.raises(ValueError, match="UpDown: chains is -1, expected at least 0"):
        UpDown(chains=-1)
    with pytest.raises(ValueError, match=re.escape("expected labels (N,), one for each sample")):
        UpDown().check_target(np.zeros((4, 3)))
