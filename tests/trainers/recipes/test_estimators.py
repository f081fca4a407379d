"""The estimators pass scikit-learn's own checks, and work where its estimators work."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from bprop.modules import Linear, MeanAbsoluteError, ReLU, Sequential, Tanh
from bprop.modules.initializers.initializers import get_generator
from bprop.trainers import SGD, BpropClassifier, BpropRegressor
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
CHECKS = [
    (estimator, check)
    for made in (BpropClassifier(random_state=0), BpropRegressor(random_state=0))
    for estimator, check in estimator_checks_generator(made, mark="skip")
]


def named(value):
    return getattr(value, "func", value).__name__ if callable(value) else type(value).__name__


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=named)
def test_scikit_learns_own_checks(estimator, check):
    from unittest import SkipTest

    try:
        check(estimator)
    except SkipTest as reason:  # pandas is not installed...
        pytest.skip(str(reason))


def test_in_a_pipeline_and_a_search():
    pipeline = make_pipeline(StandardScaler(), BpropClassifier((8,), epochs=20, lr=0.01, random_state=0))
    search = GridSearchCV(pipeline, {"bpropclassifier__lr": [1e-6, 0.01]}, cv=3)
    x, y = load_iris(return_X_y=True)
    search.fit(x, y)
    assert search.best_params_ == {"bpropclassifier__lr": 0.01}
    assert search.best_score_ > 0.9
    assert search.score(x, y) > 0.9


def test_a_regressor_learns():
    x, y = load_diabetes(return_X_y=True)
    model = BpropRegressor((16,), activation="Tanh", epochs=30, lr=0.01, random_state=0)
    scores = cross_val_score(make_pipeline(StandardScaler(), model), x, (y - y.mean()) / y.std(), cv=3)
    assert scores.mean() > 0.4


def test_several_targets():
    y = np.stack([X[:, 0] + X[:, 1], -X[:, 2]], axis=1)
    model = BpropRegressor((16,), epochs=40, lr=0.01, random_state=0).fit(X, y)
    assert model.predict(X).shape == (150, 2)
    assert model.score(X, y) > 0.95
    assert model.fit(X, y[:, 0]).predict(X).shape == (150,)


def test_a_net_of_ones_own_as_a_module_and_as_a_function():
    net = Sequential(Linear(4, 6), Tanh(), Linear(6, 3))
    before = net.flat_parameters.copy()
    classifier = BpropClassifier(model=net, optimizer=SGD(lr=0.1, momentum=0.9), epochs=20, random_state=0)
    made = BpropClassifier(model=lambda features, outputs: Linear(features, outputs), epochs=20, lr=0.05)
    assert clone(classifier).fit(X, Y).score(X, Y) > 0.9
    assert clone(made).fit(X, Y).score(X, Y) > 0.8
    np.testing.assert_array_equal(net.flat_parameters, before)
    assert classifier.fit(X, Y).net_.state_dict().keys() == net.state_dict().keys()


def test_settings_are_used():
    model = BpropClassifier((5, 4), activation="Tanh", dtype="float64", epochs=2, batch_size=50, random_state=0).fit(
        X, Y
    )
    assert [type(layer) for layer in model.net_] == [Linear, Tanh, Linear, Tanh, Linear]
    assert [layer.weight.shape for layer in list(model.net_)[::2]] == [(5, 4), (4, 5), (3, 4)]
    assert model.net_.dtype == np.float64
    assert not model.net_.training
    assert len(model.loss_curve_) == 2
    assert type(BpropClassifier(3, epochs=0).fit(X, Y).net_[1]) is ReLU
    deviation = BpropRegressor((), loss="MeanAbsoluteError", epochs=1, random_state=0).fit(X, X[:, 0])
    other = BpropRegressor((), loss=MeanAbsoluteError(), epochs=1, random_state=0).fit(X, X[:, 0])
    assert deviation.loss_curve_ == other.loss_curve_
    assert deviation.loss_curve_ != BpropRegressor((), epochs=1, random_state=0).fit(X, X[:, 0]).loss_curve_


def test_a_random_state_decides_everything_and_touches_no_stream():
    before = get_generator()
    first, second = (BpropClassifier((8,), epochs=3, random_state=7).fit(X, Y) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert get_generator() is before
    assert not np.array_equal(
        first.predict_proba(X), BpropClassifier((8,), epochs=3, random_state=8).fit(X, Y).predict_proba(X)
    )


def test_words_as_labels_and_probabilities():
    names = np.array(["setosa", "versicolor", "virginica"])[Y]
    model = BpropClassifier((8,), epochs=30, lr=0.01, random_state=0).fit(X, names)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(X))
    assert model.score(X, names) > 0.9


def test_partial_fit_goes_on():
    model = BpropClassifier((8,), lr=0.01, random_state=0)
    for _ in range(20):
        for rows in (slice(0, 100), slice(100, 150)):
            model.partial_fit(X[rows], Y[rows], classes=[0, 1, 2])
    assert model.score(X, Y) > 0.9
    assert len(model.loss_curve_) == 40
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded.partial_fit(X, Y).loss_curve_[0] < 0.5
    regressor = BpropRegressor((), lr=0.05, random_state=0)
    for _ in range(40):
        regressor.partial_fit(X, X[:, 0])
    assert regressor.score(X, X[:, 0]) > 0.9


def test_a_sample_without_weight_is_as_if_it_were_not_there():
    some = np.arange(len(X)) % 5 > 0
    made = [BpropClassifier((8,), epochs=3, batch_size=30, random_state=0) for _ in range(4)]
    made[0].fit(X[some], Y[some])
    made[1].fit(X, Y, sample_weight=some.astype(float))
    made[2].fit(X[some], Y[some], sample_weight=np.full(some.sum(), 3.0))
    made[3].fit(X, Y, sample_weight=1 + 9 * (Y == 2))
    first, left_out, alike, other = (each.predict_proba(X) for each in made)
    np.testing.assert_array_equal(first, left_out)
    np.testing.assert_array_equal(first, alike)  # equal weights change nothing
    assert (other[:, 2] > first[:, 2]).mean() > 0.9  # heavy ones pull
    assert made[0].score(X, Y, sample_weight=some) == made[0].score(X[some], Y[some])


def test_weights_of_samples_in_regression_and_by_parts():
    weights, y = 1.0 + 9 * (X[:, 0] > 0), X[:, 0] ** 2
    plain, weighted = (BpropRegressor((), lr=0.05, epochs=20, random_state=0) for _ in range(2))
    plain.fit(X, y)
    weighted.fit(X, y, sample_weight=weights)
    assert weighted.score(X, y, sample_weight=weights) > plain.score(X, y, sample_weight=weights)
    parts = [BpropClassifier((), lr=0.05, random_state=0) for _ in range(2)]
    for _ in range(3):
        parts[0].partial_fit(X, Y, classes=[0, 1, 2], sample_weight=1 + (Y == 1))
        parts[1].partial_fit(X, Y, classes=[0, 1, 2])
    assert (parts[0].predict_proba(X)[:, 1] > parts[1].predict_proba(X)[:, 1]).mean() > 0.9
    assert BpropRegressor((), random_state=0).partial_fit(X, y, sample_weight=weights).loss_curve_[0] > 0


def test_wrong_weights_of_samples_are_refused():
    for estimator, y in ((BpropClassifier((), epochs=1), Y), (BpropRegressor((), epochs=1), X[:, 0])):
        with pytest.raises(ValueError, match=r"non-zero|expected 1 to 0"):
            estimator.fit(X, y, sample_weight=np.zeros(len(X)))
        with pytest.raises(ValueError, match=r"(?i)negative values"):
            estimator.fit(X, y, sample_weight=-np.ones(len(X)))
        with pytest.raises(ValueError, match="sample_weight"):
            estimator.fit(X, y, sample_weight=np.ones(3))


def test_pickles_hold_settings_and_arrays_alone():
    model = BpropClassifier((8,), epochs=2, random_state=0).fit(X, Y)
    text = pickle.dumps(model)
    assert b"bprop.modules" not in text
    np.testing.assert_array_equal(pickle.loads(text).predict_proba(X), model.predict_proba(X))
    with pytest.raises(TypeError, match="pickling would execute code"):
        pickle.dumps(BpropClassifier(model=Linear(4, 3)).fit(X, Y))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "Relu"}, "BpropClassifier: activation is 'Relu', expected the name of a Module"),
        (
            {"optimizer": "Linear"},
            "BpropClassifier: optimizer is 'Linear', expected the name of an Optimizer or an object",
        ),
        ({"loss": 3}, "BpropClassifier: loss is 3, expected the name of a Loss or an object"),
        ({"epochs": -1}, "Trainer: epochs is -1, expected a whole number of at least 0"),
        ({"hidden_layer_sizes": (0,)}, "out_features"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BpropClassifier(**settings).fit(X, Y)


def test_wrong_classes_are_refused():
    with pytest.raises(ValueError, match=r"^BpropClassifier: classes is None, expected all labels"):
        BpropClassifier().partial_fit(X, Y)
    model = BpropClassifier((), random_state=0).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"^BpropClassifier: classes are \[0, 1\], expected \[.*0.*1.*2.*\]$"):
        model.partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"^BpropClassifier: y has \[.*5.*\], expected some of"):
        model.partial_fit(X[:2], [0, 5])


def test_configs_do_not_import_scikit_learn():
    code = "import sys, bprop.trainers; from bprop.trainers.configs import load_config; load_config('mnist_mlp');"
    code += "print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
