"""What a number is made of, of layers of more than a thousand outputs: the terms of each gradient sum to it."""

import numpy as np
import pytest
from bprop.modules import (
    GLU,
    AvgPool1d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    CMulTable,
    Concat,
    ConcatTable,
    Conv1d,
    Conv2d,
    Flatten,
    GroupNorm,
    Identity,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    LogSoftmax,
    MeanSquaredError,
    Module,
    Permute,
    PReLU,
    RMSNorm,
    Sequential,
    Share,
    Softmax,
    Tanh,
    Upsample,
    ZeroPad2d,
)
from bprop.trainers.show import probes
from bprop.trainers.show.probes import choose_rows, keep_largest

CHECKED = """
    let checked = 0, worst = 0;
    const unknown = new Set();
    for (const [value, maker] of MAKERS) {
        if (!["bprop", "gradient"].includes(maker.role)) continue;
        const count = numbersOf(value).length, by = Math.max(1, Math.floor(count / 60));
        for (let index = 0; index < count; index += by) {
            const made = explain({ value, index });
            if (!made.terms.length && made.total !== 0) unknown.add(nameOfValue(value));
            if (!made.terms.length) continue;
            const sum = made.terms.reduce((a, each) => a + each.value, 0);
            const scale = made.terms.reduce((a, each) => a + Math.abs(each.value), 1e-3);
            worst = Math.max(worst, Math.abs(sum - made.total) / scale);
            checked += 1;
        }
    }
    return { checked, worst, unknown: [...unknown], forms: DATA.modules.map((each) => each.form) };
"""

IMAGE, ROWS = (1, 4, 16, 18), (1, 40, 32)
LARGE = {
    "layer norm": (lambda: LayerNorm(32), ROWS, "norm"),
    "rms norm": (lambda: RMSNorm(32), ROWS, "norm"),
    "group norm": (lambda: GroupNorm(2, 4), IMAGE, "norm"),
    "batch norm": (lambda: BatchNorm2d(4), IMAGE, "norm"),
    "batch norm of one sample": (lambda: BatchNorm1d(1200), (1, 1200), "norm"),  # in evaluation mode
    "softmax": (lambda: Softmax(), ROWS, "softmax"),
    "softmax of channels": (lambda: Softmax(dim=1), IMAGE, "softmax"),
    "log softmax": (lambda: LogSoftmax(), ROWS, "softmax"),
    "average": (lambda: AvgPool2d(3, stride=2, padding=1), (1, 16, 17, 18), "average"),
    "average of signals": (lambda: AvgPool1d(2), (1, 16, 150), "average"),
    "parameters of units": (lambda: PReLU(4), IMAGE, "elementwise"),
    "padding": (lambda: ZeroPad2d(1), IMAGE, "places"),
    "permutation": (lambda: Permute((0, 2, 1)), ROWS, "places"),
    "upsampling": (lambda: Upsample(scale_factor=2), (1, 20, 4, 4), "rows"),
    "gates": (lambda: GLU(), (1, 40, 64), "rows"),
    "neighbours": (lambda: LocalResponseNorm(3), (1, 6, 14, 14), "rows"),
    "convolution of signals": (lambda: Conv1d(2, 3, 5, padding="causal", dilation=2), (1, 2, 40), "conv2d"),
}


def check(run_pages, page):
    (found,) = run_pages([page[:2]], CHECKED)
    assert found["worst"] < 1e-5
    assert found["checked"] > 0
    return found


@pytest.mark.parametrize("name", LARGE)
def test_layers_of_many_outputs(name, record_page, run_pages, random, monkeypatch):
    monkeypatch.setattr("bprop.trainers.show.jacobians.SECONDS", 100.0)
    make, shape, kind = LARGE[name]
    layer = make()
    x = random.standard_normal(shape)
    y = layer.output_shape(shape)
    page = record_page(Sequential(layer), MeanSquaredError(), x, random.standard_normal(y))
    found = check(run_pages, page)
    form = found["forms"][0]
    if kind in ("places", "rows"):
        assert form["kind"] == "jacobian"
        assert form["whole"]
        assert "rows" not in form
        assert (page[2](form["sparse"]["values"]).shape[1] == 1) == (kind == "places" or name == "upsampling")
    else:
        assert form["kind"] == kind


