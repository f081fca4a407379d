"""The profile: what it lists, that its lines add up, its counts, and the plot."""

import json
import sys
import textwrap

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import Bilinear, Conv2d, Linear, Module, ReLU, Sequential, SoftmaxCrossEntropy
from bprop.modules.display.costs import count_bytes, count_flops, get_matmul, record_shapes
from bprop.modules.engine.stopwatch import insert_laps
from bprop.trainers import SGD, TrainingError, compile_step
from bprop.trainers.cli import main
from bprop.trainers.tools.gradient_cost import compute_gradient_cost
from bprop.trainers.tools.matmul_limit import time_matmuls
from bprop.trainers.tools.profile import format_seconds, profile
from bprop.trainers.tools.profile_rows import Row

from ...modules.custom import InPython, Residual


def data(samples=200, features=6):
    random = np.random.default_rng(0)
    return ArrayDataset(random.random((samples, features), np.float32), random.integers(0, 3, samples))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("bprop.trainers.tools.profile.ROUNDS", 2)
    monkeypatch.setattr("bprop.trainers.tools.profile.ROUND_SECONDS", 0.01)


@pytest.mark.jit
def test_every_module_has_its_line(quick):
    net = Sequential(Linear(6, 40), ReLU(), Sequential(Linear(40, 3)))
    report = profile(compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1)), data(), 20, outputs=True)
    assert [(row.name, row.kind) for row in report.rows] == [
        ("[0] Linear(6 -> 40) + [1] ReLU()", "module"),
        ("[2][0] Linear(40 -> 3)", "module"),
        ("SoftmaxCrossEntropy()", "loss"),
        ("SGD(lr=0.1)", "optimizer"),
        ("gather, copy, loop", "loop"),
    ]
    fused = report.rows[0]
    products, elements = 2 * (2 * 20 * 6 * 40), 2 * 20 * 40
    assert fused.flops == products + elements, "the first module is not asked for grad_x"
    assert fused.forward > 0
    assert report.products > 0
    assert report.sum == pytest.approx(sum(row.forward + row.backward for row in report.rows))


@pytest.mark.jit
def test_what_a_gradient_costs_in_evaluations_of_the_loss(quick):
    """By structure: time is that of the modules' and the loss's rows, operations are counted by hand."""
    net = Sequential(Linear(6, 40), ReLU(), Linear(40, 3))
    report = profile(compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1)), data(), 20)
    cost, own = report.gradient, [row for row in report.rows if row.kind in ("module", "loss")]
    assert cost.loss_seconds == pytest.approx(sum(row.forward for row in own))
    assert cost.gradient_seconds == pytest.approx(sum(row.seconds for row in own))
    assert cost.evaluations == cost.gradient_seconds / cost.loss_seconds
    assert cost.evaluations > 1
    first, unit, last = 2 * 20 * 6 * 40, 20 * 40, 2 * 20 * 40 * 3
    assert cost.loss_operations == first + unit + last
    assert cost.gradient_operations == cost.loss_operations + first + unit + 2 * last, "the first has no grad_x"
    assert 2 < cost.counted_evaluations < 3, "as the books say"
    in_text = [line for line in str(report).splitlines() if "evaluations of the loss" in line or "operations" in line]
    assert in_text == cost.describe(format_seconds)
    assert in_text[0].startswith(f"a gradient costs {cost.evaluations:.2f} evaluations of the loss in time (")
    assert in_text[1].endswith("the books: 2 to 3, at most 6")


def test_operations_of_a_gradient_are_at_most_those_of_the_books():
    """Of each layer with weights at most three times its forward pass, whatever it is."""
    for layer, shape in ((Linear(6, 40), (20, 6)), (Conv2d(2, 3, 3), (4, 2, 6, 6)), (Bilinear(2, 3, 4), (5, 5))):
        forward, backward = count_flops(layer, shape, layer.output_shape(shape))
        assert 2 <= (forward + backward) / forward <= 3


