"""The page of `bprop show` in a real browser: Chromium, driven by Playwright (pip install playwright)."""

import os
import shutil
import time

import numpy as np
import pytest
from bprop.modules import (
    BinaryCrossEntropyWithLogits,
    Conv2d,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    MaxPool2d,
    MeanSquaredError,
    MultiheadAttention,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
)
from bprop.trainers import SGD, AdamW, show_net

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
    problems, opened = [], []

    def go(page, fragment="", **options):
        path = page.save(tmp_path / "page.html")
        tab = chromium.new_page(viewport={"width": 1300, "height": 900}, **options)
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("request", lambda request: problems.append(request.url) if not request.url.startswith("file:") else None)
        tab.goto(f"{path.as_uri()}#{fragment}")
        tab.wait_for_selector("html[data-ready]")
        opened.append(tab)
        return tab

    yield go
    for tab in opened:
        tab.close()
    assert problems == []


@pytest.fixture
def small(random):
    net = Sequential(Linear(2, 2), Tanh(), Linear(2, 1))
    x = random.standard_normal((1, 2)).astype(np.float32)
    optimizer = SGD(lr=0.1, momentum=0.9, weight_decay=0.1)
    return net, show_net(net, MeanSquaredError(), x, np.float32([[0.5]]), optimizer)


def test_steps_by_keys_and_the_fragment(small, visit):
    tab = visit(small[1])
    title = lambda: tab.inner_text("h2")  # noqa: E731
    assert title() == "fprop of model[0] Linear(2 -> 2)"
    seen = [title()]
    for _ in range(8):
        tab.keyboard.press("ArrowRight")
        seen.append(title())
    assert [each.split(" of ")[0] for each in seen] == ["fprop"] * 4 + ["bprop"] * 4 + ["update"]
    tab.keyboard.press("ArrowLeft")
    assert title() == "bprop of model[0] Linear(2 -> 2)"
    tab.keyboard.press("Shift+ArrowRight")
    assert "step=7&line=0" in tab.url
    assert tab.locator(".present").count() == 1
    assert "grad_y, x = as_rows(grad_y), as_rows(self.x)" in tab.inner_text(".present")
    again = visit(small[1], tab.url.partition("#")[2])
    assert again.inner_text(".present") == tab.inner_text(".present")
    again.click("#walk-back")
    assert again.inner_text("h2") == "bprop of model[1] Tanh()"


def explain(tab, ref):
    """What the page says a number is made of."""
    return tab.evaluate("([value, index]) => explain({ value, index })", ref)


def check_every_number(tab):
    """Recompute every number that the page takes apart, of outputs, gradients and weights; returns how many."""
    return tab.evaluate("""() => {
        let checked = 0;
        for (const [value, maker] of MAKERS) {
            if (maker.role === "line" || maker.role === "parameter" || maker.role === "change") continue;
            const step = maker.step === undefined ? null : DATA.steps[maker.step];
            const sum = ["bprop", "gradient"].includes(maker.role) || (maker.role === "fprop"
                && ["linear", "conv2d", "sum", "embedding"].includes(DATA.modules[step.module].form.kind));
            if (!sum) continue;
            const count = numbersOf(value).length, by = Math.max(1, Math.floor(count / 40));
            for (let index = 0; index < count; index += by) {
                const made = explain({ value, index });
                if (!made.terms.length) continue;
                const sum = made.terms.reduce((a, each) => a + each.value, 0);
                const scale = made.terms.reduce((a, each) => a + Math.abs(each.value), 1e-2);
                if (Math.abs(sum - made.total) > 1e-5 * scale) {
                    throw new Error(`${nameOf({ value, index })}: ${sum}, not ${made.total}`);
                }
                checked += 1;
            }
        }
        return checked;
    }""")


