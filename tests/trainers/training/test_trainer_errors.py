"""What a training refuses, in which words; and what remains when it cannot go on."""

import re

import numpy as np
import pytest
from bprop import trainers
from bprop.datasets import ArrayDataset, Dataset
from bprop.modules import BatchNorm1d, Linear, MeanSquaredError, Module, Residual, Sequential, SoftmaxCrossEntropy
from bprop.trainers import SGD, Callback, EarlyStopping, MultiStepSchedule, Trainer, TrainingError
from bprop.trainers.progress.progress_bar import print_if_slow
from bprop.trainers.training.evaluation import split_rows
from bprop.trainers.training.fit_loop import COMPILING


def pairs(n=50, outputs=None):
    """Inputs (n, 4), and labels (n,) or, given a number of outputs, targets (n, outputs)."""
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 4)).astype(np.float32)
    return x, random.integers(0, 3, n) if outputs is None else random.normal(size=(n, outputs)).astype(np.float32)


@pytest.fixture
def classifier():
    return Trainer(Sequential(Linear(4, 3)), SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9), quiet=True)


@pytest.fixture
def regression():
    return Trainer(Sequential(Linear(4, 3)), MeanSquaredError(), SGD(lr=0.1, momentum=0.9), quiet=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": Linear}, r"^Trainer: model is the class Linear, expected a Module; write Linear\(\.\.\.\)$"),
        ({"loss": Linear(4, 3)}, r"^Trainer: loss is Linear\(4 -> 3\), expected a Loss$"),
        ({"optimizer": "SGD"}, r"^Trainer: optimizer is 'SGD', expected an Optimizer$"),
        (
            {"callbacks": [EarlyStopping]},
            r"^Trainer: a callback is the class EarlyStopping, expected a Callback; write EarlySt",
        ),
        ({"callbacks": [print]}, r"^Trainer: a callback is <built-in function print>, expected a Callback$"),
    ],
)
def test_parts_of_another_kind(wrong, message):
    settings = {"model": Linear(4, 3), "loss": MeanSquaredError(), "optimizer": SGD(lr=0.1), **wrong}
    with pytest.raises(TypeError, match=message):
        Trainer(settings.pop("model"), settings.pop("loss"), settings.pop("optimizer"), **settings)


@pytest.mark.parametrize("batch_size", [0, -1, 51, 2.5, True])
def test_batch_size(classifier, batch_size):
    message = rf"^Trainer: batch_size is {batch_size}, expected 1 to 50, the number of samples$"
    with pytest.raises(ValueError, match=message):
        classifier.fit(pairs(), batch_size=batch_size)


@pytest.mark.parametrize("epochs", [-1, 1.5])
def test_epochs(classifier, epochs):
    with pytest.raises(ValueError, match=rf"^Trainer: epochs is {epochs}, expected a whole number of at least 0$"):
        classifier.fit(pairs(), epochs=epochs)


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
def test_an_empty_set(classifier, call):
    with pytest.raises(ValueError, match=r"^ArrayDataset: x has shape \(0, 4\), expected at least one sample$"):
        getattr(classifier, call)((np.zeros((0, 4)), np.zeros(0, int)))


def test_predicting_nothing(classifier):
    with pytest.raises(ValueError, match=r"^ArrayDataset: x has shape \(0,\), expected at least one sample$"):
        classifier.predict([])


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["x", "y"])
def test_data_that_are_not_finite(regression, poison, name):
    x, y = pairs(outputs=3)
    {"x": x, "y": y}[name][13, 2] = poison
    message = rf"^ArrayDataset: row 13 of {name} holds NaN or infinity, expected finite numbers$"
    with pytest.raises(ValueError, match=message):
        regression.fit((x, y))
    with pytest.raises(ValueError, match=message):
        regression.fit(pairs(outputs=3), (x, y))


@pytest.mark.parametrize("call", ["fit", "evaluate"])
def test_inputs_of_another_shape(classifier, call):
    with pytest.raises(ValueError, match=r"^Linear\(4 -> 3\): x has shape \(1, 5\), expected \(N, 4\)\nin model\[0\]$"):
        getattr(classifier, call)((np.zeros((50, 5)), np.zeros(50, int)))


