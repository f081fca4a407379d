"""Plots of sweeps: which key is the axis, which ones are lines, and what is refused."""

import csv
import io

import numpy as np
import pytest
from bprop.trainers.cli import main
from bprop.trainers.configs.yaml_writer import dump_yaml
from bprop.trainers.runs.sweep_results import SweepResults

pytest.importorskip("matplotlib")

from bprop.trainers.plots.sweep import draw_sweep
from bprop.trainers.plots.sweep_axes import choose_panels, follows, prefers_log

DEPTH, WIDTH, SEED = "model.0.DeepNet.depth", "model.0.DeepNet.width", "seed"


def sweep_folder(folder, runs, figures, failed=()):
    """The folder of a sweep: `runs` are the values, `figures` a function of a run's values that makes its results."""
    folder.mkdir()
    (folder / "sweep.yaml").write_text("seed: 0\n" + dump_yaml({"sweep": runs}))
    rows = [
        {"run": f"{k:03}", "status": "failed" if k in failed else "done", **run, **figures(run)}
        for k, run in enumerate(runs)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    (folder / "results.csv").write_text(text.getvalue())
    return folder


def grid(**columns):
    keys = {"depth": DEPTH, "width": WIDTH, "seed": SEED, "lr": "optimizer.SGD.lr"}
    runs = [{}]
    for name, values in columns.items():
        runs = [{**run, keys[name]: value} for run in runs for value in values]
    return runs


def measure(run):
    depth, width = run.get(DEPTH, 1), run.get(WIDTH, 1)
    return {
        "train_loss": 1 / depth + run.get(SEED, 0),
        "test_accuracy": 0.5 + 0.1 * depth + 0.001 * width + 0.01 * run.get(SEED, 0),
        "parameters": 10 * depth * width,
        "seconds": 1.5,
    }


@pytest.fixture
def deep(tmp_path):
    runs = grid(depth=[1, 2, 3, 4], width=[8, 32], seed=[0, 1])
    return sweep_folder(tmp_path / "deep", runs, measure)


def test_a_metric_by_a_key_with_a_line_for_each_value_of_another(deep):
    name, figure = draw_sweep(deep)
    assert name == "test_accuracy-by-depth"
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("depth", "test accuracy", "linear")
    lines = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert [line.get_xdata().tolist() for line in lines] == [[1, 2, 3, 4]] * 2
    for line, width in zip(lines, (8, 32), strict=True):  # the mean of both seeds
        assert line.get_ydata() == pytest.approx(0.505 + 0.1 * np.arange(1, 5) + 0.001 * width)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["width 8", "width 32"]
    dots = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert [len(line.get_xdata()) for line in dots] == [8, 8]
    assert axes.get_title("right") == "best 0.942 at 4"
    assert axes.get_xticks().tolist() == [1, 2, 3, 4]
    assert figure.get_suptitle() == "deep: test accuracy by depth"


def test_a_metric_by_the_number_of_parameters(deep):
    _, figure = draw_sweep(deep, "test_accuracy", "parameters", ["depth"])
    (axes,) = figure.axes
    lines = [line.get_xdata().tolist() for line in axes.lines if line.get_linestyle() == "-"]
    assert lines == [[80 * depth, 320 * depth] for depth in (1, 2, 3, 4)]
    assert axes.get_xscale() == "log"
    _, figure = draw_sweep(deep, "test_accuracy", "parameters")  # depth has the most values, and runs along the lines
    lines = [line.get_xdata().tolist() for line in figure.axes[0].lines if line.get_linestyle() == "-"]
    assert lines == [[10 * width * depth for depth in (1, 2, 3, 4)] for width in (8, 32)]


def test_losses_take_logarithms_where_they_are_steep(tmp_path):
    runs = grid(lr=[1e-3, 1e-2, 1e-1, 1.0])
    folder = sweep_folder(tmp_path / "x", runs, lambda run: {"train_loss": run["optimizer.SGD.lr"] ** 2})
    name, figure = draw_sweep(folder)
    (axes,) = figure.axes
    assert name == "train_loss-by-lr"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_title("right") == "best 1e-06 at 0.001"
    assert not figure.legends


def test_categories_are_points_side_by_side(tmp_path):
    runs = [{"model.1": kind, "optimizer": each} for kind in ("Tanh", "ReLU") for each in ("SGD", {"Adam": {"lr": 1}})]
    folder = sweep_folder(tmp_path / "x", runs, lambda run: {"valid_loss": len(str(run))})
    _, figure = draw_sweep(folder, x="optimizer")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["SGD", "Adam(lr=1)"]
    assert all(line.get_linestyle() == "None" for line in axes.lines)
    assert [line.get_xdata().tolist() for line in axes.lines] == [[-0.125, 0.875], [0.125, 1.125]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["model.1 Tanh", "model.1 ReLU"]
    assert axes.get_title("right") == "best 39 at SGD"


def test_draws_at_random_are_a_panel_for_each_key(tmp_path):
    random = np.random.default_rng(0)
    runs = [
        {"optimizer.SGD.lr": float(a), "optimizer.SGD.momentum": float(b)}
        for a, b in zip(10 ** random.uniform(-4, 0, 12), random.uniform(0, 1, 12), strict=True)
    ]
    folder = sweep_folder(tmp_path / "x", runs, lambda run: {"valid_loss": run["optimizer.SGD.lr"]})
    name, figure = draw_sweep(folder)
    assert name == "valid_loss-by-lr-momentum"
    assert [axes.get_xlabel() for axes in figure.axes] == ["lr", "momentum"]
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear"]
    assert all(len(axes.lines) == 1 and axes.lines[0].get_linestyle() == "None" for axes in figure.axes)
    _, figure = draw_sweep(folder, x="momentum")
    assert [axes.get_xlabel() for axes in figure.axes] == ["momentum"]


def test_keys_that_go_along_are_no_lines(tmp_path):
    runs = [{"a.width": n, "b.height": 2 * n, "seed": n} for n in (8, 16, 32)]
    results = SweepResults.read(sweep_folder(tmp_path / "x", runs, lambda run: {"train_loss": 1.0}))
    (panel,) = choose_panels(results, "train_loss", None, [])
    assert (panel.x, len(panel.lines), panel.scattered) == ("a.width", 1, False)
    runs[0]["b.height"] = 100
    other = SweepResults.read(sweep_folder(tmp_path / "y", runs, lambda run: {"train_loss": 1.0}))
    assert [follows(each, "b.height", "a.width") for each in (results, other)] == [True, False]


def test_a_sweep_of_seeds_alone(tmp_path):
    folder = sweep_folder(tmp_path / "x", grid(seed=[0, 1, 2]), measure, failed=[1])
    name, figure = draw_sweep(folder)
    assert name == "test_accuracy-by-seed"
    assert figure.axes[0].lines[0].get_xdata().tolist() == [0, 2]
    assert figure.get_suptitle() == "x: test accuracy by seed, 2 of 3 runs"


def test_which_values_are_spread_on_a_logarithmic_axis():
    assert all(map(prefers_log, map(np.array, ([8, 16, 32, 64], [1e-4, 1e-3, 1e-2], [0.01, 0.1]))))
    assert not any(map(prefers_log, map(np.array, ([1, 2, 3, 4, 6], [0, 1, 10, 100], [0.1, 0.5, 0.9], [1, 2], [5]))))
    assert not prefers_log(np.arange(1, 12))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metric", "test_acuracy"], "sweep: there is no metric 'test_acuracy'; did you mean 'test_accuracy'?"),
        (
            ["--metric", "zzz"],
            "sweep: there is no metric 'zzz'; metrics: train_loss, test_accuracy, parameters, seconds",
        ),
        (["--x", "widht"], "sweep: there is no key or figure 'widht'; did you mean 'width'?"),
        (
            ["--x", "q"],
            "sweep: there is no key or figure 'q'; known: depth, width, seed, "
            "train_loss, test_accuracy, parameters, seconds",
        ),
        (["--lines", "lr"], "sweep: no key 'lr' differs between the runs; keys that do: depth, width, seed"),
        (["--x", "depth", "--lines", "depth"], "sweep: depth is both the axis and a line, expected another"),
        (["confusion"], "plot: confusion of a sweep, expected its folder, or that and curves"),
        (["dataset.Iris.seed=1"], "plot: dataset.Iris.seed=1 of a sweep, expected its folder, or that and curves"),
        (["."], "plot: {folder} is the folder of a sweep, expected it alone"),
    ],
)
def test_what_is_refused(deep, options, message, capsys):
    assert main(["plot", str(deep), *options]) == 2
    assert capsys.readouterr().err == f"bprop: error: {message.format(folder=deep)}\n"


