"""Configs against a small framework of this file's own: the file is the package that their names are from."""

import contextlib
import re
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from bprop.trainers.configs import ConfigError, parse_config
from bprop.trainers.configs.nodes import convert_to_plain, read_yaml
from bprop.trainers.configs.yaml_writer import dump_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

__all__ = [
    "SGD",
    "Augment",
    "Callback",
    "Cosine",
    "Dataset",
    "Decay",
    "Digits",
    "EarlyStopping",
    "Initializer",
    "Linear",
    "MeanSquaredError",
    "Module",
    "Normal",
    "Optimizer",
    "Parallel",
    "Residual",
    "Schedule",
    "Sequential",
    "SoftmaxCrossEntropy",
    "Table",
    "Tanh",
    "Trainer",
    "manual_seed",
]

stream = np.random.default_rng(0)


def manual_seed(seed):
    global stream
    stream = np.random.default_rng(seed)


class Module:
    dtype = "float32"

    def to(self, dtype):
        self.dtype = dtype

    def fprop(self, x):
        return x

    def output_shape(self, shape):
        return shape


class Initializer:
    pass


class Normal(Initializer):
    def __init__(self, deviation: float = 0.01) -> None:
        self.deviation = deviation


class Linear(Module):
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_init: Initializer | None = None,
    ) -> None:
        if in_features < 1:
            raise ValueError(f"Linear: in_features is {in_features}, expected at least 1")
        self.sizes = in_features, out_features
        self.bias, self.weight_init = bias, weight_init
        self.weight = stream.normal(size=3)

    def output_shape(self, shape):
        if shape[-1] != self.sizes[0]:
            raise ValueError(f"Linear: x has shape {shape}, expected (N, {self.sizes[0]})")
        return (*shape[:-1], self.sizes[1])


class Tanh(Module):
    pass


class Sequential(Module):
    def __init__(self, *modules: Module) -> None:
        self.modules = modules
        self.place = "model"

    def output_shape(self, shape):
        for i, module in enumerate(self.modules):
            place = f"{self.place}[{i}]"
            vars(module)["place"] = place
            try:
                shape = module.output_shape(shape)
            except ValueError as error:
                error.add_note(f"in {place}")
                raise
        return shape


class Residual(Module):
    def __init__(self, inner: Module) -> None:
        self.inner = inner

    def output_shape(self, shape):
        try:
            return self.inner.output_shape(shape)
        except ValueError as error:
            error.add_note(f"in {self.place}.inner")
            raise


class Parallel(Module):
    def __init__(self, axis: int = 1, *branches: Module, scale: float = 1.0) -> None:
        self.axis, self.branches, self.scale = axis, branches, scale


class Table(Module):
    """Takes everything that is rare: no annotation, lists and mappings of objects, any keyword."""

    def __init__(
        self,
        anything=None,
        *,
        rows: list[Module] | None = None,
        named: "dict[str, Initializer] | None" = None,
        **extra,
    ):
        self.anything, self.rows, self.named, self.extra = anything, rows, named, extra


class SoftmaxCrossEntropy(Module):
    label_arguments = (1,)

    def fprop(self, y, target):
        return 0.0

    def check_shapes(self, output_shape, target_shape, classes):
        if output_shape[-1] != classes:
            raise ValueError(f"the net has {output_shape[-1]} outputs, expected the data set's {classes} classes")

    def check_reduction(self):
        pass


class MeanSquaredError(Module):
    def fprop(self, y, target):
        return 0.0


class Dataset:
    pass


class Digits(Dataset):
    input_shape, target_shape, classes = (64,), (), 10

    def __init__(self, *, root: str | Path = "data", valid_size: float = 0.15, seed: int = 0) -> None:
        self.root, self.valid_size, self.seed = root, valid_size, seed


class Schedule:
    pass


class Cosine(Schedule):
    def __init__(self, start: float, steps: int | None = None) -> None:
        self.start, self.steps = start, steps


class Decay(Schedule, ABC):
    @abstractmethod
    def rate(self): ...


class Optimizer:
    pass


