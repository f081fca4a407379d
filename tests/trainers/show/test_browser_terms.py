"""Clicks on gradients of weights, and beyond the end of long arrays, in Chromium: what the page shows is NumPy's."""

import os
import shutil

import numpy as np
import pytest
from bprop.modules import GRU, LSTM, Linear, MeanSquaredError, MultiheadAttention, Sequential
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import show_net

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, tmp_path):
    """`visit(page, fragment)` opens a page; errors and messages of the console fail the test."""
    problems, tabs = [], []

    def go(page, fragment=""):
        tab = chromium.new_page(viewport={"width": 1300, "height": 900})
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto(f"{page.save(tmp_path / 'page.html').as_uri()}#{fragment}")
        tab.wait_for_selector("html[data-ready]")
        tabs.append(tab)
        return tab

    yield go
    for tab in tabs:
        tab.close()
    assert problems == []


@pytest.fixture(autouse=True)
def enough_time(monkeypatch):
    """On a busy machine, too, there is time for the terms of all."""
    monkeypatch.setattr("bprop.trainers.show.weight_terms.SECONDS", 1e6)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_terms(net, x, grad_y, row, column):
    """δ[t, row] h[t - 1, column], by the equations of the LSTM's docstring."""
    layer, steps = net[0], []
    h = c = np.zeros(layer.hidden_size)
    for t in range(len(x)):
        a = layer.weight_ih_l0 @ x[t] + layer.bias_ih_l0 + layer.weight_hh_l0 @ h + layer.bias_hh_l0
        i, f, g, o = (f(part) for f, part in zip((sigmoid, sigmoid, np.tanh, sigmoid), np.split(a, 4), strict=True))
        steps.append((h, c, i, f, g, o))
        c = f * c + i * g
        h = o * np.tanh(c)
        steps[-1] += (c,)
    grad_h, grad_c, terms = np.zeros_like(h), np.zeros_like(h), []
    for (h, c, i, f, g, o, after), grad in zip(steps[::-1], grad_y[::-1], strict=True):
        grad_h = grad_h + grad
        grad_c = grad_c + grad_h * o * (1 - np.tanh(after) ** 2)
        delta = np.concatenate([
            grad_c * g * i * (1 - i), grad_c * c * f * (1 - f), grad_c * i * (1 - g**2),
            grad_h * np.tanh(after) * o * (1 - o),
        ])  # fmt: skip
        terms.append(delta[row] * h[column])
        grad_h, grad_c = layer.weight_hh_l0.T @ delta, grad_c * f
    return terms


def gru_terms(net, x, grad_y, row, column):
    """δ_h[t, row] h[t - 1, column], by the equations of the GRU's docstring."""
    layer, steps, size = net[0], [], net[0].hidden_size
    h = np.zeros(size)
    for t in range(len(x)):
        a, b = layer.weight_ih_l0 @ x[t] + layer.bias_ih_l0, layer.weight_hh_l0 @ h + layer.bias_hh_l0
        r, z, m = sigmoid(a[:size] + b[:size]), sigmoid((a + b)[size : 2 * size]), b[2 * size :]
        n = np.tanh(a[2 * size :] + r * m)
        steps.append((h, r, z, m, n))
        h = (1 - z) * n + z * h
    grad_h, terms = np.zeros(size), []
    for (h, r, z, m, n), grad in zip(steps[::-1], grad_y[::-1], strict=True):
        grad_h = grad_h + grad
        grad_n = grad_h * (1 - z) * (1 - n**2)
        delta = np.concatenate([grad_n * m * r * (1 - r), grad_h * (h - n) * z * (1 - z), grad_n * r])
        terms.append(delta[row] * h[column])
        grad_h = grad_h * z + layer.weight_hh_l0.T @ delta
    return terms


def attention_terms(net, x, grad_y, row, column):
    """δ[t, row] x[t, column] with the gradients of q, k and v of one head, by MultiheadAttention's docstring."""
    layer, width = net[0], x.shape[1]
    q, k, v = np.split(x @ layer.in_proj_weight.T + layer.in_proj_bias, 3, axis=1)
    p = np.exp(layer.scale * q @ k.T)
    p /= p.sum(axis=1, keepdims=True)
    grad_o = grad_y @ layer.out_proj.weight
    grad_p = grad_o @ v.T
    grad_s = layer.scale * p * (grad_p - (p * grad_p).sum(axis=1, keepdims=True))
    delta = np.concatenate([grad_s @ k, grad_s.T @ q, p.T @ grad_o], axis=1)
    assert delta.shape[1] == 3 * width
    return delta[:, row] * x[:, column]