def test_branches(record_page, run_pages, random):
    net = Sequential(
        Concat(Linear(3, 4), Linear(3, 2)), ConcatTable(Identity(), Linear(6, 6)), CMulTable(), Flatten(), Linear(6, 2)
    )
    found = check(run_pages, record_page(net, MeanSquaredError(), random.standard_normal((2, 3)), np.ones((2, 2))))
    assert found["unknown"] == []
    assert {"slice", "binary"} <= {form["kind"] for form in found["forms"]}


def test_a_shared_weight_has_the_terms_of_all(record_page, run_pages, random):
    net = Sequential(Linear(3, 3), Tanh(), Share(0), Tanh(), BatchNorm1d(3), Linear(3, 2))
    found = check(run_pages, record_page(net, MeanSquaredError(), random.standard_normal((1, 3)), np.ones((1, 2))))
    assert found["unknown"] == []


def test_what_an_array_that_is_cut_off_lacks(record_page, run_pages, random, monkeypatch):
    monkeypatch.setattr("bprop.trainers.show.arrays.LIMIT", 10)
    page = record_page(Sequential(Linear(4, 5)), MeanSquaredError(), random.standard_normal((1, 4)), np.ones((1, 5)))
    body = "return [1, 4].map((k) => explain(at(DATA.steps[0].output, k))).map((each) => [each.terms, each.rest]);"
    (found,) = run_pages([page[:2]], body)
    assert [len(terms) for terms, _ in found] == [5, 1]  # the bias alone
    assert found[0][1] == 0 != found[1][1]


def test_a_convolution_in_planes_after_a_norm(record_page, run_pages, random):
    net = Sequential(Conv2d(1, 3, 3, padding=1), BatchNorm2d(3), Flatten(), Linear(3 * 20 * 20, 2))
    x = random.standard_normal((1, 1, 20, 20))
    assert check(run_pages, record_page(net, MeanSquaredError(), x, np.ones((1, 2))))["unknown"] == []


class Mixed(Module):
    """A module all of whose outputs depend on all inputs."""

    def fprop(self, x):
        self.total = x.mean()
        return np.tanh(x + self.total)

    def bprop(self, grad_y):
        self.calls = getattr(self, "calls", 0) + 1
        return grad_y + grad_y.sum()


def test_rows_of_the_largest_gradients(record_page, run_pages, random, monkeypatch):
    monkeypatch.setattr("bprop.trainers.show.jacobians.SECONDS", 0.0)
    x = random.standard_normal((1, 1200)).astype(np.float32)
    page = record_page(Sequential(Mixed()), MeanSquaredError(), x, np.zeros_like(x))
    data, _, array = page
    form = data["modules"][0]["form"]
    rows, grad_y = array(form["rows"]), np.abs(array(data["steps"][2]["output"])).ravel()
    assert len(rows) == 16
    assert set(np.argsort(-grad_y)[:8]) <= set(rows.tolist())
    (texts,) = run_pages(
        [page[:2]],
        f"""const y = DATA.steps[0].output;
            return [explain(at(y, {rows[0]})), explain(at(y, {np.argmin(grad_y)}))];""",
    )
    assert len(texts[0]["terms"]) == 12
    assert "16 of its 1200 outputs" in texts[1]["head"]
    assert texts[1]["others"][0] == {"value": data["steps"][0]["output"], "index": int(rows[0])}


def test_what_is_chosen():
    assert choose_rows(np.array([0.0, -3, 1]), np.array([5.0, 0, 1]), 9).tolist() == [1, 0, 2]
    columns, values, whole = keep_largest(np.array([0.0, 2, 0, -1]))
    assert (columns.tolist(), values.tolist(), whole) == ([0, 1, 2, 3], [0, 2, 0, -1], True)
    assert not keep_largest(np.arange(40.0))[2]
    assert not probes.are_close(np.array([1.0]), np.array([2.0]))