def test_options_of_runs_and_of_sweeps(deep, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    for words, message in (
        ([str(deep), "--sample", "3"], f"{deep} is the folder of a sweep, which takes no --sample"),
        ([str(deep), "curves", "--x", "depth"], None),
        ([str(tmp_path / "run"), "--metric", "a"], f"the plots of {tmp_path / 'run'} take no --metric"),
        (["--augment", "digits_mlp", "--lines", "a"], "--augment takes no --lines"),
    ):
        if message is None:
            assert main(["plot", *words]) == 2
            assert "no run of the sweep has begun yet, expected some to draw" in capsys.readouterr().err
            continue
        with pytest.raises(SystemExit, match="2"):
            main(["plot", *words])
        assert message in capsys.readouterr().err


def test_the_command(deep, tmp_path, capsys):
    assert main(["plot", str(deep)]) == 0
    assert capsys.readouterr().out == f"{deep / 'test_accuracy-by-depth.png'}\n"
    assert (deep / "test_accuracy-by-depth.png").read_bytes().startswith(b"\x89PNG")
    words = ["--x", "parameters", "--lines", "depth", "--lines", "width", "--out", str(tmp_path)]
    assert main(["plot", str(deep), *words]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'test_accuracy-by-parameters.png'}\n"


def test_the_curves_of_its_runs(tmp_path, capsys):
    from .test_plot import HEAD, written_run

    folder = sweep_folder(tmp_path / "x", grid(lr=[0.1, 0.2]), measure)
    for k, lr in enumerate((0.1, 0.2)):
        written_run(folder / f"{k:03}", [HEAD, "1,2,0.5,1.5,0.6,0"], lr=lr)
    assert main(["plot", str(folder), "curves"]) == 0
    assert capsys.readouterr().out == f"{folder / 'curves.png'}\n"


def test_a_sweep_without_results(tmp_path, capsys):
    folder = sweep_folder(tmp_path / "x", grid(seed=[0, 1]), measure, failed=[0, 1])
    for _ in range(2):  # with a table of failures, and with none
        assert main(["plot", str(folder)]) == 2
        expected = f"bprop: error: {folder}: no run of the sweep is done yet, expected some to draw\n"
        assert capsys.readouterr().err == expected
        (folder / "results.csv").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match=r"is no folder of a sweep: there is no .*sweep\.yaml$"):
        SweepResults.read(tmp_path)