class SGD(Optimizer):
    def __init__(self, lr: float | Schedule, momentum: float = 0.0, nesterov: bool = False) -> None:
        self.lr, self.momentum, self.nesterov = lr, momentum, nesterov


class Augment:
    pass


class Callback:
    def prepare(self, optimizer):
        pass


class EarlyStopping(Callback):
    def __init__(self, monitor: Literal["valid_loss", "train_loss"] = "valid_loss", patience: int = 5) -> None:
        self.monitor, self.patience = monitor, patience


class Trainer:
    def fit(self, dataset, *, valid=None, epochs: int = 10, batch_size: int = 32, callbacks=()):
        pass


CONFIG = """\
seed: 3
dataset: Digits
model:
  - Linear: {in_features: 64, out_features: 72}
  - Tanh
  - Linear: {in_features: 72, out_features: 10}
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 0.1, momentum: 0.9}
trainer: {epochs: 30}
callbacks:
  - EarlyStopping: {patience: 5}
"""
KEYS = "seed, dtype, dataset, augment, model, loss, optimizer, rule, trainer, schedules, callbacks"
SGD_LINE = "\n    accepted: SGD(lr: float | Schedule, momentum: float = 0.0, nesterov: bool = False)"
LINEAR_LINE = (
    "\n    accepted: Linear(in_features: int, out_features: int, bias: bool = True, "
    "weight_init: Initializer | None = None)"
)


def parse(text, *overrides, folder=None):
    return parse_config(text, overrides, source="c.yaml", folder=folder, packages=[__name__])


def changed(old, new):
    assert old in CONFIG
    return CONFIG.replace(old, new)


def errors(text, *overrides, folder=None):
    with pytest.raises(ConfigError) as caught:
        parse(text, *overrides, folder=folder).build()
    assert str(caught.value) == "\n".join(map(str, caught.value.errors))
    return str(caught.value)


def test_builds_what_it_says():
    made = parse(CONFIG).build()
    first, tanh, last = made.model.modules
    assert first.sizes == (64, 72)
    assert isinstance(tanh, Tanh)
    assert last.sizes == (72, 10)
    assert isinstance(made.loss, SoftmaxCrossEntropy)
    assert isinstance(made.dataset, Digits)
    assert (made.optimizer.lr, made.optimizer.momentum) == (0.1, 0.9)
    assert [callback.patience for callback in made.callbacks] == [5]
    assert made.settings == {"epochs": 30}


def test_same_seed_same_weights():
    config = parse(CONFIG)
    once, again, other = config.build(), config.build(), parse(CONFIG, "seed=4").build()
    assert np.array_equal(once.model.modules[0].weight, again.model.modules[0].weight)
    assert not np.array_equal(once.model.modules[0].weight, other.model.modules[0].weight)


def test_dtype_goes_to_model_and_loss():
    assert parse(CONFIG).dtype == "float32"
    made = parse(CONFIG, "dtype=float64").build()
    assert made.model.dtype == made.loss.dtype == "float64"


def model(text):
    return parse(changed("  - Tanh\n", f"  - {text}\n")).build().model.modules[1]


def test_nested_objects():
    inner = model("Sequential: [Tanh, Residual: {inner: Tanh}]").modules
    assert isinstance(inner[0], Tanh)
    assert isinstance(inner[1].inner, Tanh)
    assert model("Sequential").modules == ()
    assert model("Tanh:").__class__ is Tanh


def test_optional_object():
    def initializer(value):
        made = parse(CONFIG, f"model.0.Linear.weight_init={value}").build()
        return made.model.modules[0].weight_init

    assert initializer("{Normal: {deviation: 2}}").deviation == 2
    assert initializer("Normal").deviation == 0.01
    assert initializer("null") is None


def test_float_or_object():
    assert parse(CONFIG, "optimizer.SGD.lr=2").build().optimizer.lr == 2
    assert parse(CONFIG, "optimizer.SGD.lr={Cosine: {start: 0.1}}").build().optimizer.lr.start == 0.1