def test_n_1_against_n():
    made = Trainer(Sequential(Linear(4, 1)), MeanSquaredError(), SGD(lr=0.1), quiet=True)
    for call in (made.fit, made.evaluate):
        with pytest.raises(ValueError, match=r"y has shape \(1, 1\) and target \(1,\), expected the same shape$"):
            call((np.zeros((50, 4)), np.zeros(50)))


@pytest.mark.parametrize("part", ["train", "valid"])
def test_a_label_outside_the_classes(classifier, part):
    x, labels = pairs()
    labels[17] = 3
    data = {"train": pairs(), "valid": pairs(), part: (x, labels)}
    before = classifier.model.flat_parameters.copy()
    with pytest.raises(ValueError, match=r"^SoftmaxCrossEntropy\(\): label 3 in row 17, expected 0\.\.2$"):
        classifier.fit(data["train"], data["valid"])
    assert np.array_equal(classifier.model.flat_parameters, before)


@pytest.mark.parametrize("data", [np.zeros((50, 4)), (np.zeros(3),) * 4, "Digits", None])
def test_data_of_another_kind(classifier, data):
    expected = "a Dataset, an ArrayDataset or arrays (x, y) or (x, y, sample_weight), where x may be (x, lengths)"
    message = f"Trainer: data is {type(data).__name__}, expected {expected}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        classifier.fit(data)


class TrainingPart(Dataset):
    """A data set without validation and test."""

    input_shape, target_shape, classes = (4,), (), 3
    train = property(lambda self: ArrayDataset(*pairs()))


def test_a_part_that_is_not_there(classifier):
    with pytest.raises(ValueError, match=r"^Trainer: TrainingPart has no test part$"):
        classifier.evaluate(TrainingPart())
    with pytest.raises(ValueError, match=r"^Trainer: TrainingPart has no valid part$"):
        classifier.fit(pairs(), TrainingPart())


def test_metrics_that_do_not_fit_are_refused_before_training(classifier, regression):
    calls = []
    vars(classifier)["_epoch"] = vars(regression)["_epoch"] = lambda *args: calls.append(args)
    with pytest.raises(ValueError, match=r"^Trainer: there is no metric 'f1', expected some of accuracy, error"):
        classifier.fit(pairs(), metrics=["f1"])
    with pytest.raises(ValueError, match=r"^rmse: y has shape \(1, 3\) and target \(1,\), expected the same shape$"):
        classifier.fit(pairs(), metrics=["rmse"])
    assert calls == []


class LargeStep(Callback):
    """Keeps each epoch's weights, and makes the learning rate far too large at the end of an epoch."""

    def __init__(self, epoch):
        self.epoch, self.weights, self.ended = epoch, {}, 0

    def on_fit_start(self, trainer):
        self.weights[0] = trainer.model.flat_parameters.copy()

    def on_epoch_end(self, trainer, row):
        self.weights[row["epoch"]] = trainer.model.flat_parameters.copy()
        if row["epoch"] == self.epoch:
            trainer.optimizer.lr = 1e25

    def on_fit_end(self, trainer):
        self.ended += 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, when it runs as plain Python
@pytest.mark.parametrize(
    ("epoch", "batch_size", "place", "good"),
    [
        (2, 8, "the loss is inf in epoch 3, step 2", 2),
        (2, 50, "the loss is inf in epoch 4, step 1", 2),  # its weights, those of epoch 3, are worthless
    ],
)
def test_a_loss_that_is_not_finite(regression, epoch, batch_size, place, good):
    large = LargeStep(epoch)
    regression.callbacks = [large]
    message = rf"^{place}; the model has its weights of the end of epoch {good} again\. A smaller learning rate may"
    with pytest.raises(TrainingError, match=message):
        regression.fit(pairs(outputs=3), epochs=9, batch_size=batch_size)
    assert np.array_equal(regression.model.flat_parameters, large.weights[good])
    assert large.ended == 1
    assert np.isfinite(regression.evaluate(pairs(outputs=3))["loss"])


@pytest.mark.jit
def test_weights_that_overflow_in_the_last_step(regression):
    regression.optimizer.lr = 3e38
    x, y = pairs(outputs=3)
    before = regression.model.flat_parameters.copy()
    message = r"^a weight is not finite in epoch 1, step 1; the model has its weights of the end of epoch 0 again"
    with pytest.raises(TrainingError, match=message):
        regression.fit((x, 1000 * y), epochs=1, batch_size=50)
    assert np.array_equal(regression.model.flat_parameters, before)
    assert regression.history == []


