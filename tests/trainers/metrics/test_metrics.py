"""Metrics against scikit-learn's and against what they say in NumPy; and how a training uses them."""

import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    GaussianNLL,
    Linear,
    MeanSquaredError,
    MixtureDensity,
    Sequential,
    SoftmaxCrossEntropy,
)
from bprop.trainers import F1, SGD, CalibrationError, ConfusionMatrix, Metric, Precision, Recall, TopK, Trainer
from bprop.trainers.cli import main
from bprop.trainers.metrics import METRICS, accuracy, compute_metrics, error, find_metrics, larger_is_better, rmse
from scipy.special import softmax as scipy_softmax
from sklearn import metrics as sklearn


def softmax(y):
    """Of each row."""
    return scipy_softmax(y, axis=-1)


@pytest.fixture
def scored():
    """Scores (90, 4) and labels (90,); class 3 is rare."""
    random = np.random.default_rng(0)
    return random.normal(size=(90, 4)).astype(np.float32), random.choice(4, 90, p=[0.4, 0.3, 0.25, 0.05])


def test_accuracy_and_error(scored):
    y, labels = scored
    right = sum(int(max(range(4), key=lambda k: row[k]) == label) for row, label in zip(y, labels, strict=True))
    assert 0 < right < 90
    assert accuracy(y, labels) == right / 90
    assert error(y, labels) == 1 - right / 90


@pytest.mark.parametrize(
    "name", [name for name in METRICS if name not in ("rmse", "mae", "r2", "top_5", "sequence_accuracy")]
)
def test_one_hot_targets_count_like_labels(scored, name):
    y, labels = scored
    p, labels = (softmax(y), labels) if "binary" not in name else (softmax(y[:, :2]), labels % 2)
    assert METRICS[name](p, np.eye(p.shape[1])[labels]) == METRICS[name](p, labels)


def test_a_score_at_each_place():
    random = np.random.default_rng(0)
    y, labels = random.normal(size=(4, 5, 3)), random.integers(0, 3, (4, 5))
    for metric in (accuracy, TopK(2), F1()):
        assert metric(y, labels) == metric(y.reshape(20, 3), labels.reshape(20))


@pytest.mark.parametrize("average", ["macro", "micro", "binary"])
@pytest.mark.parametrize("kind", [Precision, Recall, F1])
def test_precision_recall_and_f1(scored, kind, average):
    y, labels = scored
    if average == "binary":
        y, labels = y[:, :2], labels % 2
    other = {Precision: sklearn.precision_score, Recall: sklearn.recall_score, F1: sklearn.f1_score}[kind]
    for rows in (slice(None), slice(3), slice(1)):  # classes are missing among few
        expected = other(labels[rows], y[rows].argmax(axis=1), average=average, zero_division=0)
        assert METRICS[f"{kind.__name__.lower()}_{average}"](y[rows], labels[rows]) == pytest.approx(expected)


def test_confusion_matrix(scored):
    y, labels = scored
    expected = sklearn.confusion_matrix(labels, y.argmax(axis=1), labels=range(4)).tolist()
    assert ConfusionMatrix()(y, labels) == expected


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k(scored, k):
    y, labels = scored
    assert TopK(k)(y, labels) == pytest.approx(sklearn.top_k_accuracy_score(labels, y, k=k, labels=range(4)))
    assert TopK(1)(y, labels) == accuracy(y, labels)


def test_top_k_of_equal_scores():
    y = np.zeros((4, 4))
    assert [TopK(k)(y, np.arange(4)) for k in (1, 2, 3)] == [0.25, 0.5, 0.75]


def test_probabilistic_metrics(scored):
    y, labels = scored
    p = softmax(y.astype(np.float64))
    for name, other in [
        ("roc_auc", lambda: sklearn.roc_auc_score(labels, p, multi_class="ovr")),
        ("log_loss", lambda: sklearn.log_loss(labels, p, labels=range(4))),
        ("brier", lambda: np.mean(np.square(p - np.eye(4)[labels]).sum(axis=1))),
    ]:
        assert METRICS[name](p, labels) == pytest.approx(other(), rel=1e-12)