def test_arguments_before_and_after_varargs():
    assert model("Parallel: [Tanh, Tanh]").axis == 1
    made = model("Parallel: {axis: 2, branches: [Tanh], scale: 3.0}")
    assert (made.axis, len(made.branches), made.scale) == (2, 1, 3.0)
    assert model("Parallel: {axis: 4}").axis == 4


def test_lists_and_mappings_of_objects_and_extra_arguments():
    made = model("Table: {rows: [Tanh], named: {a: Normal}, speed: 3, deep: [{Tanh: }]}")
    assert isinstance(made.rows[0], Tanh)
    assert isinstance(made.named["a"], Normal)
    assert made.extra["speed"] == 3
    assert isinstance(made.extra["deep"][0], Tanh)


def test_argument_without_annotation_takes_objects_and_plain_values():
    assert isinstance(model("Table: {anything: Tanh}").anything, Tanh)
    assert model("Table: {anything: {a: [1, no]}}").anything == {"a": [1, "no"]}


def test_int_stays_int_where_float_is_expected():
    assert type(parse(CONFIG, "dataset.Digits.valid_size=100").build().dataset.valid_size) is int


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 3", "sed: 3", "c.yaml:1:1: sed: unknown key; did you mean 'seed'?"),
        (
            "seed: 3",
            "zzz: 3",
            "c.yaml:1:1: zzz: unknown key; known: " + KEYS + ", sweep, include",
        ),
        ("dataset: Digits\n", "", "c.yaml:1:1: the key 'dataset' is missing"),
        ("seed: 3", "seed: 1.5", "c.yaml:1:7: seed: expected int, got the float 1.5"),
        (
            "seed: 3",
            "seed: -1",
            "c.yaml:1:7: seed: got the int -1: input should be greater than or equal to 0",
        ),
        (
            "seed: 3",
            "dtype: float23",
            "c.yaml:1:8: dtype: expected 'float32' | 'float64', got the string 'float23'; did you mean 'float32'?",
        ),
        (
            "momentum: 0.9",
            "momentun: 0.9",
            "c.yaml:9:18: optimizer.SGD.momentun: unknown argument; did you mean 'momentum'?" + SGD_LINE,
        ),
        ("lr: 0.1, ", "", "c.yaml:9:3: optimizer.SGD: missing 'lr'" + SGD_LINE),
        (
            "Linear: {in_features: 64, out_features: 72}",
            "Linear",
            "c.yaml:4:5: model.0.Linear: missing 'in_features', 'out_features'" + LINEAR_LINE,
        ),
        (
            "in_features: 64",
            "in_features: 64.5",
            "c.yaml:4:27: model.0.Linear.in_features: expected int, got the float 64.5",
        ),
        (
            "in_features: 64",
            "in_features: true",
            "c.yaml:4:27: model.0.Linear.in_features: expected int, got true",
        ),
        (
            "momentum: 0.9",
            "momentum: fast",
            "c.yaml:9:28: optimizer.SGD.momentum: expected float, got the string 'fast'",
        ),
        ("momentum: 0.9", "momentum: null", "c.yaml:9:28: optimizer.SGD.momentum: expected float, got null"),
        (
            "momentum: 0.9",
            "nesterov: no",
            "c.yaml:9:28: optimizer.SGD.nesterov: expected bool, got the string 'no'",
        ),
        ("momentum: 0.9", "nesterov: 1", "c.yaml:9:28: optimizer.SGD.nesterov: expected bool, got the int 1"),
        (
            "lr: 0.1",
            "lr: Cosin",
            "c.yaml:9:13: optimizer.SGD.lr: unknown class 'Cosin', expected float | Schedule; did you mean 'Cosine'?",
        ),
        (
            "lr: 0.1",
            "lr: Tanh",
            "c.yaml:9:13: optimizer.SGD.lr: Tanh is no float | Schedule; known: Cosine",
        ),
        (
            "lr: 0.1",
            "lr: Decay",
            "c.yaml:9:13: optimizer.SGD.lr: Decay is only a base of other classes; known: Cosine",
        ),
        ("lr: 0.1", "lr: true", "c.yaml:9:13: optimizer.SGD.lr: expected float | Schedule, got true"),
        (
            "lr: 0.1",
            "lr: [1]",
            "c.yaml:9:13: optimizer.SGD.lr: expected float | Schedule, got the list [1]",
        ),
        (
            "- Tanh",
            "- Tahn",
            "c.yaml:5:5: model.1: unknown class 'Tahn', expected Module; did you mean 'Tanh'?",
        ),
        (
            "optimizer:\n  SGD: {lr: 0.1, momentum: 0.9}",
            "optimizer: X",
            "c.yaml:8:12: optimizer: unknown class 'X', expected Optimizer; known: SGD",
        ),
        (
            "- Tanh",
            "- MeanSquaredError",
            "c.yaml:5:5: model.1.MeanSquaredError: MeanSquaredError is a loss, "
            "which stands under 'loss' and not in the model",
        ),
        (
            "- Tanh",
            "- Residual: {inner: MeanSquaredError}",
            "c.yaml:5:23: model.1.Residual.inner.MeanSquaredError: MeanSquaredError is a loss, "
            "which stands under 'loss' and not in the model",
        ),
        (
            "loss: SoftmaxCrossEntropy",
            "loss: Tanh",
            "c.yaml:7:7: loss: Tanh is no loss; known: MeanSquaredError, SoftmaxCrossEntropy",
        ),
        ("dataset: Digits", "dataset: Tanh", "c.yaml:2:10: dataset: Tanh is no Dataset; known: Digits"),
        (
            "dataset: Digits",
            "dataset: Dataset",
            "c.yaml:2:10: dataset: Dataset is only a base of other classes; known: Digits",
        ),
        (
            "dataset: Digits",
            "dataset: manual_seed",
            "c.yaml:2:10: dataset: unknown class 'manual_seed', expected Dataset; known: Digits",
        ),
        (
            "dataset: Digits",
            "dataset: 5",
            "c.yaml:2:10: dataset: expected Dataset, got the int 5; write a class name, alone or with its arguments",
        ),
        (
            "  SGD: {lr: 0.1, momentum: 0.9}",
            "  SGD:\n  lr: 0.1",
            "c.yaml:9:3: optimizer: expected Optimizer, got the keys SGD, lr; "
            "write one class name with its arguments indented below it",
        ),
        (
            "{lr: 0.1, momentum: 0.9}",
            "[0.1]",
            "c.yaml:9:8: optimizer.SGD: expected arguments as {name: value}, got the list [0.1]" + SGD_LINE,
        ),
        (
            "- Tanh",
            "- Sequential: 5",
            "c.yaml:5:17: model.1.Sequential: expected arguments as {name: value} or a list, got the int 5\n"
            "    accepted: Sequential(*modules: Module)",
        ),
        (
            "- Tanh",
            "- Parallel: {branches: Tanh}",
            "c.yaml:5:26: model.1.Parallel.branches: expected a list, got the string 'Tanh'",
        ),
        (
            "- Tanh",
            "- Table: {rows: Tanh}",
            "c.yaml:5:19: model.1.Table.rows: expected list[Module] | None, got the string 'Tanh'",
        ),
        (
            "epochs: 30",
            "epoch: 30",
            "c.yaml:10:11: trainer.epoch: unknown argument; did you mean 'epochs'?\n"
            "    accepted: trainer(epochs: int = 10, batch_size: int = 32)",
        ),
        (
            "patience: 5",
            "monitor: vald_loss",
            "c.yaml:12:30: callbacks.0.EarlyStopping.monitor: expected 'valid_loss' | 'train_loss', "
            "got the string 'vald_loss'; did you mean 'valid_loss'?",
        ),
        (
            "callbacks:\n  - EarlyStopping: {patience: 5}",
            "callbacks: EarlyStopping",
            "c.yaml:11:12: callbacks: expected list[Callback], got the string 'EarlyStopping'",
        ),
        ("seed: 3", "seed: 3\nseed: 4", "c.yaml:2:1: seed: duplicate key (first on line 1)"),
        (
            "in_features: 64",
            "in_features: 0",
            "c.yaml:4:5: model.0.Linear: Linear: in_features is 0, expected at least 1" + LINEAR_LINE,
        ),
        (
            "in_features: 72",
            "in_features: 71",
            "c.yaml:6:5: model.2.Linear: Linear: x has shape (1, 72), expected (N, 71); in model[2]\n"
            "    a sample of the data set has shape (64,)",
        ),
        (
            "out_features: 10",
            "out_features: 9",
            "c.yaml:7:7: loss.SoftmaxCrossEntropy: the net has 9 outputs, expected the data set's 10 classes",
        ),
    ],
)
def test_messages(old, new, message):
    assert errors(changed(old, new)) == message


