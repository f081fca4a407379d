"""Plots of spaces, of weight matrices, and of several samples in all layers."""

from pathlib import Path

import numpy as np
import pytest
from bprop.modules import (
    BinaryCrossEntropyWithLogits,
    Conv2d,
    Flatten,
    Linear,
    MeanSquaredError,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
)
from bprop.trainers.cli import main

pytest.importorskip("matplotlib")

from bprop.trainers.plots.matrices import draw_matrices, find_matrices
from bprop.trainers.plots.sample_rows import draw_sample_rows
from bprop.trainers.plots.space import HiddenLayer, Plane, compute_shares, draw_space
from bprop.trainers.plots.trained_run import TrainedRun, UnsuitableRun

from .test_plot import made_run, trained

MNIST_FILES = Path(__file__).parents[4] / "shared" / "data" / "mnist"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "digits", "digits_mlp")


def plane_run(hidden=2, outputs=1, **options):
    """A run of a model of two inputs and tanh units."""
    random = np.random.default_rng(0)
    net = Sequential(Linear(2, hidden), Tanh(), Linear(hidden, outputs)).eval()
    for parameter in (net[0].weight, net[0].bias, net[2].weight, net[2].bias):
        parameter[:] = random.normal(size=parameter.shape)
    x = random.normal(size=(40, 2)).astype(np.float32)
    net[2].bias[:] -= np.median(net.fprop(x), axis=0)  # so that both classes have samples
    y = net.fprop(x)
    loss, target = BinaryCrossEntropyWithLogits(), (y > 0).astype(np.float32)
    if outputs > 1:
        loss, target = SoftmaxCrossEntropy(), y.argmax(axis=1)
    run = made_run(y, x, target, loss, **options)
    run.experiment.model = net
    return run


# -- spaces ------------------------------------------------------------------------------------------------------------


def test_a_plane_and_what_two_units_make_of_it():
    run = plane_run()
    net, x = run.model, run.data.x
    left, right = draw_space(run).axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("x1", "x2")
    assert (right.get_xlabel(), right.get_ylabel()) == ("unit 1", "unit 2")
    assert right.get_title() == "before Linear(2 -> 1): 2 units"
    hidden = np.tanh(x @ net[0].weight.T + net[0].bias)
    for axes, values in ((left, x), (right, hidden)):
        dots = np.concatenate([np.asarray(each.get_offsets()) for each in axes.collections[-2:]])
        order = np.concatenate([np.flatnonzero(run.data.y[:, 0] == label) for label in (0, 1)])
        assert dots == pytest.approx(values[order], abs=1e-6)
    for line, warped in zip(left.lines, right.lines, strict=True):  # the grid
        expected = np.tanh(line.get_xydata().astype(np.float32) @ net[0].weight.T + net[0].bias)
        assert warped.get_xydata() == pytest.approx(expected, abs=1e-5)


def boundary(axes):
    """The points of the black lines."""
    paths = [path for each in axes.collections for path in each.get_paths() if is_black(each)]
    return np.concatenate([path.vertices for path in paths])


def is_black(collection):
    edge = collection.get_edgecolor()
    return len(edge) > 0 and tuple(edge[0][:3]) == (0, 0, 0)


def test_the_boundary_in_both_spaces():
    """Its points have an output of 0; in the hidden space it is a straight line."""
    run = plane_run()
    left, right = draw_space(run).axes
    (weight,), (bias,) = run.model[2].weight, run.model[2].bias
    inputs, hidden = boundary(left), boundary(right)
    assert len(inputs) > 10
    assert np.abs(run.model.fprop(inputs.astype(np.float32))).max() < 0.02
    assert np.abs(hidden @ weight + bias).max() < 1e-4


def test_a_hidden_space_of_more_units_is_projected():
    run = plane_run(hidden=5, outputs=3, class_names=("a", "b", "c"))
    figure = draw_space(run)
    _, right = figure.axes
    assert right.get_xlabel().startswith("component 1, ")
    assert len([line for line in right.lines if line.get_color() == "#000000"]) >= 1  # the boundary, carried over
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]


def test_images_are_projected_to_two_components(digits):
    run = TrainedRun(digits)
    left, right = draw_space(run).axes
    x = run.data[:][0].reshape(len(run.data), -1).astype(np.float64)
    _, sizes, directions = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    share = sizes**2 / (sizes**2).sum()
    assert left.get_xlabel() == f"component 1, {share[0]:.0%} of the variance"
    assert left.get_title() == "input space, 64 dimensions"
    assert right.get_title() == "before Linear(72 -> 10): 72 units"
    dots = np.concatenate([np.asarray(each.get_offsets()) for each in left.collections])
    order = np.concatenate([np.flatnonzero(run.data.y == label) for label in range(10)])
    assert np.abs(dots) == pytest.approx(np.abs((x - x.mean(axis=0)) @ directions[:2].T)[order], abs=1e-5)
    assert [text.get_text() for text in left.texts] == [str(k) for k in range(10)]


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.skipif(not MNIST_FILES.is_dir(), reason="there are no files of MNIST")
def test_mnist_in_two_dimensions(tmp_path):
    """The hidden layer's plane separates the classes more than that of the inputs: Goodfellow's figure 6.3."""
    folder = trained(tmp_path / "mnist", "mnist_mlp", f"dataset.MNIST.root={MNIST_FILES}")
    left, right = draw_space(TrainedRun(folder)).axes
    assert left.get_title() == "input space, 784 dimensions"

    def separation(axes):
        classes = [np.asarray(each.get_offsets()) for each in axes.collections]
        middles = np.array([points.mean(axis=0) for points in classes])
        assert (len(classes), sum(map(len, classes))) == (10, 2000)
        return middles.var(axis=0).sum() / np.mean([points.var(axis=0).sum() for points in classes])

    assert separation(right) > 1.1 * separation(left)


