"""What a training shows: a live line and a table on terminals, plain lines elsewhere."""

import re
import sys

import pytest
from bprop.trainers.progress import epoch_table
from bprop.trainers.progress.epoch_table import EpochTable
from bprop.trainers.progress.progress_bar import ProgressBar, estimate_left, format_metric

ROW = {
    "epoch": 3, "train_loss": 0.5, "train_accuracy": 0.75, "train_f1_macro": 0.7, "valid_loss": 1e7,
    "valid_accuracy": 0.5, "valid_f1_macro": 0.25, "seconds": 2.0,
}  # fmt: skip


@pytest.fixture
def terminal(monkeypatch):
    """`terminal(columns)` makes stderr a terminal of so many columns."""

    def make(columns: int) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", "24")

    return make


def print_table(capsys, rows=1, **more):
    table = EpochTable()
    for _ in range(rows):
        table.print_row(ROW, more.pop("scheduled", {}), rate=0.05, rows=20, seconds=[2.0, 2.0], **more)
    return capsys.readouterr().err.splitlines()


def test_a_pipe_gets_lines_with_names(capsys):
    (line,) = print_table(capsys, scheduled={"lr": 0.05})
    assert line.startswith("epoch   3  train_loss 0.5000  train_accuracy 0.7500")
    assert line.endswith("valid_loss 1e+07  valid_accuracy 0.5000  valid_f1_macro 0.2500  lr 0.05  2.00 s")


def test_a_terminal_gets_a_table_with_the_rate_and_the_time_left(capsys, terminal):
    terminal(120)
    assert print_table(capsys, rows=2) == [
        "       training                     validation",
        "epoch     loss  accuracy  f1_macro     loss  accuracy  f1_macro    lr     time   left",
        " 3/20   0.5000    0.7500    0.7000    1e+07    0.5000    0.2500  0.05   2.00 s  00:34",
        " 3/20   0.5000    0.7500    0.7000    1e+07    0.5000    0.2500  0.05   2.00 s  00:34",
    ]


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (80, "epoch loss accuracy loss accuracy f1_macro lr time left"),
        (60, "epoch loss loss accuracy f1_macro lr left"),
        (40, "epoch loss loss left"),
        (5, "epoch loss loss"),
    ],
)
def test_columns_without_room_are_left_out(capsys, terminal, columns, names):
    terminal(columns)
    lines = print_table(capsys)
    assert lines[1].split() == names.split()
    assert columns < 10 or max(map(len, lines)) < columns


def test_the_head_comes_again(capsys, terminal, monkeypatch):
    terminal(120)
    monkeypatch.setattr(epoch_table, "AGAIN", 2)
    assert [line.split()[0] for line in print_table(capsys, rows=3)].count("epoch") == 2


def test_numbers_and_times():
    assert format_metric(0.12345) == "0.1235"
    assert format_metric(float("nan")) == "nan"
    assert estimate_left(20, []) is None
    assert estimate_left(17.5, [60.0, 10.0, 10.0]) == 175
    assert estimate_left(3, [16.0, 0.5]) == 1.5  # the first one has compiled
    assert estimate_left(2, [9.0, 1.0, 1.0, 1.0, 1.0, 1.0]) == 2


@pytest.mark.parametrize(
    ("columns", "shown"),
    [(40, r"02:55"), (60, r"loss 0.2500  lr 0.025  02:55"), (100, r"loss 0.2500  lr 0.025  .* samples/s  02:55")],
)
def test_the_live_line_has_all_that_the_terminal_has_room_for(capsys, terminal, columns, shown):
    terminal(columns)
    with ProgressBar("epoch 3/20", 1000, rows_left=18, seconds=[10.0], get_rate=lambda: 0.025) as bar:
        bar._bar.mininterval = bar._bar.delay = 0
        bar.update(500, 0.25)
    line = next(line for line in capsys.readouterr().err.split("\r") if "left" in line)
    assert re.search(rf"^epoch 3/20  50%\|.{{3,}}\| {shown} left", line)
    assert len(line.rstrip()) <= columns


def test_the_first_epoch_tells_the_time_left_from_its_own_speed(capsys, terminal):
    terminal(100)
    with ProgressBar("epoch 1/20", 1000, first=200, rows_left=20) as bar:
        assert bar._describe(200, 0.5).endswith("samples/s")
        bar._bar.start_t -= 10
        assert re.search(r"loss 0.5000  50.0 samples/s  06:2\d left", bar._describe(700, 0.5))
    assert "lr" not in capsys.readouterr().err