def test_all_errors_at_once_in_the_order_of_the_file():
    text = changed("seed: 3", "sed: 3").replace("Tanh", "Tahn").replace("lr: 0.1", "lr: x").replace("30", "x")
    lines = [line for line in errors(text, "seed=x", "callbacks=1").splitlines() if not line.startswith(" ")]
    places = [line.split(": ")[0] for line in lines]
    assert places == [
        "c.yaml:1:1",
        "c.yaml:5:5",
        "c.yaml:9:13",
        "c.yaml:10:19",
        "override 'seed=x'",
        "override 'callbacks=1'",
    ]


def test_all_errors_of_constructors_at_once():
    text = CONFIG.replace("in_features: 64", "in_features: 0").replace("in_features: 72", "in_features: -1")
    assert [error.place.line for error in caught_by_build(text)] == [4, 6]


def caught_by_build(text):
    with pytest.raises(ConfigError) as caught:
        parse(text).build()
    return caught.value.errors


@pytest.mark.parametrize(
    ("entry", "line", "path"),
    [
        (
            "Sequential: [Tanh,\n     Linear: {in_features: 1, out_features: 2}]",
            6,
            ("Sequential", 1, "Linear"),
        ),
        (
            "Residual:\n     inner: {Linear: {in_features: 1, out_features: 2}}",
            6,
            ("Residual", "inner", "Linear"),
        ),
        ("Linear:\n     {in_features: 1, out_features: 2}", 5, ("Linear",)),
    ],
)
def test_misfit_is_shown_at_the_innermost_layer(entry, line, path):
    (error,) = caught_by_build(changed("- Tanh", f"- {entry}"))
    assert (error.place.line, error.path) == (line, ("model", 1, *path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.yaml:1:1: a config is a mapping with the keys {keys}; it is empty"),
        ("# nothing\n", "c.yaml:1:1: a config is a mapping with the keys {keys}; it is empty"),
        ("- 1\n", "c.yaml:1:1: a config is a mapping with the keys {keys}; got the list [1]"),
    ],
)
def test_no_mapping(text, message):
    assert errors(text) == message.format(keys=KEYS)