def test_a_plane_of_equal_values():
    plane = Plane.fit(np.ones((5, 3)))
    assert plane.project(np.ones((2, 3))).tolist() == [[0, 0], [0, 0]]


def test_scores_without_a_distribution():
    run = made_run(np.zeros((1, 3)), np.zeros((1, 2)), [0], MeanSquaredError())
    run.experiment.model = Linear(2, 3)
    assert compute_shares(run, np.array([[1.0, 2.0, 3.0]])).tolist() == [[1, 2, 3]]


def test_what_has_no_space():
    run = plane_run()
    run.experiment.model = Linear(2, 1)
    with pytest.raises(UnsuitableRun, match=r"^the model has 1 layer with weights, expected a hidden one before it$"):
        HiddenLayer(run)
    narrow = plane_run(hidden=1)
    with pytest.raises(UnsuitableRun, match=r"^a space has 1 dimension, expected at least 2$"):
        draw_space(narrow)
    numbers = made_run(np.zeros((4, 1)), np.zeros((4, 2)), np.zeros((4, 1), np.float32), MeanSquaredError())
    with pytest.raises(UnsuitableRun, match=r"^the model's outputs are no scores of classes, expected a classificatio"):
        draw_space(numbers)


# -- matrices ----------------------------------------------------------------------------------------------------------


def test_the_matrix_of_the_output_layer(digits):
    run = TrainedRun(digits)
    (axes,) = draw_matrices(run).axes
    assert np.asarray(axes.images[0].get_array()) == pytest.approx(run.model[3].weight)
    assert axes.get_title() == "weights of model[3] Linear(72 -> 10), 10 x 72"
    assert [text.get_text() for text in axes.get_yticklabels()] == [str(k) for k in range(10)]
    low, high = axes.images[0].get_clim()
    assert low == -high == -np.abs(run.model[3].weight).max()


def test_which_matrices_are_drawn():
    run = plane_run(hidden=5)
    assert [layer.label() for layer in find_matrices(run)] == ["Linear(2 -> 5)", "Linear(5 -> 1)"]
    run.experiment.model = Sequential(*(Linear(2, 2) for _ in range(6)))
    assert find_matrices(run) == list(run.model)[2:]
    images = made_run(np.zeros((1, 4)), np.zeros((1, 1, 6, 6)), [0], SoftmaxCrossEntropy())
    images.experiment.model = Sequential(Conv2d(1, 2, 3), Flatten(), Linear(32, 4))
    assert find_matrices(images) == [images.model[2]]
    images.experiment.model = Sequential(Flatten(), Linear(36, 4))
    with pytest.raises(UnsuitableRun, match=r"^no layer after the first has a weight matrix$"):
        find_matrices(images)


# -- several samples ---------------------------------------------------------------------------------------------------


def test_samples_in_rows(digits):
    run = TrainedRun(digits)
    axes = np.array(draw_sample_rows(run, [3, 0]).axes).reshape(2, 4)
    x, _ = run.data[[3, 0]]
    assert [each.get_title() for each in axes[0, :3]] == ["input", "Linear(64 -> 72)", "Tanh()"]
    assert [each.get_title() for each in axes[1, :3]] == [""] * 3
    assert [each.get_ylabel() for each in axes[:, 0]] == ["sample 3", "sample 0"]
    hidden = np.tanh(x.reshape(2, 64) @ run.model[1].weight.T + run.model[1].bias)
    for k in (0, 1):
        assert axes[k, 2].images[0].get_array().filled(np.nan) == pytest.approx(hidden[k].reshape(8, 9), abs=1e-5)
        assert axes[k, 2].images[0].get_clim()[1] == pytest.approx(np.abs(hidden).max())  # one scale
    scores = run.model.fprop(x)
    assert [bar.get_width() for bar in axes[1, 3].patches] == pytest.approx(scores[1], abs=1e-5)


def test_samples_that_are_refused(digits, tmp_path, capsys):
    run = TrainedRun(digits)
    with pytest.raises(UnsuitableRun, match=r"^the sample is 400, expected 0 to 358 of the test part$"):
        draw_sample_rows(run, [0, 400])
    with pytest.raises(UnsuitableRun, match=r"^there are 21 samples, expected at most 20$"):
        draw_sample_rows(run, range(21))
    words = ["plot", str(digits), "features", "--out", str(tmp_path), "--sample"]
    assert main([*words, "4,9"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'features-4-9.png'}\n"
    with pytest.raises(SystemExit, match="2"):
        main([*words, "4;9"])
    assert "argument --sample: '4;9' is no list of whole numbers, such as 0,3" in capsys.readouterr().err