def test_probabilistic_metrics_of_two_classes(scored):
    y, labels = scored
    p, labels = np.round(softmax(y[:, :2].astype(np.float64)), 1), labels % 2  # rounded, so that there are ties
    for probabilities in (p, p[:, 1]):
        assert METRICS["roc_auc"](probabilities, labels) == pytest.approx(
            sklearn.roc_auc_score(labels, p[:, 1]), rel=1e-12
        )
        assert METRICS["log_loss"](probabilities, labels) == pytest.approx(sklearn.log_loss(labels, p), rel=1e-12)
        assert METRICS["brier"](probabilities, labels) == pytest.approx(
            sklearn.brier_score_loss(labels, p[:, 1]), rel=1e-12
        )
        assert accuracy(probabilities, labels) == pytest.approx(np.mean((p[:, 1] > 0.5) == labels))
        assert F1("binary")(probabilities, labels.astype(np.float32)) == pytest.approx(
            sklearn.f1_score(labels, p[:, 1] > 0.5)
        )


def test_calibration_error(scored):
    y, labels = scored
    p = softmax(y)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    expected = 0.0
    for b in range(10):
        inside = (confidence > b / 10) & (confidence <= (b + 1) / 10)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected > 0.05
    assert CalibrationError(bins=10)(p, labels) == pytest.approx(expected, rel=1e-6)
    assert CalibrationError()(np.eye(3)[[0, 1, 2]], np.arange(3)) == 0
    assert CalibrationError()(np.eye(3)[[0, 1, 2]], np.array([1, 2, 0])) == 1


def test_regression_metrics():
    random = np.random.default_rng(0)
    y, target = random.normal(size=(2, 50, 3)).astype(np.float32)
    assert METRICS["rmse"](y, target) == pytest.approx(np.sqrt(sklearn.mean_squared_error(target, y)))
    assert METRICS["mae"](y, target) == pytest.approx(sklearn.mean_absolute_error(target, y))
    assert METRICS["r2"](y, target) == pytest.approx(sklearn.r2_score(target, y))


@pytest.mark.parametrize("name", ["rmse", "mae"])
def test_float32_adds_up_in_float64(name):
    y = np.full((100_000, 1), 1000.1, np.float32)
    assert METRICS[name](y, np.zeros_like(y)) == pytest.approx(float(y[0, 0]), rel=1e-12)


def test_nan_gives_nan(scored):
    y, labels = scored
    y, p = y.copy(), softmax(y)
    y[3, 1] = p[3, 1] = np.nan
    for name, metric in METRICS.items():
        if name in ("top_5", "precision_binary", "recall_binary", "f1_binary"):
            continue
        outputs = (y, np.zeros_like(y)) if name in ("rmse", "mae", "r2") else (p, labels)
        assert np.isnan(metric(*outputs)), name


def test_one_class_missing_one_sample_and_infinity(scored):
    y, labels = scored
    p = softmax(y)
    assert np.isnan(METRICS["roc_auc"](p[:5], np.zeros(5, int)))
    some = labels < 2  # the classes 2 and 3 are left out
    areas = [sklearn.roc_auc_score(labels[some] == k, p[some, k]) for k in (0, 1)]
    assert METRICS["roc_auc"](p[some], labels[some]) == pytest.approx(np.mean(areas))
    assert METRICS["log_loss"](np.eye(3, dtype=np.float32), np.array([1, 1, 2])) == pytest.approx(np.log(2**23) * 1 / 3)
    assert np.isnan(METRICS["r2"](np.ones((1, 1)), np.ones((1, 1))))
    assert METRICS["rmse"](np.array([[np.inf]]), np.zeros((1, 1))) == np.inf
    assert np.isnan(METRICS["rmse"](np.array([[np.inf]]), np.array([[np.inf]])))
    assert accuracy(np.array([[-np.inf, 0.0]]), np.array([1])) == 1


OF_CLASSES = [name for name in METRICS if name not in ("rmse", "mae", "r2")]


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize(("y_shape", "target_shape"), [((8, 3), (7,)), ((8, 1), (8, 1)), ((8, 3), (8, 1))])
def test_refuses_shapes_that_do_not_fit(name, y_shape, target_shape):
    who = "accuracy" if name == "error" else name
    with pytest.raises(ValueError, match=rf"^{who}: y has shape .* and target .*, expected a score for each class"):
        METRICS[name](np.zeros(y_shape), np.zeros(target_shape))