@pytest.mark.parametrize("method", ["__init__", "output_shape"])
def test_a_mistake_inside_a_class_is_told_with_its_line(monkeypatch, method):
    def broken(self, *shape):
        raise KeyError("gone")

    monkeypatch.setattr(Tanh, method, broken)
    message = errors(CONFIG).splitlines()[0]
    line = broken.__code__.co_firstlineno + 1
    assert message.startswith("c.yaml:5:5: model.1.Tanh: " if method == "__init__" else "c.yaml:4:3: model: ")
    assert message.endswith(f"KeyError: 'gone' ({__file__}, line {line})")


def test_what_a_constructor_raises_is_shown_with_its_place(monkeypatch):
    def broken(self):
        raise TypeError("two plus two")

    monkeypatch.setattr(Tanh, "__init__", broken)
    line = broken.__code__.co_firstlineno + 1
    assert errors(CONFIG) == (
        f"c.yaml:5:5: model.1.Tanh: TypeError: two plus two ({__file__}, line {line})\n    accepted: Tanh()"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.0.Linear.in_features=0",
            "c.yaml:4:5: model.0.Linear: Linear: in_features is 0, expected at least 1 "
            "(override 'model.0.Linear.in_features=0')" + LINEAR_LINE,
        ),
        (
            "model.2.Linear.in_features=7",
            "c.yaml:6:5: model.2.Linear: Linear: x has shape (1, 72), expected (N, 7); in model[2] "
            "(override 'model.2.Linear.in_features=7')\n    a sample of the data set has shape (64,)",
        ),
        (
            "optimizer.SGD.lrr=1",
            "override 'optimizer.SGD.lrr=1': optimizer.SGD.lrr: unknown argument; did you mean 'lr'?" + SGD_LINE,
        ),
        (
            "optimizer.SGD.lr=x",
            "override 'optimizer.SGD.lr=x': optimizer.SGD.lr: unknown class 'x', "
            "expected float | Schedule; known: Cosine",
        ),
        ("optimizer=SGD", "override 'optimizer=SGD': optimizer.SGD: missing 'lr'" + SGD_LINE),
        (
            "model=[Linear: 3]",
            "override 'model=[Linear: 3]': model.0.Linear: "
            "expected arguments as {name: value}, got the int 3" + LINEAR_LINE,
        ),
        (
            "loss=Nothing",
            "override 'loss=Nothing': loss: unknown class 'Nothing', expected loss; "
            "known: MeanSquaredError, SoftmaxCrossEntropy",
        ),
        (
            "model.1=Nothing",
            "override 'model.1=Nothing': model.1: unknown class 'Nothing', expected Module; "
            "known: Linear, Parallel, Residual, Sequential, Table, Tanh",
        ),
    ],
)
def test_messages_about_overrides(override, message):
    assert errors(CONFIG, override) == message