NETS = {
    "images": lambda r: (
        Sequential(Conv2d(1, 3, 3, stride=2, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(12, 3)),
        r.standard_normal((1, 1, 8, 8)),
        np.array([2]),
    ),
    "branches": lambda r: (
        Sequential(Residual(Linear(4, 4), LayerNorm(4), Tanh()), Linear(4, 3)),
        r.standard_normal((2, 4)),
        np.array([0, 1]),
    ),
    "tokens": lambda r: (
        Sequential(Embedding(7, 4), Residual(MultiheadAttention(4, 2)), Linear(4, 7)),
        np.array([[1, 5, 2]]),
        np.array([[5, 2, 0]]),
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_every_number_is_the_sum_of_its_terms(name, visit, random):
    net, x, target = NETS[name](random)
    tab = visit(show_net(net, SoftmaxCrossEntropy(class_axis=-1), x, target, AdamW(lr=0.01)))
    assert check_every_number(tab) > 60


def test_a_number_is_taken_apart_by_a_click(small, visit):
    tab = visit(small[1], "step=2")
    tab.locator("figure.array", has_text="y (1, 1)").locator("td").click()
    made = tab.inner_text(".made")
    assert "y = Σ x weight + bias" in made
    assert made.count("2.weight[0,") == 2
    tab.locator(".made .ref", has_text="2.weight[0, 1]").click()
    tab.click("text=this weight, from the loss to its update")
    assert tab.inner_text("h2") == "2.weight[0, 1]"


def test_the_chain_rule_of_a_weight(small, visit):
    tab = visit(small[1], "pane=weight&weight=0:1")
    assert "1 path from the loss to this weight" in tab.inner_text("main")
    factors = tab.locator(".terms").first.inner_text()
    assert "grad_y of [2][0, 0]" in factors
    assert "2.weight[0, 0]" in factors
    change = float(tab.get_attribute("[data-update]", "data-update"))
    recorded = tab.evaluate("numbersOf(DATA.parameters[0].change)[1]")
    assert change == pytest.approx(recorded, rel=1e-4)
    quotients = tab.evaluate("playQuotient(0, 1)(1e-5)")
    gradient = tab.evaluate("numbersOf(DATA.parameters[0].gradient)[1]")
    assert quotients["central"] == pytest.approx(gradient, rel=1e-5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_pane_draws(small, visit, scheme):
    tab = visit(small[1], color_scheme=scheme)
    for name in ("weight", "net", "learning", "play", "walk"):
        tab.click(f"#tab-{name}")
        assert tab.get_attribute(f"#tab-{name}", "aria-selected") == "true"
        assert tab.locator("main > *").count() > 0
    tab.focus("#tab-walk")
    tab.keyboard.press("ArrowRight")
    assert "pane=weight" in tab.url
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("data", "units"), [("xor", "8"), ("spirals", "32-32")])
def test_the_page_learns(data, units, visit, random):
    net = Sequential(Linear(2, 4), Tanh(), Linear(4, 1))
    page = show_net(net, BinaryCrossEntropyWithLogits(), random.standard_normal((1, 2)), np.ones((1, 1)), SGD(lr=0.1))
    settings = f"units*{units};data*{data};name*Adam;lr*0.01;batch*20"
    tab = visit(page, f"pane=play&play={settings}")
    tab.click("#play-start")
    begin = time.monotonic()
    while time.monotonic() - begin < 60:  # a machine that others use, too
        facts = tab.evaluate("({ ...measurePlay(), seconds: PLAY.seconds })")
        if facts["accuracy"] == 1:
            break
        time.sleep(0.2)
    assert facts["accuracy"] == 1
    assert facts["seconds"] < 30
    tab.click("#play-start")


def test_hostile_texts_do_nothing(visit):
    evil = type(
        "<img src=x onerror=document.title='evil'>", (Tanh,), {"__doc__": "<script>document.title='evil'</script>"}
    )
    tab = visit(show_net(Sequential(Linear(2, 2), evil()), MeanSquaredError(), np.ones((1, 2)), np.ones((1, 2))))
    for fragment in (
        "step=1",
        "pane=net",
        "pane=weight",
        "pane=play",
        "pane=<b>",
        "step=%00&pick=9:9&weight=x:y&play=lr*<i>",
    ):
        tab.evaluate("fragment => { location.hash = fragment; }", fragment)
        tab.wait_for_timeout(50)
    assert tab.title() == "Sequential(Linear, <img src=x onerror=document.title='evil'>) · bprop show"
    assert tab.locator("img").count() == 0
