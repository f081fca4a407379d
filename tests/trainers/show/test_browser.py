"""The page of `bprop show` in a real browser: Chromium, driven by Playwright (pip install 'bprop[browser]')."""

import re
from dataclasses import replace

import numpy as np
import pytest
from bprop.modules import (
    BatchNorm1d,
    BinaryCrossEntropyWithLogits,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    MaxPool2d,
    MeanSquaredError,
    MultiheadAttention,
    PReLU,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
)
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import SGD, AdamW, show_net
from bprop.trainers.report.page import Picture, Report, RunReport
from bprop.trainers.report.page import make_page as make_report
from bprop.trainers.show import Page
from bprop.trainers.show.page import make_page
from bprop.trainers.show.show import record_subject
from bprop.trainers.show.subject import read_subject

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def small(random):
    net = Sequential(Linear(2, 2), Tanh(), Linear(2, 1))
    x = random.standard_normal((1, 2)).astype(np.float32)
    optimizer = SGD(lr=0.1, momentum=0.9, weight_decay=0.1)
    return net, show_net(net, MeanSquaredError(), x, np.float32([[0.5]]), optimizer)


@pytest.fixture(scope="module")
def rich():
    """A page with images, norms, branches and a trained optimizer, which the page itself cannot train."""
    net = Sequential(
        Conv2d(1, 2, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(72, 6), Residual(LayerNorm(6), Tanh()), Linear(6, 3)
    )
    x = np.random.default_rng(1).standard_normal((1, 1, 14, 14))
    return show_net(net, SoftmaxCrossEntropy(), x, np.array([1]), AdamW(lr=0.01))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A page of a config, with a short training, which the page can go on with."""
    path = tmp_path_factory.mktemp("configs") / "small.yaml"
    path.write_text(CONFIG, "utf-8")
    with uncompiled():
        return make_page(*record_subject(read_subject(path, [], 0, None), 8))


CONFIG = """
dataset: Iris
model: [{Linear: {in_features: 4, out_features: 5}}, Tanh, {Linear: {in_features: 5, out_features: 3}}]
loss: SoftmaxCrossEntropy
optimizer: {Adam: {lr: 0.1}}
trainer: {epochs: 2, batch_size: 32}
"""


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


def test_a_module_has_one_colour_in_all_charts(trained, visit):
    tab = visit(trained, "pane=learning")
    pairs = tab.evaluate("""() => [...document.querySelectorAll(".legend .key")]
        .map((each) => [each.textContent, each.querySelector("path").getAttribute("class")])""")
    assert {name: {colour for each, colour in pairs if each == name} for name, _ in pairs} == {
        "[0]": {"line s0"},
        "[1]": {"line s1"},
        "[2]": {"line s2"},
    }


def wait_for_steps(tab, steps):
    """Wait until the page has trained so many steps; its policy lets Playwright wait for no expression."""
    for _ in range(600):
        if tab.evaluate("PLAY.steps") > steps:
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"the page has not trained {steps} steps in half a minute")


@pytest.mark.parametrize(("data", "units"), [("xor", "8"), ("spirals", "32-32")])
def test_the_page_learns(data, units, visit, random):
    net = Sequential(Linear(2, 4), Tanh(), Linear(4, 1))
    page = show_net(net, BinaryCrossEntropyWithLogits(), random.standard_normal((1, 2)), np.ones((1, 1)), SGD(lr=0.1))
    tab = visit(page, f"pane=play&play=units*{units};data*{data};name*Adam;lr*0.01;batch*20")
    steps = tab.evaluate("""() => {
        while (measurePlay().accuracy < 1 && PLAY.steps < 9000) for (let k = 0; k < 100; k++) playStep();
        drawPlayState();
        return PLAY.steps;
    }""")  # about a second
    assert steps < 9000
    assert tab.inner_text("#play-facts [data-name=right]") == "100 %"
    tab.click("#play-start")
    wait_for_steps(tab, steps + 10)
    tab.click("#play-start")
    tab.fill("#play-units", "3")
    tab.press("#play-units", "Tab")
    assert tab.inner_text("#play-facts [data-name=weights]") == "13"
    assert "units*3" in tab.evaluate("decodeURIComponent(location.hash)")


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ((Linear(2, 3), BatchNorm1d(3), ReLU(), Dropout(0.1), Linear(3, 1)), None),
        ((Linear(2, 2), Residual(Linear(2, 2), Tanh()), Linear(2, 1)), None),
        ((Linear(2, 2), PReLU(), Linear(2, 1)), "it has PReLU(1), which is none of the layers that the page trains"),
    ],
)
def test_what_the_page_trains_and_what_it_refuses(layers, reason, visit, random):
    page = show_net(
        Sequential(*layers), MeanSquaredError(), random.standard_normal((9, 2)), np.ones((9, 1)), SGD(lr=0.1)
    )
    tab = visit(page, "pane=play")
    if reason:
        assert reason in tab.inner_text("main")
        return
    before = tab.evaluate("measurePlay().loss")
    assert tab.evaluate("() => { for (let k = 0; k < 200; k++) playStep(); return measurePlay().loss; }") < before
    assert tab.is_disabled("#play-units") == (layers[1].__class__ is Residual)


PANES = ("walk", "weight", "net", "learning", "play")
CONTRAST = """() => {
    const scaleOf = (text) => (text.startsWith("color(srgb") ? 255 : 1), found = [];
    const parse = (text) => text.match(/[\\d.]+/g).map((part, k) => Number(part) * (k < 3 ? scaleOf(text) : 1));
    const light = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
    const over = ([r, g, b, share = 1], ground) => [r, g, b].map((part, k) => part * share + ground[k] * (1 - share));
    const groundOf = (element) => {
        if (element === null) return [255, 255, 255];
        const colour = parse(getComputedStyle(element).backgroundColor);
        return (colour[3] ?? 1) === 1 ? colour : over(colour, groundOf(element.parentElement));
    };
    for (const element of document.querySelectorAll("#page *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        const box = element.getBoundingClientRect();
        if (!own || !box.width || element.closest(".said, :disabled")) continue;
        const style = getComputedStyle(element), inGraph = element.closest("svg");
        let ground = groundOf(inGraph ? inGraph.parentElement : element);
        const rect = inGraph && element.closest("g")?.querySelector("rect");
        if (rect) {
            const fill = getComputedStyle(rect);
            ground = over([...parse(fill.fill).slice(0, 3), Number(fill.fillOpacity)], ground);
        }
        const [a, b] = [parse(inGraph ? style.fill : style.color), ground].map(luminance).sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        const name = `${element.tagName}.${element.getAttribute("class")} ${element.textContent.slice(0, 20)}`;
        if (ratio < 4.5) found.push(`${name}: ${ratio.toFixed(2)}`);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["rich", "trained"])
def test_texts_stand_out(page, scheme, visit, request):
    tab = visit(request.getfixturevalue(page), "line=1&weight=0:1", color_scheme=scheme)
    for name in PANES:
        tab.click(f"#tab-{name}")
        assert tab.evaluate(CONTRAST) == [], name


def test_everything_is_reached_by_keys_alone(rich, visit):
    tab = visit(rich, "pick=0:0")
    for name in PANES:
        tab.focus("#tab-walk" if name == "walk" else f"#tab-{PANES[PANES.index(name) - 1]}")
        if name != "walk":
            tab.keyboard.press("ArrowRight")
        assert tab.evaluate("document.activeElement.id") == f"tab-{name}"
        wanted = set(tab.evaluate(FOCUSABLE))
        seen = {}
        for _ in range(len(wanted) + 20 if wanted else 0):  # and areas that scroll
            tab.keyboard.press("Tab")
            found = tab.evaluate(FOCUSED)
            seen[found["mark"]] = found["visible"]
            if seen.keys() >= wanted:
                break
        assert seen.keys() >= wanted, name
        assert all(seen.values()), name


FOCUSABLE = """() => {
    const all = "#pane :is(button, select, input):not(:disabled), #pane summary, #pane [tabindex='0']";
    return [...document.querySelectorAll(all)].filter((each) => each.getClientRects().length)
        .map((each, k) => each.dataset.mark = String(k));
}"""
FOCUSED = """() => {
    const element = document.activeElement, style = getComputedStyle(element);
    const visible = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    return { mark: element.dataset.mark, visible };
}"""
UNNAMED = """() => [...document.querySelectorAll("button, select, input, canvas, svg[role]")]
    .filter((each) => each.checkVisibility() && !each.textContent.trim() && !each.labels?.length
        && !each.getAttribute("aria-label")).map((each) => each.outerHTML)"""


def test_what_a_screen_reader_is_told(rich, visit):
    tab = visit(rich, "step=0")
    walk = tab.locator("main").aria_snapshot()
    assert '- tabpanel "Walk"' in walk
    assert '- toolbar "steps"' in walk
    assert '- navigation "methods of this step"' in walk
    assert '- heading "fprop of model[0] Conv2d(1 -> 2' in walk
    assert '- list "source of fprop"' in walk
    assert re.search(r'- application "image of x, \(1, 1, 14, 14\), from −?[\d.]+ to', walk)
    assert '- complementary "what a number is made of"' in walk
    assert re.search(r'- tab "Walk" \[selected\]', tab.locator("[role=tablist]").aria_snapshot())
    tab.click("#tab-net")
    net = tab.locator("main").aria_snapshot()
    assert '- slider "recorded step"' in net
    assert '- group "backward pass"' in net
    assert re.search(r'- button "\[0\], Conv2d', net)
    tab.click("#tab-weight")
    weight = tab.locator("main").aria_snapshot()
    for name in ('combobox "parameter"', 'textbox "index"', 'slider "the step h"', 'img "chart of error by the step'):
        assert name in weight
    for name in PANES:
        tab.click(f"#tab-{name}")
        assert tab.evaluate(UNNAMED) == [], name


def test_paper_is_white_and_has_no_controls(rich, visit):
    tab = visit(rich, "theme=dark&step=1")
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)" != dark
    assert tab.evaluate("isDark()") is False
    assert not tab.locator("#walk-step").is_visible()
    assert tab.evaluate("[...document.querySelectorAll('#pane details')].every((each) => each.open)")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.evaluate(CONTRAST) == []
    assert len(tab.pdf()) > 10_000


def test_less_motion_for_those_who_ask_for_it(small, visit):
    tab = visit(small[1], "pane=play", reduced_motion="reduce")
    tab.click("#play-start")
    wait_for_steps(tab, 100)
    draws = tab.evaluate("PLAY.history.length")
    tab.wait_for_timeout(300)
    assert tab.evaluate("PLAY.history.length") <= draws + 1
    tab.click("#play-start")
    assert "right" in tab.inner_text("#said") or "loss" in tab.inner_text("#said")


def test_narrow_windows_need_no_scrolling_sideways(rich, visit):
    tab = visit(rich)
    tab.set_viewport_size({"width": 400, "height": 800})
    for name in PANES:
        tab.click(f"#tab-{name}")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 400, name


HOSTILE = """</script></pre><script>document.title='evil'</script><img src=x onerror="document.title='evil'"> \u202e"""


def test_a_hostile_report_does_nothing(visit):
    picture = Picture(HOSTILE, b"<svg xmlns='http://www.w3.org/2000/svg' onload='document.title=1'/>", "svg")
    rows = {HOSTILE: [HOSTILE]}
    run = RunReport(HOSTILE, False, HOSTILE, [picture, Picture(HOSTILE, reason=HOSTILE)], HOSTILE, HOSTILE, rows)
    run = replace(run, environment={HOSTILE: HOSTILE})
    page = Page(make_report(Report(HOSTILE, [HOSTILE], rows, rows, picture, [run, run])))
    tab = visit(page, ready="main")
    assert tab.locator("img").count() == 3
    assert tab.locator("script").count() == 0
    assert tab.title() == f"{HOSTILE[:-1]}\\u202e · bprop report"
    assert HOSTILE[:-1].strip() in tab.inner_text("h1")


def test_hostile_names_do_nothing(visit, record_page):
    data, script, _ = record_page(
        Sequential(Linear(2, 2), Tanh()), SoftmaxCrossEntropy(), np.ones((1, 2)), np.array([1]), SGD(lr=0.1)
    )
    mistake = {"row": 0, "x": data["y"], "says": HOSTILE, "is": HOSTILE}
    learning = {
        "part": HOSTILE,
        "samples": 1,
        "trained": HOSTILE,
        "time": "step",
        "accuracy": 0.5,
        "mistakes": [mistake],
    }
    learning |= {"classes": [HOSTILE] * 2, "confusion": [[1, 0], [1, 0]]}
    learning["curves"] = {"time": "step", "columns": {"step": [1, 2], f"train_{HOSTILE}": [1, 2]}}
    data |= {"title": HOSTILE, "model": HOSTILE, "config": HOSTILE, "notes": [HOSTILE], "learning": learning}
    data["sample"] |= {"part": HOSTILE, "row": 0, "label": HOSTILE, "classes": [HOSTILE] * 2, "tokens": [HOSTILE] * 2}
    for each in (*data["values"], *data["parameters"]):
        each["name"] = HOSTILE
    for module in data["modules"]:
        module |= dict.fromkeys(("path", "short", "label", "class", "sentence", "equations"), HOSTILE)
    tab = visit(make_page(data, script))
    for name in PANES:
        tab.click(f"#tab-{name}")
        assert "evil" in tab.inner_text("body")
        assert tab.locator("img").count() == tab.locator("main script").count() == 0
    assert tab.title() == f"{HOSTILE[:-1]}\\u202e · bprop show"
    assert "\u202e" not in tab.content()


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