@pytest.mark.parametrize("name", ["rmse", "mae", "r2"])
def test_nothing_broadcasts(name):
    message = rf"^{name}: y has shape \(8, 1\) and target \(8,\), expected the same shape$"
    with pytest.raises(ValueError, match=message):
        METRICS[name](np.zeros((8, 1)), np.zeros(8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TopK(0), "TopK: k is 0, expected a whole number of at least 1"),
        (lambda: TopK(True), "TopK: k is True, expected a whole number of at least 1"),
        (lambda: CalibrationError(0.5), "CalibrationError: bins is 0.5, expected a whole number of at least 1"),
        (lambda: F1("weighted"), "F1: average is 'weighted', expected macro, micro or binary"),
        (lambda: TopK(3)(np.zeros((2, 3)), np.zeros(2, int)), "top_3: there are 3 classes, expected more than 3"),
        (lambda: F1("binary")(np.zeros((2, 3)), np.zeros(2, int)), "f1_binary: there are 3 classes, expected 2"),
        (lambda: accuracy(np.zeros(2), np.array([0, 2])), "accuracy: a target is neither 0 nor 1, expected one of two"),
        (lambda: accuracy(np.zeros(2), np.array([0, 0.5])), "accuracy: a target is neither 0 nor 1, expected one of"),
        (lambda: find_metrics(["accuracy", "f1"]), "Trainer: there is no metric 'f1', expected some of accuracy"),
        (lambda: find_metrics([TopK]), "Trainer: a metric is the class TopK, expected a name, a Metric or a"),
        (lambda: find_metrics([3]), "Trainer: a metric is 3, expected a name, a Metric or a function"),
        (lambda: find_metrics(["top_5", TopK(5)]), "Trainer: two metrics have the name 'top_5', expected different"),
    ],
)  # fmt: skip
def test_refuses(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make()


def test_names():
    assert find_metrics(["rmse", "error"]) == {"rmse": rmse, "error": error}
    assert [metric.name for metric in METRICS.values()] == list(METRICS)
    assert list(find_metrics([TopK(3), F1("micro"), cost])) == ["top_3", "f1_micro", "cost"]


@pytest.mark.parametrize(
    ("column", "larger"),
    [
        ("valid_accuracy", True), ("train_f1_macro", True), ("valid_roc_auc", True), ("valid_r2", True),
        ("valid_error", False), ("valid_rmse", False), ("valid_log_loss", False), ("valid_loss", False),
        ("valid_cost", False), ("valid_gain", True), ("valid_top_3", True), ("my_accuracy", True), ("seconds", False),
    ],
)  # fmt: skip
def test_which_direction_is_better(column, larger):
    assert larger_is_better(column, find_metrics([cost, gain])) == larger


# -- in a training ---------------------------------------------------------------------------------------------------


def cost(y, target):
    """A metric of one's own."""
    return np.mean(y.argmax(axis=1) != target) * 100


def gain(y, target):
    """A metric of one's own that needs probabilities."""
    return np.mean(y[np.arange(len(y)), target])


gain.better, gain.of_probabilities = "max", True


def classes(n=60):
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 4)).astype(np.float32)
    return x, x[:, :3].argmax(axis=1)


@pytest.fixture
def trainer():
    return Trainer(Sequential(Linear(4, 3)), SoftmaxCrossEntropy(), SGD(lr=0.5, momentum=0.9), quiet=True)


def test_a_training_reports_them(trainer):
    chosen = ["accuracy", TopK(2), "f1_macro", "log_loss", "roc_auc", "confusion_matrix", cost, gain]
    names = ["accuracy", "top_2", "f1_macro", "log_loss", "roc_auc", "cost", "gain"]
    x, labels = classes()
    row = trainer.fit((x, labels), (x, labels), epochs=3, metrics=chosen)[-1]
    assert [name for name in row if name.startswith("valid_")] == ["valid_loss", *(f"valid_{name}" for name in names)]
    assert all(np.isfinite(row[f"{part}_{name}"]) for part in ("train", "valid") for name in names)
    metrics = trainer.evaluate((x, labels), metrics=chosen)
    p = softmax(trainer.predict(x))
    assert (
        metrics["roc_auc"] == row["valid_roc_auc"] == pytest.approx(sklearn.roc_auc_score(labels, p, multi_class="ovr"))
    )
    assert metrics["log_loss"] == pytest.approx(metrics["loss"], rel=1e-5)
    assert metrics["gain"] == pytest.approx(p[np.arange(60), labels].mean())
    assert metrics["confusion_matrix"] == sklearn.confusion_matrix(labels, p.argmax(axis=1)).tolist()