def test_nothing_costs_no_gradient():
    assert compute_gradient_cost([Row("[0] Linear(6 -> 3)", "module", backward=1.0)], {}, set()) is None


@pytest.mark.jit
def test_the_lines_add_up_to_the_step():
    """A wide margin: that each line is counted once, not how well this machine keeps time."""
    net = Sequential(Linear(300, 300), ReLU(), Linear(300, 3))
    report = profile(compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.01)), data(600, 300), 100)
    assert 0.5 < report.sum / report.step < 2
    assert report.rows[0].seconds > report.rows[1].seconds


@pytest.mark.jit
@pytest.mark.filterwarnings("ignore:InPython")
def test_custom_modules_and_modules_in_python(quick):
    net = Sequential(Linear(6, 6), InPython(), Residual(6), Linear(6, 3))
    report = profile(compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.01)), data(), 50, outputs=True)
    rows = {row.name: row for row in report.rows}
    assert rows["[1] InPython()"].forward > 1e-6
    assert rows["[1] InPython()"].backward > 1e-6
    inside = 3 * 2 * 50 * 6 * 6 + 2 * 50 * 6
    assert rows["[2] Residual()"].flops == inside, "those of the Linear and the Tanh that it calls"


@pytest.mark.jit
def test_a_loss_that_is_not_finite_is_an_error(quick):
    net = Sequential(Linear(6, 3))
    net[0].weight[:] = np.nan
    with pytest.raises(TrainingError, match="profile: the loss is nan; a smaller learning rate may help"):
        profile(compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.01)), data(), 50)


def test_without_numba_it_says_so(monkeypatch):
    monkeypatch.setattr("bprop.trainers.tools.profile.jit_disabled", lambda: True)
    with pytest.raises(TrainingError, match="NUMBA_DISABLE_JIT is set, and there is no compiled code to measure"):
        profile(compile_step(Linear(6, 3), SoftmaxCrossEntropy(), SGD(lr=0.01)), data(), 50)


@pytest.mark.jit
def test_without_a_clock_it_says_so(monkeypatch, quick):
    monkeypatch.setattr("bprop.modules.engine.stopwatch.MONOTONIC", None)
    with pytest.raises(TrainingError, match="this system has no clock_gettime"):
        profile(compile_step(Linear(6, 3), SoftmaxCrossEntropy(), SGD(lr=0.01)), data(), 50)


SOURCE = '''
"""A plan."""

@entry
def steps(states, first, last, size):
    """Train."""
    m0 = state_at(S0, states, 0)  # Linear
    m1 = state_at(S1, states, 1)  # ReLU
    total = 0.0
    for begin in range(first, last, size):
        x0 = Linear_fprop(m0, x)
        m0.grad_weight[:] = 0
        grad1 = fused_bprop(m0, m1, x0)
        if not np.isfinite(x0):
            return x0, begin
    return total, last
'''


def test_a_clock_after_each_line():
    first, second = Linear(2, 2), ReLU()
    text, lines = insert_laps(SOURCE, [first, second])
    assert [(line.text, line.modules, line.backward) for line in lines[-4:]] == [
        ("x0 = Linear_fprop(m0, x)", (first,), False),
        ("m0.grad_weight[:] = 0", (first,), True),
        ("grad1 = fused_bprop(m0, m1, x0)", (first, second), True),
        ("if not np.isfinite(x0):\n    return (x0, begin)", (), False),
    ]
    assert text.count("since = add_lap(states, 2, ") == len(lines) + 1
    assert text.count("since = read_clock()") == 2


class Counted(Module):
    """A module that says what it computes."""

    def fprop(self, x):
        return x + 1

    def bprop(self, grad_y):
        return grad_y

    def flops(self, input_shape):
        return 7, 8


@pytest.mark.jit
def test_functions_that_check_indices_are_not_timed():
    source = (
        "@entry\ndef step(states, x):\n    m0 = state_at(S0, states, 0)  # X\n    x0 = X_fprop(m0, x)\n    return x0\n"
    )
    checked = source.replace("step", "checked_step").replace("X_fprop", "checked_X_fprop")
    text, lines = insert_laps(source + checked, [None])
    assert [line.text for line in lines] == ["x0 = X_fprop(m0, x)"]
    assert "checked" not in text