def test_resolved_writes_every_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the path starts that no file has
    assert parse(CONFIG, "optimizer.SGD.momentum=0.5").resolved() == (
        "seed: 3\n"
        "dtype: float32\n"
        "dataset:\n"
        f"  Digits: {{root: {tmp_path / 'data'}, valid_size: 0.15, seed: 0}}\n"
        "augment: []\n"
        "model:\n"
        "  - Linear: {in_features: 64, out_features: 72, bias: true, weight_init: null}\n"
        "  - Tanh\n"
        "  - Linear: {in_features: 72, out_features: 10, bias: true, weight_init: null}\n"
        "loss: SoftmaxCrossEntropy\n"
        "optimizer:\n"
        "  SGD: {lr: 0.1, momentum: 0.5, nesterov: false}\n"
        "trainer: {epochs: 30, batch_size: 32}\n"
        "schedules: {}\n"
        "callbacks:\n"
        "  - EarlyStopping: {monitor: valid_loss, patience: 5}\n"
    )


@pytest.mark.parametrize(
    "entry",
    [
        "Sequential: [Tanh, Sequential: [], Sequential]",
        "Parallel: {axis: 2, branches: [Tanh, {Residual: {inner: Tanh}}], scale: .inf}",
        "Table: {anything: [1e-7, .nan, '1', null, {a: 'x: y'}], named: {a: Normal}, rows: [Tanh]}",
        "Residual: {inner: {Sequential: [Tanh]}}",
    ],
)
def test_resolved_round_trip(entry):
    once = parse(changed("- Tanh", f"- {entry}")).resolved()
    assert parse(once).resolved() == once


def test_one_object_as_model_and_no_callbacks():
    text = """{dataset: Digits, model: Tanh, loss: MeanSquaredError, optimizer: {SGD: {lr: 1}},
              callbacks: , trainer: }"""
    config = parse(text)
    assert isinstance(config.build().model, Tanh)
    assert "model: Tanh\n" in config.resolved()
    assert "callbacks: []\n" in config.resolved()
    assert parse(config.resolved()).resolved() == config.resolved()


OWN = """\
class Scale:
    def __init__(self, features, *, inner: "Module" = None):
        if features == 0:
            raise ValueError("Scale: features is 0")
"""


@pytest.fixture
def own_module(tmp_path):
    (tmp_path / "own_scale.py").write_text(f"from {__name__} import Module\n{OWN.replace('Scale', 'Scale(Module)', 1)}")
    yield tmp_path
    sys.modules.pop("own_scale", None)


