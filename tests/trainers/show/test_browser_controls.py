"""What a visitor sets on the page of `bprop show`, in Chromium: views of arrays, the settings of Play."""

import numpy as np
import pytest
from bprop.modules import Concat, Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy, Tanh
from bprop.trainers import SGD, show_net

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def page():
    """A page that trains a chain of six inputs, whose inputs 3 and 5 tell the class."""
    random = np.random.default_rng(0)
    x, labels = random.standard_normal((40, 6)), np.arange(40) % 2
    x[:, 3] += 3 * labels
    x[:, 5] -= 5 * labels
    net = Sequential(Linear(6, 40), Tanh(), Linear(40, 2))
    return show_net(net, SoftmaxCrossEntropy(), x, labels, SGD(lr=0.1))


def test_a_view_stays_as_it_was_chosen(page, visit):
    tab = visit(page, "step=0")
    weight = tab.locator("figure.array", has_text="weight (40, 6)")
    weight.locator("button", has_text="numbers").click()
    weight.locator("td").nth(7).click()
    assert "0.weight[1, 1]" in tab.inner_text(".made")
    assert weight.locator("td").count() == 240
    assert weight.locator("td.picked").count() == 1


def test_an_image_is_made_larger_and_smaller(page, visit):
    tab = visit(page, "step=0")
    y = tab.locator("figure.array", has_text="y (40, 40)")
    width = lambda: y.locator("canvas").bounding_box()["width"]  # noqa: E731
    first = width()
    y.locator("button", has_text="+").click()
    assert width() == pytest.approx(2 * first, abs=4)
    assert tab.evaluate("document.activeElement.ariaLabel") == "image of y larger"
    y.locator("canvas").press("+")
    assert width() == pytest.approx(4 * first, abs=8)
    y.locator("canvas").press("Enter")
    y.locator("canvas").press("ArrowRight")
    y.locator("canvas").press("Enter")
    assert "y of [0][0, 0]" in tab.inner_text(".made")
    for _ in range(4):
        y.locator("canvas").press("-")
    assert width() == first
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("name", "text", "used", "problem"),
    [
        ("units", "7, 5", "7-5", ""),
        ("units", "many", "40", "units is many, expected sizes of hidden layers such as 8-8, with at most 5,000"),
        ("units", "900-900", "40", "units is 900-900, expected sizes of hidden layers"),
        ("lr", "-1", "0.1", "lr is -1, expected at least 0"),
        ("weight_decay", "", "0", "weight decay is no number, expected at least 0"),
        ("batch", "0", "40", "batch is 0, expected at least 1"),
    ],
)
def test_settings_of_play_say_what_is_wrong(name, text, used, problem, page, visit):
    tab = visit(page, "pane=play")
    tab.fill(f"#play-{name}", text)
    tab.press(f"#play-{name}", "Tab")
    assert tab.input_value(f"#play-{name}") == used
    assert problem in tab.inner_text("#play-problem") if problem else tab.inner_text("#play-problem") == ""
    again = visit(page, tab.url.partition("#")[2])
    assert again.input_value(f"#play-{name}") == used


def test_epochs_count_the_samples_that_were_read(page, visit):
    tab = visit(page, "pane=play")
    tab.fill("#play-batch", "1000")
    tab.press("#play-batch", "Tab")
    tab.click("#play-step")
    assert tab.inner_text("#play-facts [data-name=epochs]") == "1"
    assert "of inputs 3 and 5, which tell most of the target" in tab.inner_text("figcaption")


def test_a_target_that_is_1_is_no_class(visit):
    net = Sequential(Linear(2, 2), Tanh(), Linear(2, 1))
    tab = visit(show_net(net, MeanSquaredError(), np.ones((1, 2)), np.ones((1, 1))), "pane=play")
    assert "right" not in tab.inner_text("#play-facts")


def test_where_a_slice_begins_is_no_number_of_it(visit):
    net = Sequential(Concat(Linear(2, 3), Linear(2, 2)), Linear(5, 1))
    tab = visit(show_net(net, MeanSquaredError(), np.ones((1, 2)), np.ones((1, 1)), SGD(lr=0.1, momentum=0.9)))
    tab.evaluate("""() => {
        const k = DATA.steps.findIndex((step) => step.kind === "measure");
        setState({ step: String(k), pick: `${DATA.steps[k].output}:0` });
    }""")
    assert "next offset of [0] = 3" in tab.inner_text(".made")
    assert "where the next array begins" in tab.inner_text(".made")
    tab.click("#tab-weight")
    assert "0.9 × 0 + 1 × " in tab.inner_text(".update")