def test_counts():
    linear, relu = Linear(3, 5), ReLU()
    assert get_matmul(linear, (4, 2, 5)) == (8, 3, 5)
    assert get_matmul(relu, (4, 5)) is None
    assert count_flops(linear, (4, 3), (4, 5)) == (2 * 60, 4 * 60)
    assert count_flops(linear, (4, 3), (4, 5), wants_grad_x=False) == (2 * 60, 2 * 60)
    assert count_flops(relu, (4, 5), (4, 5)) == (20, 20)
    assert count_flops(Counted(), (4, 5), (4, 5)) == (7, 8)
    assert count_bytes(linear, (4, 3), (4, 5)) == (4 * (12 + 20 + 20), 4 * (20 + 12 + 20 + 20 + 12))
    net = Sequential(linear, relu)
    shapes = record_shapes(net, np.zeros((4, 3), np.float32))
    assert shapes == {net: ((4, 3), (4, 5)), linear: ((4, 3), (4, 5)), relu: ((4, 5), (4, 5))}


@pytest.mark.jit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_limit_is_measured(dtype):
    small, large = time_matmuls((4, 8, 8), dtype, True, 1e-4), time_matmuls((64, 256, 256), dtype, True, 1e-4)
    assert all(0 < a < b for a, b in zip(small, large, strict=True))
    assert time_matmuls((64, 256, 256), dtype, False, 1e-4)[1] < large[1]


def test_units():
    assert [format_seconds(0), format_seconds(1.5e-6), format_seconds(2.5e-3)] == ["", "1.50 us", "2.50 ms"]


# -- the command -------------------------------------------------------------------------------------------------------

CONFIG = """
    dataset: Iris
    model:
      - Linear: {in_features: 4, out_features: 5}
      - ReLU
      - Linear: {in_features: 5, out_features: 3}
    loss: SoftmaxCrossEntropy
    optimizer:
      SGD: {lr: 0.1}
    trainer: {batch_size: 30}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(textwrap.dedent(CONFIG))
    return tmp_path


@pytest.mark.jit
def test_the_command_prints_a_table_and_draws(folder, capsys):
    assert main(["profile", "c.yaml", "trainer.batch_size=20"]) == 0
    out, err = capsys.readouterr()
    head = "One step of Sequential(Linear, ReLU, Linear) with SoftmaxCrossEntropy and SGD, minibatches of 20"
    lines = out.splitlines()
    assert lines[0] == head
    assert lines[1].split() == ["forward", "backward", "share", "GFLOP/s", "GB/s"]
    assert lines[2].startswith("[0] Linear(4 -> 5) + [1] ReLU()")
    assert max(map(len, lines)) <= 100
    assert err == "the plot is c-profile.png\n"
    assert (folder / "c-profile.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.jit
def test_the_command_gives_json(folder, capsys):
    assert main(["profile", "c.yaml", "--json", "--run", "a/b"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["batch_size"] == 30
    assert figures["sum"] == pytest.approx(sum(row["forward"] + row["backward"] for row in figures["rows"]))
    assert figures["limit"] == pytest.approx(figures["products"] / figures["step"])
    cost = figures["gradient"]
    assert cost["evaluations"] == pytest.approx(cost["gradient_seconds"] / cost["loss_seconds"])
    assert cost["counted_evaluations"] == pytest.approx(cost["gradient_operations"] / cost["loss_operations"])
    assert (cost["usual"], cost["most"]) == ([2, 3], 6)
    assert (folder / "a" / "b" / "profile.png").exists()


@pytest.mark.jit
def test_without_matplotlib_there_is_no_picture(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["profile", "c.yaml"]) == 0
    assert capsys.readouterr().err == "bprop: no plot: plots need matplotlib: pip install 'bprop[plot]'\n"
    assert not (folder / "c-profile.png").exists()
