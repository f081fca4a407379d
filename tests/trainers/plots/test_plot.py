"""Plots of runs: what is drawn in each of them, in numbers and words, and which fit which net."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bprop.datasets import CIFAR10, ArrayDataset, BreastCancer, Digits, FashionMNIST, Iris
from bprop.modules import (
    BinaryCrossEntropyWithLogits,
    CAddTable,
    Conv2d,
    Flatten,
    GaussianNLL,
    Graph,
    Linear,
    MeanSquaredError,
    MixtureDensity,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
)
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.runs.run_folder import train_config
from safetensors.numpy import load_file

pytest.importorskip("matplotlib")

from bprop.trainers.plots import PLOTS, UnsuitableRun, plot_runs
from bprop.trainers.plots.classes import compute_confusion, draw_confusion, draw_mistakes, find_mistakes
from bprop.trainers.plots.curves import choose_colour, draw_curves
from bprop.trainers.plots.density import draw_density
from bprop.trainers.plots.features import compute_features, draw_features, reshape_to_square, show_layer, show_output
from bprop.trainers.plots.histories import Curves, name_runs
from bprop.trainers.plots.numbers import collect_predictions, draw_regression
from bprop.trainers.plots.style import format_number, make_mosaic, shorten_middle
from bprop.trainers.plots.trained_run import TrainedRun
from bprop.trainers.plots.weights import draw_weights, find_first_layer, make_weight_images, select_strongest

from ...fork_server import run_python


def trained(folder, config, *overrides):
    train_config(load_config(config, ["trainer.epochs=2", *overrides]), run=folder, quiet=True)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def digits(runs):
    return trained(runs / "digits", "digits_mlp")


@pytest.fixture(scope="module")
def iris(runs):
    return trained(runs / "iris", "iris")


def written_run(folder, rows, lr=0.1, **changes):
    """A run folder without weights, whose metrics.csv has these lines."""
    folder.mkdir()
    overrides = [f"optimizer.SGD.lr={lr}", *(f"{key}={value}" for key, value in changes.items())]
    (folder / "config.yaml").write_text(load_config("iris", overrides).resolved())
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    return folder


HEAD = "epoch,train_loss,train_accuracy,valid_loss,valid_accuracy,seconds"


# -- learning curves ---------------------------------------------------------------------------------------------------


def test_curves_of_a_run(tmp_path):
    folder = written_run(tmp_path / "a", [HEAD, "1,2,0.5,1.5,0.6,0", "2,1,0.7,0.02,0.9,0", "3,0.5,0.8,0.9,0.8,0"])
    loss, accuracy = draw_curves([folder]).axes
    assert [axes.get_title("left") for axes in (loss, accuracy)] == ["loss", "accuracy"]
    assert [axes.get_title("right") for axes in (loss, accuracy)] == ["best 0.02, epoch 2", "best 0.9, epoch 2"]
    train, valid, best = loss.lines
    assert train.get_ydata().tolist() == [2, 1, 0.5]
    assert valid.get_ydata().tolist() == [1.5, 0.02, 0.9]
    assert best.get_xydata().tolist() == [[2, 0.02]]
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")


def test_a_rate_that_changes_is_drawn_below(tmp_path):
    falls = written_run(tmp_path / "a", ["epoch,train_loss,lr", "1,2,1", "2,1,0.001", "3,0.9,0.00001"])
    stays = written_run(tmp_path / "b", ["epoch,train_loss", "1,2"], lr=0.25)
    loss, rate = draw_curves([falls, stays]).axes
    assert rate.get_title("left") == "learning rate"
    assert [line.get_ydata().tolist() for line in rate.lines] == [[1, 0.001, 0.00001], [0.25]]
    assert len(loss.lines) == 4  # a curve and a best epoch each
    assert draw_curves([stays]).axes[0].get_title("right") == "best 2, epoch 1"


def test_several_runs_are_named_by_what_differs(tmp_path):
    row = [HEAD, "1,2,0.5,1.5,0.6,0"]
    a, b = written_run(tmp_path / "a", row), written_run(tmp_path / "b", row, lr=0.3)
    c = written_run(tmp_path / "c", row, lr=0.3, seed=1)
    assert name_runs([a]) == ["a"]
    assert name_runs([a, b]) == ["lr 0.1", "lr 0.3"]
    assert name_runs([a, b, c]) == ["seed 0, lr 0.1", "seed 0, lr 0.3", "seed 1, lr 0.3"]
    figure = draw_curves([a, b])
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert len(set(colours[:3])) == len(set(colours[3:])) == 1
    assert colours[0] != colours[3]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["lr 0.1", "lr 0.3", "training", "validation", "best epoch"]
    same = written_run(tmp_path / "same", row)
    assert name_runs([a, same]) == ["a", "same"]


def test_each_run_has_a_colour_of_its_own():
    for count in (2, 7, 8, 30):
        assert len({choose_colour(k, count) for k in range(count)}) == count


def test_a_table_that_is_being_written(tmp_path):
    columns = Curves.read(written_run(tmp_path / "a", [HEAD, "1,2,0.5,1.5,0.6,0", "2,1,0."]), "a").columns
    assert columns["train_accuracy"].tolist() == [0.5, 0]
    assert np.isnan(columns["valid_loss"]).tolist() == [False, True]
    empty = written_run(tmp_path / "empty", [HEAD])
    with pytest.raises(UnsuitableRun, match=r"metrics\.csv has no epoch yet$"):
        draw_curves([empty])
    (empty / "metrics.csv").unlink()
    with pytest.raises(UnsuitableRun, match=r"^there is no .*metrics\.csv$"):
        draw_curves([empty])


# -- weights and features ----------------------------------------------------------------------------------------------


def test_the_first_layers_weights(digits):
    weight = load_file(digits / "model.safetensors")["1.weight"]
    (axes,) = draw_weights(TrainedRun(digits)).axes
    (image,) = axes.images
    shown = image.get_array().filled(np.nan)
    assert shown.shape == (8 * 25 - 1, 9 * 25 - 1)  # 8 x 9 tiles of 24 pixels, as each is drawn as 3 x 3
    assert shown[25:49:3, 0:24:3] == pytest.approx(weight[9].reshape(8, 8))
    assert np.isnan(shown[24]).all()
    low, high = image.get_clim()
    assert low == -high
    assert "Linear(64 -> 72)" in axes.get_title()


def test_filters_and_large_layers():
    random = np.random.default_rng(0)
    conv = Conv2d(3, 2, 5)
    assert np.array_equal(make_weight_images(conv, (3, 9, 9)), conv.weight)
    images = random.normal(size=(200, 1, 2, 2)) * np.arange(1, 201).reshape(200, 1, 1, 1)
    shown = select_strongest(images)
    assert len(shown) == 144
    assert (np.diff(shown) > 0).all()
    assert np.abs(images[shown]).sum() > 0.9 * np.abs(images).sum()
    with pytest.raises(
        UnsuitableRun, match=r"^the weights of Linear\(5 -> 2\) have shape \(2, 5\), expected some for each of "
    ):
        make_weight_images(Linear(5, 2), (1, 3, 3))
    for net, message in (
        (
            Sequential(Tanh(), Linear(9, 2)),
            r"^the model begins with Tanh\(\), expected a layer whose weights see the ima",
        ),
        (Sequential(Flatten()), "^no layer of the model has weights$"),
    ):
        with pytest.raises(UnsuitableRun, match=message):
            find_first_layer(net)


def test_tables_have_no_weights_as_images(iris):
    with pytest.raises(
        UnsuitableRun, match=r"^an input has shape \(4,\), expected an image \(C, H, W\) of 1 or 3 channels$"
    ):
        draw_weights(TrainedRun(iris))


def test_a_sample_in_every_layer(digits):
    run = TrainedRun(digits)
    x, _ = run.data[3:4]
    before, hidden, after, output = draw_features(run, 3).axes
    titles = [axes.get_title() for axes in (before, hidden, after)]
    assert titles == ["input", "Linear(64 -> 72)", "Tanh()"]  # Flatten passes on what it gets
    assert np.asarray(before.images[0].get_array()) == pytest.approx(x[0, 0] / x.max())
    hiddens, y = compute_features(run.model, x)
    assert after.images[0].get_array().filled(np.nan) == pytest.approx(np.tanh(hiddens[0][1]).reshape(8, 9), abs=1e-6)
    assert [bar.get_width() for bar in output.patches] == pytest.approx(y[0])
    assert [text.get_text() for text in output.get_yticklabels()] == [str(k) for k in range(10)]
    assert output.get_title().endswith("right" if y.argmax() == run.data.y[3] else f"is {run.data.y[3]}")
    with pytest.raises(UnsuitableRun, match=r"^the sample is 359, expected 0 to 358 of the test part$"):
        draw_features(run, 359)


def test_a_sample_in_every_layer_of_a_graph():
    nodes = {"a": (Linear(4, 3), "x"), "b": (Tanh(), "a"), "sum": (CAddTable(), ["a", "b"])}
    net, x = Sequential(Flatten(), Graph(nodes, "sum"), Linear(3, 2)), np.ones((1, 1, 2, 2), np.float32)
    stages, y = compute_features(net, x)
    assert [label for label, _ in stages] == ["Linear(4 -> 3)", "Tanh()"]
    assert stages[1][1] == pytest.approx(np.tanh(stages[0][1]))
    assert y == pytest.approx(net.fprop(x))
    assert find_first_layer(net) is net[1].a


def test_shapes_of_layers():
    from matplotlib.figure import Figure

    assert reshape_to_square(np.arange(72)).shape == (8, 9)
    assert reshape_to_square(np.arange(7))[-1, -2:] == pytest.approx([np.nan] * 2, nan_ok=True)
    axes = Figure().subplots()
    show_layer(axes, np.zeros((70, 30, 30)), "Conv2d")
    assert axes.get_title() == "Conv2d, 64 of 70 maps"
    assert axes.images[0].get_array().shape == (8 * 31 - 1, 8 * 31 - 1)
    coloured = make_mosaic(np.ones((3, 28, 30, 3)))
    assert coloured.shape == (2 * 29 - 1, 2 * 31 - 1, 3)
    assert np.isnan(coloured[-1, -1]).all()


def test_outputs_beside_targets():
    from matplotlib.figure import Figure

    def shown(outputs, target, loss, **options):
        axes = Figure().subplots()
        run = made_run(outputs, np.zeros((1, 3)), np.array(target, np.float32), loss, **options)
        show_output(axes, run, run.outputs, run.data.y)
        return axes

    axes = shown([[1.0, -2.0]], [[0.5, 3.0]], MeanSquaredError())
    assert [bar.get_width() for bar in axes.patches] == [1, -2]
    assert axes.lines[0].get_xdata().tolist() == [0.5, 3]
    axes = shown([[0.0]], [[1.0]], BinaryCrossEntropyWithLogits())
    assert [bar.get_width() for bar in axes.patches] == [0.5]
    axes = shown([[1.0, 0.0]], [[4.0]], GaussianNLL(), target_mean=10.0, target_std=2.0)
    places, density = axes.lines[0].get_data()
    assert places[density.argmax()] == pytest.approx(12, abs=0.1)
    assert np.trapezoid(density, places) == pytest.approx(1, abs=0.01)
    assert axes.lines[1].get_xdata()[0] == 18


def test_names_and_figures():
    assert [shorten_middle(f"ocean_proximity={word}") for word in ("INLAND", "BAY")] == [
        *("ocean_…mity=INLAND", "ocean_…oximity=BAY")
    ]
    assert [format_number(value) for value in (0.123456, 59885.7, -1e5, 1e12)] == [
        "0.1235",
        "59,886",
        "-100,000",
        "1e+12",
    ]


# -- classes -----------------------------------------------------------------------------------------------------------


def made_run(outputs, x, y, loss, class_names=None, **options):
    """A run without a folder, of a net that gives these outputs."""
    run = TrainedRun(Path("run"))
    dataset = SimpleNamespace(class_names=class_names, input_shape=np.shape(x)[1:])
    data = ArrayDataset(x, y, **options)
    experiment = SimpleNamespace(dataset=dataset, loss=loss, model=None, rule=None)
    vars(run).update(outputs=np.asarray(outputs, np.float32), data=data, part="test", experiment=experiment)
    return run


def test_the_confusion_matrix(digits):
    run = TrainedRun(digits)
    (axes,) = draw_confusion(run).axes
    guesses, labels = run.outputs.argmax(axis=1), run.data.y
    written = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}
    for i, j in np.ndindex(10, 10):
        count = int(((labels == i) & (guesses == j)).sum())
        assert int(written.get((i, j), "0").split("\n")[0]) == count
    own = (labels == 3).sum()
    assert float(written[3, 3].split("\n")[1][:-1]) == pytest.approx(
        100 * ((labels == 3) & (guesses == 3)).sum() / own, abs=1
    )
    assert axes.get_title().startswith(f"{(guesses == labels).mean():.2%} are right")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "label")


def test_class_names_and_weights():
    scores, labels = [[1, 0], [0, 1], [0, 1]], [0, 0, 1]
    run = made_run(
        scores, np.zeros((3, 1)), labels, SoftmaxCrossEntropy(), ("malignant", "benign"), sample_weight=[1, 3, 4]
    )
    assert compute_confusion(run).tolist() == [[1, 3], [0, 4]]
    (axes,) = draw_confusion(run).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["malignant", "benign"]
    assert sorted(text.get_text() for text in axes.texts) == ["1\n25%", "3\n75%", "4\n100%"]
    yes = made_run([[2.0], [-1.0]], np.zeros((2, 1)), np.ones((2, 1), np.float32), BinaryCrossEntropyWithLogits())
    assert compute_confusion(yes).tolist() == [[0, 0], [1, 1]]
    assert [BreastCancer().class_names, Digits().class_names] == [("malignant", "benign"), None]
    assert all(len(set(data.class_names)) == data.classes for data in (CIFAR10, FashionMNIST, Iris, BreastCancer))


def test_mistakes_come_worst_first(random):
    scores = [[0, 5, 0], [9, 0, 0], [1, 0, 0], [0, 0, 4]]  # said 1, 0, 0, 2
    x = random.random((4, 3, 6, 6))
    run = made_run(scores, x, [1, 2, 1, 0], SoftmaxCrossEntropy(), ("cat", "dog", "owl"))
    assert find_mistakes(run)[0].tolist() == [1, 3, 2]
    figure = draw_mistakes(run)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["predicted cat (100%)\nis owl", "predicted owl (96%)\nis cat", "predicted cat (58%)\nis dog"]
    assert figure.axes[0].images[0].get_array().shape == (6, 6, 3)
    assert figure.get_suptitle() == "run, 4 test samples: 3 mistakes"
    assert find_mistakes(made_run(scores, x, [1, 2, 1, 0], SoftmaxCrossEntropy(ignore_index=2)))[0].tolist() == [3, 2]
    with pytest.raises(UnsuitableRun, match=r"^there is no mistake among the 4 samples of the test part$"):
        draw_mistakes(made_run(scores, x, [1, 0, 0, 2], SoftmaxCrossEntropy()))


def test_a_data_set_of_one_part(iris):
    whole = ("dataset.Iris.test_size=0", "dataset.Iris.valid_size=0")
    run = TrainedRun(iris, overrides=whole)
    assert (run.part, compute_confusion(run).sum()) == ("train", 150)
    assert run.title == "iris, 150 train samples"


def test_a_regression_has_no_classes():
    run = made_run(np.zeros((2, 3)), np.zeros((2, 1, 2, 2)), np.zeros((2, 3), np.float32), MeanSquaredError())
    with pytest.raises(
        UnsuitableRun, match=r"^the model's outputs are no scores of classes, expected a classification$"
    ):
        draw_confusion(run)
    with pytest.raises(UnsuitableRun, match=r"^the model's outputs are no scores of classes, a row a sample$"):
        draw_mistakes(run)


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_predictions_and_residuals_are_in_the_units_of_the_source():
    y, target = np.array([[0.0], [1], [2]]), np.array([[0.0], [1], [4]], np.float32)
    run = made_run(y, np.zeros((3, 2)), target, MeanSquaredError(), target_mean=10.0, target_std=2.0)
    near, left = draw_regression(run).axes
    assert near.collections[0].get_offsets().tolist() == [[10, 10], [12, 12], [18, 14]]
    assert left.collections[0].get_offsets().tolist() == [[10, 0], [12, 0], [14, 4]]
    assert near.get_title().startswith("predictions, R² 0.538")
    assert left.get_title() == "residuals: rmse 2.309"
    assert (near.get_xlabel(), near.get_ylabel()) == ("target", "predicted target")


def test_regressions_that_are_drawn():
    x, zeros = np.zeros((2, 3)), np.zeros((2, 2), np.float32)
    assert len(draw_regression(made_run(zeros, x, zeros, MeanSquaredError())).axes) == 4
    means = made_run([[1, 9], [2, 9]], x, zeros[:, :1], GaussianNLL())
    assert collect_predictions(means)[0].tolist() == [[1], [2]]
    wide = np.zeros((2, 5), np.float32)
    with pytest.raises(UnsuitableRun, match=r"^a target has 5 numbers, expected at most 4$"):
        draw_regression(made_run(wide, x, wide, MeanSquaredError()))
    with pytest.raises(
        UnsuitableRun, match=r"^the model's outputs are no numbers like the targets, expected a regression$"
    ):
        draw_regression(made_run(zeros, x, [0, 1], SoftmaxCrossEntropy()))


@pytest.mark.parametrize("loss", [GaussianNLL(), MixtureDensity(1, 1)])
def test_a_density(loss, random):
    """A net that gives the mean x, or with a mixture 3 x, and the precision 1 or softplus(0)."""
    x = random.random((50, 1)).astype(np.float32)
    net = Linear(1, 2 if isinstance(loss, GaussianNLL) else 3)
    net.weight[:], net.bias[:] = 0, 0
    net.weight[-2] = 2
    net.bias[-1] = np.log(np.e - 1)
    run = made_run(net.fprop(x), x, 2 * x, loss, target_std=10.0, target_mean=1.0)
    run.experiment.model, run.experiment.dataset.feature_mean, run.experiment.dataset.feature_std = net, [5.0], [2.0]
    (axes,) = draw_density(run).axes
    mesh, points = axes.collections
    grid, mean = axes.lines[0].get_xdata(), axes.lines[0].get_ydata()
    assert np.asarray(points.get_offsets()) == pytest.approx(np.hstack([x * 2 + 5, 2 * x * 10 + 1]), rel=1e-5)
    assert mean == pytest.approx(2 * (grid - 5) / 2 * 10 + 1, rel=1e-4, abs=1e-4)
    density = mesh.get_array().reshape(300, 300)
    assert density.max() == pytest.approx(np.exp(-0.5 * np.log(2 * np.pi)) / 10, rel=1e-3)
    assert density.argmax(axis=0)[[0, -1]].tolist() == sorted(density.argmax(axis=0)[[0, -1]])


def test_what_has_no_density(iris):
    x, y = np.zeros((2, 1)), np.zeros((2, 1), np.float32)
    with pytest.raises(UnsuitableRun, match=r"^an input has shape \(4,\), expected one number, \(1,\)$"):
        draw_density(TrainedRun(iris))
    with pytest.raises(
        UnsuitableRun, match=r"^the loss reads no density of one number into the outputs, expected such as Mix"
    ):
        draw_density(made_run(y, x, y, MeanSquaredError()))


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_draws_several_runs(tmp_path, capsys, monkeypatch):
    row = [HEAD, "1,2,0.5,1.5,0.6,0"]
    words = [str(written_run(tmp_path / name, row, lr=lr)) for name, lr in (("a", 0.1), ("b", 0.2))]
    curves = tmp_path / "out" / "curves.png"
    assert main(["plot", *words, "--out", str(tmp_path / "out"), "curves"]) == 0
    assert capsys.readouterr().out == f"{curves}\n"
    assert main(["plot", *words, "--out", str(tmp_path / "out"), "curves", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"drawn": [str(curves)], "left_out": {}}
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.chdir(tmp_path)
    assert plot_runs([tmp_path / "a", tmp_path / "b"], dpi=20)[0] == [(tmp_path / "curves.png").relative_to(tmp_path)]


def test_all_that_fit(digits, iris, tmp_path, capsys):
    drawn, left = plot_runs([digits], dpi=20)
    assert [path.stem for path in drawn] == [
        *("curves", "weights", "matrices", "features-0", "space", "confusion", "mistakes")
    ]
    assert all(path.parent == digits and path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    assert list(left) == ["regression", "density"]
    assert main(["plot", str(iris), "--out", str(tmp_path), "confusion", "curves", "--part", "valid"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(tmp_path / "confusion.png"), str(tmp_path / "curves.png")]
    assert err == ""
    assert main(["plot", str(digits), "--sample", "9", "--out", str(tmp_path), "features"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'features-9.png'}\n"
    assert main(["plot", str(iris), "weights"]) == 2
    expected = "bprop: error: weights: an input has shape (4,), expected an image (C, H, W) of 1 or 3 channels\n"
    assert capsys.readouterr().err == expected
    assert main(["plot", str(iris), str(digits), "confusion"]) == 2
    expected = "bprop: error: plot: confusion of 2 runs, expected one run; curves alone take several\n"
    assert capsys.readouterr().err == expected
    assert main(["plot", str(iris), "dataset.Iris.valid_size=0", "confusion", "--part", "valid"]) == 2
    assert capsys.readouterr().err == "bprop: error: plot: Iris has no valid part\n"


def test_a_training_that_is_going_on(tmp_path, capsys):
    """It has no weights yet: its curves are drawn, and what else there is gets a line."""
    folder = written_run(tmp_path / "a", [HEAD, "1,2,0.5,1.5,0.6,0"])
    assert main(["plot", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{folder / 'curves.png'}\n"
    reason = f"there is no {folder / 'model.safetensors'}; 'bprop resume {folder}' ends a training that was stopped"
    assert err == f"left out weights, matrices, features, space, confusion, mistakes, regression, density: {reason}\n"
    (folder / "metrics.csv").unlink()
    assert main(["plot", str(folder)]) == 2
    assert (
        capsys.readouterr().err
        == f"bprop: error: plot: there is nothing to draw: there is no {folder / 'metrics.csv'}\n"
    )


def test_what_the_command_refuses(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    for words, message in (
        (["none"], f"there is neither a folder nor a plot none; plots: {', '.join(PLOTS)}"),
        ([str(tmp_path / "x")], f"{tmp_path / 'x'} is no run folder: there is no {tmp_path / 'x' / 'config.yaml'}"),
    ):
        assert main(["plot", *words]) == 2
        assert capsys.readouterr().err == f"bprop: error: {message}\n"
    with pytest.raises(SystemExit, match="2"):
        main(["plot", "curves"])
    assert "there is no run, expected a run folder before the names of plots" in capsys.readouterr().err


def test_without_matplotlib(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["plot", str(written_run(tmp_path / "a", [HEAD, "1,2,0.5,1.5,0.6,0"]))]) == 2
    assert capsys.readouterr().err == "bprop: error: plots need matplotlib: pip install 'bprop[plot]'\n"


# -- names and places --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "module://no_such_package.x", ""])
def test_a_backend_that_is_missing_is_not_asked_for(backend, tmp_path):
    """As the variable that Jupyter leaves to the programs of its terminal."""
    code = "\n".join(
        [
            "import importlib.util, os, sys",
            "find = importlib.util.find_spec",
            "importlib.util.find_spec = lambda name, *more: None if 'inline' in name else find(name, *more)",
            "from bprop.trainers.plots.style import import_matplotlib, make_figure",
            "import_matplotlib()",
            "make_figure(1, 1, 'x')",
            "print(os.environ['MPLBACKEND'])",
        ]
    )
    (tmp_path / "draw.py").write_text(code)
    done = run_python(["draw.py"], tmp_path, {**os.environ, "MPLBACKEND": backend})
    assert (done.stdout.strip(), done.returncode) == (backend, 0), done.stderr


def test_dollars_are_no_mathematics(tmp_path):
    """Neither in names of classes, columns and folders, nor where what they say is no formula at all."""
    lines = ["a$b$,cost $^ {$", *(f"{k % 7},{'$5$' if k % 2 else '$_ $'}" for k in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "c.yaml").write_text(
        f"dataset: {{CsvDataset: {{path: '{tmp_path / 't.csv'}', target: 'cost $^ {{$'}}}}\n"
        "model: [Linear: {in_features: 1, out_features: 2}]\nloss: SoftmaxCrossEntropy\n"
        "optimizer: {SGD: {lr: 0.1}}\ntrainer: {batch_size: 8}\n"
    )
    folder = trained(tmp_path / "run$x$\x1b", tmp_path / "c.yaml")
    run = TrainedRun(folder)
    assert run.class_names(2) == [r"\$5\$", r"\$_ \$"]
    assert run.title.startswith(r"run\$x\$\x1b, ")
    drawn, _ = plot_runs([folder])
    assert {path.stem for path in drawn} >= {"curves", "features-0", "confusion"}


def test_nothing_is_written_through_a_link(iris, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "kept").write_text("as it was")
    (tmp_path / "out" / "curves.png").symlink_to(tmp_path / "kept")
    (tmp_path / "out" / "curves.png.tmp").symlink_to(tmp_path / "kept")
    plot_runs([iris], ["curves"], tmp_path / "out")
    assert (tmp_path / "kept").read_text() == "as it was"
    assert not (tmp_path / "out" / "curves.png").is_symlink()
