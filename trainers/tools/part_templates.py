"""Templates of the other parts of an experiment: a file that works, a test, and a config with it.

Each is a small complete example to be changed; `new_module` writes them, as it writes modules.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """The texts of a part: the class, its test, and the sections of a config that it replaces."""

    code: str
    test: str
    sections: dict[str, str]


DIGITS = {
    "dataset": "dataset: Digits",
    "model": """\
model:
  - Flatten
  - Linear: {in_features: 64, out_features: 32}
  - Tanh
  - Linear: {in_features: 32, out_features: 10}""",
    "loss": "loss: SoftmaxCrossEntropy",
    "optimizer": "optimizer:\n  SGD: {lr: 0.1, momentum: 0.9}",
    "trainer": "trainer: {epochs: 5, batch_size: 32}",
}
LOSS = Part(
    '''\
"""What $name is for, in a sentence."""

import numpy as np
from bprop.modules import Loss


class $name(Loss):
    """Mean of log cosh(y - target): squares for small differences, their size for large ones.

        value  = mean(log cosh d),   d = y - target
        grad_y = tanh(d) / size

    Shapes: y and target of one and the same shape.
    """

    def fprop(self, y, target):
        self.difference = y - target  # keep what bprop needs
        size = np.abs(self.difference)
        return (size + np.log(1 + np.exp(-2 * size)) - np.log(2)).sum() / y.size  # cosh itself would overflow

    def bprop(self):  # no grad_y: the loss is where the backward pass begins; the batch size is divided by here, once
        return np.tanh(self.difference) / self.difference.size

    def check_arguments(self, y_shape, target_shape):  # so that nothing broadcasts silently
        if tuple(y_shape) != tuple(target_shape):
            raise ValueError(f"{self.label()}: y has shape {y_shape} and target {target_shape}, expected one shape")
        return ()
''',
    '''\
"""Is the gradient of $name that of its value? If not, the report says what is wrong with it."""

import numpy as np
import pytest
from bprop.modules import check_module
from $stem import $name


def test_$stem():
    random = np.random.default_rng(0)
    y, target = random.standard_normal((8, 3)), random.standard_normal((8, 3))
    check_module($name(), y, target).raise_if_wrong()
    assert $name()(y, y) == pytest.approx(0, abs=1e-6)


def test_${stem}_refuses_other_shapes():
    with pytest.raises(ValueError, match="expected one shape"):
        $name().fprop(np.ones((4, 1)), np.ones(4))
''',
    {
        "dataset": "dataset: Diabetes",
        "model": "model:\n  - Linear: {in_features: 10, out_features: 16}\n  - Tanh\n"
        "  - Linear: {in_features: 16, out_features: 1}",
        "loss": "loss: $stem.$name",
        "optimizer": "optimizer:\n  SGD: {lr: 0.01, momentum: 0.9}",
    },
)
OPTIMIZER = Part(
    '''\
"""What $name is for, in a sentence."""

import numpy as np
from bprop.trainers import Optimizer


class $name(Optimizer):
    """Steps along an average of the gradients.

        average    = momentum average + (1 - momentum) gradient
        parameter -= lr average

    Args: lr: learning rate; momentum: 0 to 1; common: what all optimizers have (weight_decay, clip_norm, groups...).
    """

    def __init__(self, lr: float = 0.1, momentum: float = 0.9, **common):
        super().__init__(**common)
        if not 0 <= momentum < 1:
            raise ValueError(f"$name: momentum is {momentum}, expected 0 to 1")
        self.lr, self.momentum = float(lr), float(momentum)

    def start(self, parameters):  # once for each net: make what update keeps; it is saved and resumed
        self.average = np.zeros_like(parameters)

    def update(self, parameters, gradients):  # compiled; all parameters of the net as one vector (P,), changed in place
        self.average[:] = self.momentum * self.average + (1 - self.momentum) * gradients
        parameters -= self.lr * self.average
''',
    '''\
"""Does $name do what its equations say, and train?"""

import numpy as np
from bprop.modules import Linear, MeanSquaredError
from bprop.trainers import compile_step
from $stem import $name


def test_${stem}_follows_its_equations():
    net = Linear(3, 1)
    before = net.flat_parameters.copy()
    net.flat_gradients[:] = [1, 2, 3, 4]
    $name(lr=0.5, momentum=0.9).update(net)
    np.testing.assert_allclose(net.flat_parameters, before - 0.5 * 0.1 * np.array([1, 2, 3, 4]), rtol=1e-5)


def test_${stem}_trains():
    x = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    step = compile_step(Linear(3, 1), MeanSquaredError(), $name(lr=0.1))
    losses = [step(x, x.sum(axis=1, keepdims=True)) for _ in range(100)]
    assert losses[-1] < 0.1 * losses[0]
''',
    {"optimizer": "optimizer:\n  $stem.$name: {lr: 0.2}"},
)
SCHEDULE = Part(
    '''\
"""What $name is for, in a sentence."""

from bprop.trainers import Schedule


class $name(Schedule):
    """Falls from the setting to 0 by a power of the time that is left.

        setting = base (1 - t / total)^power

    Args: power: at least 0; per: whether t counts epochs or steps.
    """

    def __init__(self, power: float = 2.0, per: str = "epoch"):
        super().__init__(per)
        if power < 0:
            raise ValueError(f"$name: power is {power}, expected at least 0")
        self.power = power

    def value(self, base, t, total):  # a function of time alone: so a resumed training goes on as if it had not stopped
        return base * (1 - t / total) ** self.power
''',
    '''\
"""Does $name begin and end where it should?"""

import numpy as np
from bprop.modules import Linear, MeanSquaredError
from bprop.trainers import SGD, Callback, Trainer
from $stem import $name


def test_${stem}_by_its_equation():
    values = [$name(power=2.0).value(0.8, t, 4) for t in range(5)]
    np.testing.assert_allclose(values, [0.8, 0.45, 0.2, 0.05, 0.0])


class Rates(Callback):
    def __init__(self):
        self.rates = []

    def on_epoch_end(self, trainer, row):
        self.rates.append(trainer.optimizer.lr)


def test_${stem}_sets_the_learning_rate():
    seen, schedules, x = Rates(), {"optimizer.lr": $name()}, np.ones((8, 2))
    net, loss, sgd = Linear(2, 1), MeanSquaredError(), SGD(lr=0.8)
    trainer = Trainer(net, loss, sgd, schedules=schedules, callbacks=[seen], quiet=True)
    trainer.fit((x, x[:, :1]), epochs=4, batch_size=4)
    np.testing.assert_allclose(seen.rates, [0.8, 0.45, 0.2, 0.05], rtol=1e-6)
''',
    {"schedules": "schedules:\n  optimizer.lr: $stem.$name"},
)
CALLBACK = Part(
    '''\
"""What $name is for, in a sentence."""

from bprop.trainers import Callback


class $name(Callback):
    """Adds the smallest training loss so far to each epoch's figures, and stops when it has been reached.

    Args: enough: the loss that ends the training.
    """

    def __init__(self, enough: float = 0.01):
        self.enough, self.best = enough, float("inf")

    def on_epoch_end(self, trainer, row):  # row: {"epoch": 1, "train_loss": ..., "valid_loss": ...}
        self.best = min(self.best, row["train_loss"])
        row["best_loss"] = self.best  # a column of its own in metrics.csv
        if self.best <= self.enough:
            trainer.stop(f"train_loss is {self.best:.3g}")

    def state_dict(self):  # what a resumed training must know
        return {"best": self.best}

    def load_state_dict(self, state):
        self.best = state["best"]
''',
    '''\
"""Does $name hear of each epoch, stop the training, and remember?"""

import numpy as np
from bprop.modules import Linear, MeanSquaredError
from bprop.trainers import SGD, Trainer
from $stem import $name


def fit(callback, epochs):
    x = np.random.default_rng(0).standard_normal((32, 2)).astype(np.float32)
    trainer = Trainer(Linear(2, 1), MeanSquaredError(), SGD(lr=0.1), callbacks=[callback], quiet=True)
    return trainer.fit((x, x[:, :1]), epochs=epochs, batch_size=8)


def test_${stem}_adds_a_figure():
    rows = fit($name(enough=0.0), epochs=3)
    assert [row["best_loss"] for row in rows] == list(np.minimum.accumulate([row["train_loss"] for row in rows]))


def test_${stem}_stops_and_remembers():
    callback = $name(enough=1e9)
    assert len(fit(callback, epochs=3)) == 1
    other = $name()
    other.load_state_dict(callback.state_dict())
    assert other.best == callback.best
''',
    {"callbacks": "callbacks:\n  - $stem.$name: {enough: 0.05}"},
)
METRIC = Part(
    '''\
"""What $name is for, in a sentence."""

from bprop.trainers import Metric


class $name(Metric):
    """The share of samples whose right class is among the two most probable.

    Shapes: y (N, K), the probabilities of the classes; target (N,), labels.
    """

    better = "max"  # what EarlyStopping and Checkpoint call an improvement
    of_probabilities = True  # y are probabilities, not the outputs of the net

    def value(self, y, target):
        own = y[range(len(y)), target]
        return ((y > own[:, None]).sum(axis=1) < 2).mean()
''',
    '''\
"""Is $name right where one can count by hand?"""

import numpy as np
from $stem import $name


def test_$stem():
    y = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    assert $name()(y, np.array([1, 2, 2])) == 2 / 3
    assert np.isnan($name()(y * np.nan, np.array([1, 2, 2])))
''',
    {"trainer": "trainer:\n  epochs: 5\n  batch_size: 32\n  metrics:\n    - accuracy\n    - $stem.$name"},
)
AUGMENTATION = Part(
    '''\
"""What $name is for, in a sentence."""

from bprop.trainers import Augment


class $name(Augment):
    """Makes each image brighter or darker by a random factor, in training only.

        y = x f,   f uniform on 1 - most .. 1 + most

    Args: most: 0 to 1.
    """

    def __init__(self, most: float = 0.2):
        super().__init__()
        if not 0 <= most <= 1:
            raise ValueError(f"$name: most is {most}, expected 0 to 1")
        self.most = float(most)

    def numbers(self, shape):  # random numbers for an image (C, H, W); a resumed training draws the same
        return 1

    def transform(self, x, y, u):  # compiled; fill y by what becomes of x, u from [0, 1)
        factor = 1 + self.most * (2 * u[0] - 1)
        channels, height, width = x.shape
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    y[c, i, j] = x[c, i, j] * factor
''',
    '''\
"""Does $name change each image as it says, and in the same way when it is asked again?"""

import numpy as np
from $stem import $name


def test_$stem():
    augment, x = $name(most=0.5), np.ones((50, 1, 4, 4), np.float32)
    factors = augment.apply(x, 0).copy()
    assert (factors == factors[:, :1, :1, :1]).all()  # one factor for each image
    assert 0.5 <= factors.min() < 0.7 < 1.3 < factors.max() <= 1.5
    np.testing.assert_array_equal(augment.apply(x, 0), factors)
    np.testing.assert_array_equal(augment.apply(x[:10], 20), factors[20:30])  # whatever the minibatches are
''',
    {"augment": "augment:\n  - $stem.$name: {most: 0.3}"},
)
DATASET = Part(
    '''\
"""What $name is, in a sentence."""

from functools import cached_property

import numpy as np
from bprop.datasets import ArrayDataset, Dataset


class $name(Dataset):
    """Points in the plane, inside or outside of a circle.

    Args: samples: of the training part; the validation part has a quarter of it; seed: of the random numbers.
    """

    input_shape, target_shape, classes = (2,), (), 2  # known before any data is read

    def __init__(self, samples: int = 400, seed: int = 0):
        if samples < 4:
            raise ValueError(f"$name: samples is {samples}, expected at least 4")
        self.samples, self.seed = samples, seed

    def part(self, number: int, samples: int) -> ArrayDataset:
        x = np.random.default_rng((self.seed, number)).uniform(-1, 1, (samples, 2))
        return ArrayDataset(x, (x**2).sum(axis=1) < 0.6, classes=2)

    @cached_property  # read when it is first asked for
    def train(self):
        return self.part(0, self.samples)

    @cached_property
    def valid(self):
        return self.part(1, self.samples // 4)
''',
    '''\
"""Are the parts of $name as its shapes say, and the same each time?"""

import numpy as np
from $stem import $name


def test_$stem():
    data = $name(samples=100)
    for part, samples in ((data.train, 100), (data.valid, 25)):
        x, y = part[:]
        assert x.shape == (samples, *data.input_shape)
        assert y.shape == (samples, *data.target_shape)
        assert set(y) == set(range(data.classes))
    np.testing.assert_array_equal(data.train.x, $name(samples=100).train.x)
    assert not np.array_equal(data.train.x[:25], data.valid.x)
''',
    {
        "dataset": "dataset:\n  $stem.$name: {samples: 400}",
        "model": "model:\n  - Linear: {in_features: 2, out_features: 16}\n  - Tanh\n"
        "  - Linear: {in_features: 16, out_features: 2}",
    },
)
RULE = Part(
    '''\
"""What $name is, in a sentence."""

import numpy as np
from bprop.trainers import Rule, compute_grad_x, compute_parameter_gradients


class $name(Rule):
    """Feedback by random matrices that have the signs of the weights.

        grad_x      = grad_y B,   B = sign(W) |R|,   R random and fixed
        grad_weight = as in backprop

    Args: scale: of R; seed: of its numbers.
    """

    def __init__(self, scale: float = 1.0, seed: int = 0):
        super().__init__(seed)
        if not scale > 0:
            raise ValueError(f"$name: scale is {scale}, expected above 0")
        self.scale = float(scale)

    def start(self, layer, input_shape, output_shape, outputs):  # at each layer with a weight matrix, self.weight
        size = self.scale / np.sqrt(self.weight[0].size)
        self.sizes = np.abs(self.random().normal(0, size, self.weight.shape))
        self.matrix = np.zeros(self.weight.shape)

    def bprop(self, layer, grad_y):  # compiled; x, y, error and target are to be had, too, by these names
        grad_x = compute_parameter_gradients(layer, grad_y)
        if self.needs_grad_x:
            self.matrix[...] = np.sign(self.weight) * self.sizes
            grad_x = compute_grad_x(self, layer, grad_y, self.matrix)
        return grad_x
''',
    '''\
"""Does $name come closer to the gradient as it trains?"""

import numpy as np
from bprop.modules import Linear, Sequential, SoftmaxCrossEntropy, Tanh
from bprop.trainers import SGD, Trainer
from $stem import $name


def test_$stem():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 8)).astype(np.float32)
    net = Sequential(Linear(8, 16), Tanh(), Linear(16, 3))
    trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.2), rule=$name(), quiet=True)
    history = trainer.fit((x, x[:, :3].argmax(axis=1)), epochs=20, batch_size=20)
    assert history[-1]["train_accuracy"] > 0.8
    assert history[-1]["angle.0"] < 60  # degrees, between the first layer's update and the gradient
    assert history[-1]["angle.2"] < 1  # the last layer has the gradient
''',
    {"rule": "rule:\n  $stem.$name: {scale: 1.0}"},
)
PARTS = {
    "loss": LOSS,
    "optimizer": OPTIMIZER,
    "rule": RULE,
    "schedule": SCHEDULE,
    "callback": CALLBACK,
    "metric": METRIC,
    "augmentation": AUGMENTATION,
    "dataset": DATASET,
}


def format_config(kind: str) -> str:
    """Format the config with the part."""
    head = f"# With $name, the {kind} of $stem.py beside this file:   bprop train $stem.yaml\nseed: 0\n"
    return head + "\n".join({**DIGITS, **PARTS[kind].sections}.values()) + "\n"