CLICKED = {
    "LSTM": (lambda: LSTM(2, 2), "weight_hh_l0", (3, 1), lstm_terms, "Σ δ of layer 0 of [0] × y of [0]"),
    "GRU": (lambda: GRU(2, 2), "weight_hh_l0", (5, 0), gru_terms, "Σ δ_h of layer 0 of [0] × y of [0]"),
    "attention": (lambda: MultiheadAttention(2, 1), "in_proj_weight", (4, 1), attention_terms, "Σ δ of q, k or v"),
}


def click_gradient(tab, name, index):
    """Click a number of a gradient in the walk; returns what the panel says, and the values of the terms it lists."""
    figure = tab.locator("figure.array", has=tab.locator(f"b:text-is('grad_{name}')"))
    figure.locator(f"td[data-index='{index}']").click()
    texts = tab.locator(".made .terms td.value").all_inner_texts()
    return tab.inner_text(".made"), [float(text.replace("−", "-")) for text in texts]


@pytest.mark.parametrize("name", CLICKED)
def test_a_click_on_the_gradient_of_a_weight(name, visit, random):
    make, parameter, (row, column), compute_terms, head = CLICKED[name]
    net = Sequential(make()).to("float64")
    x, target = random.standard_normal((1, 4, 2)), random.standard_normal((1, 4, 2))
    with uncompiled():
        page = show_net(net, MeanSquaredError().to("float64"), x, target)
        grad_y = 2 * (net.fprop(x) - target)[0] / 8
    tab = visit(page, "step=3")
    expected = np.array(compute_terms(net, x[0], grad_y, row, column))
    shape = dict(net.named_parameters())[f"0.{parameter}"].shape
    text, shown = click_gradient(tab, parameter, row * shape[1] + column)
    assert head in text
    expected = expected[expected != 0]
    np.testing.assert_allclose(shown, expected[np.argsort(-np.abs(expected))], rtol=1e-3)
    value, index = map(int, tab.evaluate("STATE.pick").split(":"))
    exact = tab.evaluate("(ref) => explain(ref).terms.map((each) => each.value)", {"value": value, "index": index})
    np.testing.assert_allclose(sorted(exact), np.sort(expected), rtol=1e-9)
    tab.locator(".made .ref", has_text="δ").first.click()  # which has terms itself, up to the loss
    assert "Σ grad_y dy/dδ" in tab.inner_text(".made")
    tab.locator(".made .ref", has_text="grad_y").first.click()
    assert "grad_y = 2 (y − target) / size" in tab.inner_text(".made")


def test_an_array_that_is_cut_off(visit, random, monkeypatch):
    monkeypatch.setattr("bprop.trainers.show.arrays.LIMIT", 300)
    net = Sequential(Linear(20, 30), Linear(30, 1))
    with uncompiled():
        page = show_net(net, MeanSquaredError(), random.standard_normal((1, 20)), np.ones((1, 1)))
    tab = visit(page)
    figure = tab.locator("figure.array", has_text="weight (30, 20)")
    assert "Cut off: the page keeps the first 300 of these 600 numbers" in figure.inner_text()
    canvas = figure.locator("canvas")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] * 0.9})
    text = tab.inner_text(".made")
    assert "This number is not in the page, which keeps the first 300 of the 600 numbers of this array" in text
    assert 'In Python: dict(net.named_parameters())["0.weight"][27, 1' in text
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] * 0.1})
    assert "a weight: 0.weight" in tab.inner_text(".made")
    tab.click("#tab-weight")
    tab.fill("#place", "29, 19")
    tab.press("#place", "Tab")
    assert tab.inner_text("h2") == "0.weight[29, 19]"
    assert 'dict(net.named_gradients())["0.weight"][29, 19]' in tab.inner_text(".made")
    tab.evaluate("setState({ pane: 'walk', pick: `${DATA.steps[0].output}:25` })")
    assert "terms of numbers that are cut off in this page" in tab.inner_text(".made")