@pytest.mark.jit
def test_a_first_compilation_is_announced(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("bprop.trainers.progress.progress_bar.PATIENCE", 0.01)
    for quiet in (True, False):
        net = Sequential(Linear(4, 3, bias=quiet))  # two nets: each is compiled here for the first time
        made = Trainer(net, MeanSquaredError(), SGD(lr=0.1, momentum=0.9), quiet=quiet)
        made.fit(pairs(outputs=3), epochs=1)
        assert (COMPILING in capsys.readouterr().err) != quiet


def test_what_is_quick_is_not_announced(capsys):
    with print_if_slow("one moment") as nothing:
        pass
    assert nothing is None
    assert capsys.readouterr() == ("", "")


def test_names_of_the_package():
    assert all(hasattr(trainers, name) for name in trainers.__all__)
    with pytest.raises(AttributeError, match=r"^module 'bprop\.trainers' has no attribute 'Adma'$"):
        _ = trainers.Adma


# -- the sizes of minibatches ----------------------------------------------------------------------------------------


class EvenOnly(Module):
    """Pairs of samples."""

    def fprop(self, x):
        if x.shape[0] % 2:
            raise ValueError("EvenOnly: an odd minibatch")
        return x

    def bprop(self, grad_y):
        return grad_y

    def output_shape(self, input_shape):
        return input_shape


ALONE = (
    r"^Trainer: the last minibatch has 1 sample, not 8: {}; drop_last=True leaves it out, or take another batch_size"
)
SINGLE = {
    "BatchNorm1d": (
        Sequential(Linear(4, 3), Sequential(BatchNorm1d(3))),
        r"BatchNorm1d\(.*\): x has shape \(1, 3\), .*",
    ),
    "Residual": (
        Sequential(Residual(BatchNorm1d(4)), Linear(4, 3)),
        r"BatchNorm1d\(.*\): x has shape \(1, 4\), one .*",
    ),
    "own": (Sequential(Linear(4, 3), Sequential(EvenOnly())), r"EvenOnly: an odd minibatch"),
}


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("way", ["check", "fit"])
def test_a_last_minibatch_that_a_module_refuses(name, way):
    net, message = SINGLE[name]
    trainer, before = Trainer(net.copy(), SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True), net.state_dict()
    place = r"\nin model\[0\]\[0\]$" if name == "Residual" else r"\nin model\[1\]\[0\]$"
    with pytest.raises(ValueError, match=ALONE.format(message) + place):
        getattr(trainer, way)(pairs(33), batch_size=8)
    assert all(np.array_equal(value, before[key]) for key, value in trainer.model.state_dict().items())
    trainer.check(pairs(33), batch_size=8, drop_last=True)
    trainer.check(pairs(32), batch_size=8)
    trainer.check(pairs(34), batch_size=8)


def test_the_last_minibatches_of_all_epochs_are_checked():
    net, schedule = SINGLE["BatchNorm1d"][0].copy(), {"batch_size": MultiStepSchedule([1], 1.5)}
    trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1), schedules=schedule, quiet=True)
    trainer.check(pairs(43), batch_size=4, epochs=1)
    with pytest.raises(ValueError, match=r"^Trainer: the last minibatch has 1 sample, not 6: BatchNorm1d"):
        trainer.check(pairs(43), batch_size=4, epochs=2)


def test_minibatches_of_one_sample_in_all():
    trainer = Trainer(SINGLE["BatchNorm1d"][0].copy(), SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True)
    with pytest.raises(
        ValueError, match=r"^Trainer: minibatches of 1: BatchNorm1d.*one value a channel, expected more"
    ):
        trainer.check(pairs(33), batch_size=1)


def test_an_evaluation_has_no_piece_of_one_sample():
    assert list(split_rows(7, 3)) == [slice(0, 3), slice(3, 7)]
    assert list(split_rows(6, 3)) == [slice(0, 3), slice(3, 6)]
    assert list(split_rows(1, 3)) == [slice(0, 3)]
    assert list(split_rows(2, 1)) == [slice(0, 1), slice(1, 2)]