def test_a_class_of_ones_own(own_module):
    text = changed("- Tanh", "- own_scale.Scale: {features: 3, inner: Tanh}")
    config = parse(text, "model.1.own_scale.Scale.features=4", folder=own_module)
    assert config.build().model.modules[1].__class__.__name__ == "Scale"
    assert config.sources == (own_module / "own_scale.py",)
    assert "  - own_scale.Scale:\n      features: 4\n      inner: Tanh\n" in config.resolved()
    assert parse(config.resolved(), folder=own_module).resolved() == config.resolved()


def test_a_default_that_contradicts_its_annotation_may_be_written(own_module):
    resolved = parse(changed("- Tanh", "- own_scale.Scale: {features: 3}"), folder=own_module).resolved()
    assert "  - own_scale.Scale: {features: 3, inner: null}\n" in resolved
    assert parse(resolved, folder=own_module).resolved() == resolved


def test_messages_about_a_class_of_ones_own(own_module):
    def message(entry):
        return errors(changed("- Tanh", f"- {entry}"), folder=own_module)

    assert message("own_scale.Scale") == (
        "c.yaml:5:5: model.1.own_scale.Scale: missing 'features'\n    accepted: Scale(features, inner: Module = None)"
    )
    assert message("own_scale.Scal") == (
        "c.yaml:5:5: model.1: the module 'own_scale' has no class 'Scal'; did you mean 'Scale'?"
    )
    assert message("own_scale.Scale: {features: 0}") == (
        "c.yaml:5:5: model.1.own_scale.Scale: Scale: features is 0\n    accepted: Scale(features, inner: Module = None)"
    )
    assert message("Table: {anything: {builtins.int: []}}") == (
        "c.yaml:5:24: model.1.Table.anything: no signature found for builtin type <class 'int'>"
    )


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**64, 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(plain_values)
def test_every_plain_value_is_written_and_read_back(value):
    problems = []
    assert convert_to_plain(read_yaml(dump_yaml({"key": value}), "c.yaml", problems)) == {"key": value}
    assert problems == []


@pytest.mark.parametrize("word", ["1", ".1e1", "1e5", "0o7", "0x1F", "true", "~", "", ".inf", "a: b", "- a", "#", "é"])
def test_words_that_look_like_something_else_stay_strings(word):
    assert convert_to_plain(read_yaml(dump_yaml({"key": word, word: [word]}), "c.yaml", [])) == {
        "key": word,
        word: [word],
    }


def test_paths_tuples_and_sets_are_written_as_strings_and_lists():
    assert dump_yaml({"a": Path("x/y"), "b": (1, 2), "c": {"n", "m"}}) == "a: x/y\nb: [1, 2]\nc: [m, n]\n"


pieces = st.sampled_from([*re.findall(r"\w+|\s+|[^\w\s]", CONFIG), "&x ", "*x", "!t ", "Table", "Parallel", "0", "-1"])


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CONFIG)), st.integers(0, 8), pieces), min_size=1, max_size=3))
def test_a_damaged_config_works_or_is_refused(damages):
    text = CONFIG
    for start, length, piece in damages:
        text = text[:start] + piece + text[start + length :]
    try:
        config = parse(text)
    except ConfigError:
        return
    resolved = config.resolved()
    assert parse(resolved).resolved() == resolved
    with contextlib.suppress(ConfigError):
        config.build()


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("BatchNorm", "; did you mean 'BatchNorm1d' or 'BatchNorm2d'?"),  # it was the last, whatever x is
        ("conv", "; did you mean 'Conv1d' or 'Conv2d'?"),
        ("BatchNorm2", "; did you mean 'BatchNorm2d'?"),
        ("Linaer", "; did you mean 'Linear'?"),
        ("Nothing", ""),
    ],
)
def test_a_word_that_several_classes_begin_with_names_them_all(word, hint):
    from bprop.trainers.files.suggest import format_suggestion

    assert format_suggestion(word, ["BatchNorm2d", "BatchNorm1d", "Conv1d", "Conv2d", "Linear"]) == hint