def test_figures_are_in_the_units_of_the_table():
    trainer = Trainer(Sequential(Linear(4, 1)), MeanSquaredError(), SGD(lr=0.1), quiet=True)
    x = classes()[0]
    target = 500 + 20 * x[:, :1]
    data = ArrayDataset(x, (target - 500) / 20, target_mean=500, target_std=20)
    row = trainer.fit(data, data, epochs=2, metrics=["rmse", "mae", "r2"])[-1]
    y = trainer.predict(x) * 20 + 500
    assert row["valid_rmse"] == pytest.approx(np.sqrt(np.mean((y - target) ** 2)), rel=1e-5)
    assert row["valid_mae"] == pytest.approx(np.mean(abs(y - target)), rel=1e-5)
    assert row["valid_r2"] == pytest.approx(sklearn.r2_score(target, y), rel=1e-5)
    assert row["valid_loss"] == pytest.approx((row["valid_rmse"] / 20) ** 2, rel=1e-5)


@pytest.mark.parametrize("loss", [BinaryCrossEntropyWithLogits(), BinaryCrossEntropy()])
@pytest.mark.parametrize("shape", [(50, 1), (50, 3)])
def test_losses_of_yes_and_no(loss, shape):
    """Each output counts by itself, also where there are several."""
    random = np.random.default_rng(0)
    y, target = random.normal(size=shape), random.integers(0, 2, shape).astype(np.float32)
    p = 1 / (1 + np.exp(-y))
    outputs = p if isinstance(loss, BinaryCrossEntropy) else y
    names = ["accuracy", "roc_auc", "f1_binary", "confusion_matrix", "log_loss", "calibration_error"]
    metrics = compute_metrics(find_metrics(names), loss, outputs, target, ArrayDataset(y, target))
    assert metrics["accuracy"] == pytest.approx(np.mean((y > 0) == target))
    assert metrics["roc_auc"] == pytest.approx(sklearn.roc_auc_score(target.ravel(), y.ravel()))
    assert metrics["f1_binary"] == pytest.approx(sklearn.f1_score(target.ravel(), y.ravel() > 0))
    assert metrics["confusion_matrix"] == sklearn.confusion_matrix(target.ravel(), y.ravel() > 0).tolist()
    assert metrics["log_loss"] == pytest.approx(sklearn.log_loss(target.ravel(), p.ravel()))


def test_one_hot_targets_of_softmax(scored):
    y, labels = scored
    data, one_hot = ArrayDataset(y, labels), np.eye(4)[labels]
    chosen = find_metrics(["accuracy", "log_loss", "f1_macro"])
    metrics = compute_metrics(chosen, SoftmaxCrossEntropy(), y, one_hot, data)
    assert metrics == compute_metrics(chosen, SoftmaxCrossEntropy(), y, labels, data)
    assert metrics["log_loss"] == pytest.approx(SoftmaxCrossEntropy()(y, labels), rel=1e-5)


def test_ignored_labels_are_left_out(scored):
    y, labels = scored
    some = labels.copy()
    some[::3] = -1
    chosen, loss = find_metrics(["accuracy", "confusion_matrix", "roc_auc"]), SoftmaxCrossEntropy(ignore_index=-1)
    data = ArrayDataset(y, labels)
    assert compute_metrics(chosen, loss, y, some, data) == compute_metrics(
        chosen, loss, y[some >= 0], labels[some >= 0], data
    )
    assert np.isnan(list(compute_metrics(chosen, loss, y, labels * 0 - 1, data).values())).all()


def test_a_loss_without_probabilities():
    trainer = Trainer(Sequential(Linear(4, 3)), MeanSquaredError(), SGD(lr=0.1), quiet=True)
    message = r"^roc_auc: MeanSquaredError\(\) gives no probabilities of classes, which this metric needs$"
    with pytest.raises(ValueError, match=message):
        trainer.fit((np.zeros((50, 4)), np.zeros((50, 3))), metrics=["roc_auc"])


def test_a_metric_that_is_no_number(trainer):
    def both(y, target):
        return np.ones(2)

    with pytest.raises(ValueError, match=r"^both: the value is array\(\[1\., 1\.\]\), expected a number$"):
        trainer.fit(classes(), metrics=[both])
    both.better = "big"
    with pytest.raises(ValueError, match=r"^both: better is 'big', expected max or min$"):
        trainer.fit(classes(), metrics=[both])
    with pytest.raises(NotImplementedError, match=r"^Metric: value\(y, target\) is not defined$"):
        Metric()(np.zeros(1), np.zeros(1))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module of one's own, which is imported anew."""
    monkeypatch.setitem(sys.modules, "own_metrics", None)
    monkeypatch.delitem(sys.modules, "own_metrics")
    (tmp_path / "own_metrics.py").write_text(OWN)
    return tmp_path


CONFIG = """
dataset: Iris
model:
  - Linear: {in_features: 4, out_features: 3}
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 0.1}
trainer:
  epochs: 2
  metrics: [METRICS]
callbacks:
  - EarlyStopping: {monitor: valid_gain, patience: 1}
"""
OWN = """
import numpy as np
from bprop.trainers import Metric

def gain(y, target):
    return 1.0
gain.better = "max"

class Share(Metric):
    def __init__(self, k: int = 1):
        self.k = k
    def value(self, y, target):
        return np.mean(target == self.k)
"""
CHOSEN = "accuracy, TopK: {k: 2}, confusion_matrix, own_metrics.gain, own_metrics.Share: {k: 2}"


def test_metrics_in_a_config(folder, monkeypatch):
    (folder / "c.yaml").write_text(CONFIG.replace("METRICS", CHOSEN))
    assert main(["train", str(folder / "c.yaml"), "--run", str(folder / "run"), "--quiet"]) == 0
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert np.array(summary["test_confusion_matrix"]).sum() == 30
    assert (summary["test_gain"], summary["test_share"]) == (1, pytest.approx(1 / 3))
    assert summary["test_top_2"] >= summary["test_accuracy"]
    header = (folder / "run" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert [name for name in header if name.startswith("valid_")] == [
        "valid_loss", "valid_accuracy", "valid_top_2", "valid_gain", "valid_share"
    ]  # fmt: skip
    monkeypatch.delitem(sys.modules, "own_metrics")
    again = ["train", str(folder / "run" / "config.yaml"), "--run", str(folder / "again"), "--quiet"]
    assert main(again) == 0  # the run folder has all that it names
    assert (folder / "again" / "own_metrics.py").exists()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("own_metrics.gian", "the module 'own_metrics' has no function 'gian'; did you mean 'gain'?"),
        ("nowhere.gain", "there is no module 'nowhere'"),
        ("TopK: {n: 3}", "unknown argument"),
        ("TopK: {k: 0}", "TopK: k is 0, expected a whole number of at least 1"),
        ("accurcy", "there is no metric 'accurcy'"),
        ("3", "expected str | Metric"),
    ],
)
def test_mistakes_in_a_config(folder, capsys, chosen, message):
    (folder / "c.yaml").write_text(CONFIG.replace("METRICS", chosen))
    assert main(["train", str(folder / "c.yaml"), "--run", str(folder / "run"), "--quiet"]) == 2
    assert message in capsys.readouterr().err


def test_numbers_are_the_means_of_the_distributions():
    data = SimpleNamespace(target_mean=10.0, target_std=2.0)
    target = np.array([[1.0], [2.0]])
    metrics = compute_metrics(
        find_metrics(["rmse", "mae", "r2"]), GaussianNLL(), np.array([[1.0, 5.0], [4.0, -3.0]]), target, data
    )
    assert metrics["rmse"] == pytest.approx(2 * np.sqrt(2))
    assert metrics["mae"] == pytest.approx(2.0)
    assert metrics["r2"] == pytest.approx(-7.0)
    y = np.array([[0.0, 0.0, 1.0, 3.0, 0.0, 0.0], [0.0, 0.0, 2.0, 2.0, 0.0, 0.0]])
    metrics = compute_metrics(find_metrics(["mae"]), MixtureDensity(components=2, dims=1), y, target, data)
    assert metrics["mae"] == pytest.approx(1.0)


# -- weights -----------------------------------------------------------------------------------------------------


@pytest.fixture
def weights():
    return np.random.default_rng(1).choice([0.0, 0.2, 1.0, 3.0], 90)


def found(name, y, target, w, loss=None):
    """The figure as a training finds it."""
    return compute_metrics({name: METRICS[name]}, loss or SoftmaxCrossEntropy(), y, target, UNITS, w)[name]


UNITS = SimpleNamespace(target_mean=0.0, target_std=1.0)


def test_weighted_metrics_of_classes(scored, weights):
    y, labels = scored
    p, chosen, w = softmax(y.astype(np.float64)), y.argmax(axis=1), {"sample_weight": weights}
    expected = {
        "accuracy": sklearn.accuracy_score(labels, chosen, **w),
        "error": 1 - sklearn.accuracy_score(labels, chosen, **w),
        "precision_macro": sklearn.precision_score(labels, chosen, average="macro", **w),
        "recall_macro": sklearn.recall_score(labels, chosen, average="macro", **w),
        "f1_macro": sklearn.f1_score(labels, chosen, average="macro", **w),
        "f1_micro": sklearn.f1_score(labels, chosen, average="micro", **w),
        "log_loss": sklearn.log_loss(labels, p, labels=range(4), **w),
        "brier": np.average(np.square(p - np.eye(4)[labels]).sum(axis=1), weights=weights),
        "roc_auc": np.mean([sklearn.roc_auc_score(labels == k, p[:, k], **w) for k in range(4)]),
    }
    for name, value in expected.items():
        assert found(name, y.astype(np.float64), labels, weights) == pytest.approx(value, rel=1e-12), name
    matrix = sklearn.confusion_matrix(labels, chosen, **w)
    np.testing.assert_allclose(found("confusion_matrix", y, labels, weights), matrix)
    assert TopK(2)(y, labels, weights) == pytest.approx(sklearn.top_k_accuracy_score(labels, y, k=2, **w))


def test_whole_weights_count_like_copies(scored, weights):
    """Also for the calibration error, which scikit-learn lacks."""
    y, labels = scored
    counts = np.round(weights * 5).astype(int)
    copies = np.repeat(np.arange(90), counts)
    for name in METRICS:
        if name not in ("top_5", "rmse", "mae", "r2") and "binary" not in name:
            expected = found(name, y[copies], labels[copies], None)
            np.testing.assert_allclose(found(name, y, labels, counts), expected, rtol=1e-6, err_msg=name)


def test_weighted_metrics_of_numbers(weights):
    y, target = np.random.default_rng(0).normal(size=(2, 90, 3))
    w, loss = {"sample_weight": weights}, MeanSquaredError()
    assert found("rmse", y, target, weights, loss) == pytest.approx(sklearn.mean_squared_error(target, y, **w) ** 0.5)
    assert found("mae", y, target, weights, loss) == pytest.approx(sklearn.mean_absolute_error(target, y, **w))
    assert found("r2", y, target, weights, loss) == pytest.approx(sklearn.r2_score(target, y, **w))


def test_weights_of_sequences_and_of_losses_of_yes_and_no(scored, weights):
    y, labels = scored
    y, labels, w = y[:, :3].reshape(30, 3, 3), labels.reshape(30, 3) % 3, weights[:30]
    expected = np.average((y.argmax(axis=-1) == labels).mean(axis=1), weights=w)
    assert found("accuracy", y, labels, w) == pytest.approx(expected)
    mask = labels != 2
    expected = np.average((y.argmax(axis=-1) == labels)[mask], weights=np.repeat(w, 3).reshape(30, 3)[mask])
    assert found("accuracy", y, labels, w, SoftmaxCrossEntropy(ignore_index=2)) == pytest.approx(expected)
    score, target = y[..., 0], (labels == 0).astype(np.float32)
    expected = np.average(((score > 0) == target).mean(axis=1), weights=w)
    assert found("accuracy", score, target, w, BinaryCrossEntropyWithLogits()) == pytest.approx(expected)


def test_functions_of_ones_own_may_ask_for_weights(weights):
    def plain(y, target):
        return np.mean(y)

    def weighted(y, target, sample_weight=None):
        return np.average(y, weights=sample_weight)

    y, chosen = np.arange(90.0), find_metrics([plain, weighted])
    values = compute_metrics(chosen, MeanSquaredError(), y, y, UNITS, weights)
    assert values == pytest.approx({"plain": y[weights > 0].mean(), "weighted": np.average(y, weights=weights)})
    assert compute_metrics(chosen, MeanSquaredError(), y, y, UNITS) == {"plain": y.mean(), "weighted": y.mean()}
