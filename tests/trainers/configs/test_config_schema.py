"""The JSON Schema of configs: it takes what bprop takes, and refuses an editor's typical mistakes."""

import json
from pathlib import Path

import pytest
from bprop.trainers import cli
from bprop.trainers.configs import list_packaged_configs, load_config
from bprop.trainers.configs.schema import make_config_schema
from ruamel.yaml import YAML

CONFIGS = [*list_packaged_configs().values(), *sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))]
RIGHT = """
dataset: Iris
model:
  - Linear: {in_features: 4, out_features: 3}
  - my_units.Scale: {features: 3}
  - my_units.Other
  - Tanh
  - Tanh:
  - Sequential: [Tanh, Dropout: {p: 0.5}]
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 1, momentum: 0.9, groups: [Group: {match: "*.bias", lr_factor: 0.1}]}
trainer: {epochs: 2, metrics: [accuracy, TopK: {k: 2}]}
schedules: {optimizer.lr: CosineSchedule}
callbacks: [EarlyStopping: {patience: 3}]
"""


@pytest.fixture(scope="module")
def problems():
    """`problems(text)`: what a validator of the schema has against a config."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(json.dumps(make_config_schema()))
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    return lambda text: [error.message for error in validator.iter_errors(YAML(typ="safe").load(text))]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_fit_as_they_are_and_with_every_default(path, problems):
    assert problems(path.read_text(encoding="utf-8")) == []
    assert problems(load_config(path).resolved()) == []


def test_all_ways_to_write_an_object_fit(problems):
    assert problems(RIGHT) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dataset: Iris\n", ""),
        ("dataset: Iris", "dataset: Irises"),
        ("dataset:", "data:"),
        ("out_features: 3", "out_feature: 3"),
        (", out_features: 3", ""),
        ("out_features: 3", "out_features: 3.5"),
        ("out_features: 3", "out_features: three"),
        ("- Tanh\n", "- Tahn\n"),
        ("- Tanh\n", "- SoftmaxCrossEntropy\n"),
        ("- Tanh\n", "- Linear\n"),
        ("loss: SoftmaxCrossEntropy", "loss: Tanh"),
        ("loss: SoftmaxCrossEntropy", "loss: {SoftmaxCrossEntropy: {label_smoothing: much}}"),
        ("Dropout: {p: 0.5}", "Dropout: {p: 0.5}, Tanh:"),
        ("lr_factor: 0.1", "lr_factor: fast"),
        ("epochs: 2", "epoch: 2"),
        ("k: 2", "n: 2"),
        ("CosineSchedule", "Cosine"),
    ],
)
def test_mistakes_are_refused(old, new, problems):
    assert old in RIGHT
    assert problems(RIGHT.replace(old, new, 1)) != []


def test_editors_see_defaults_and_what_a_class_is(capsys):
    assert cli.main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    sgd = schema["definitions"]["arguments of SGD"]
    assert sgd["description"] == "Gradient descent with momentum."
    assert sgd["required"] == ["lr"]
    assert sgd["properties"]["momentum"] == {"type": "number", "default": 0.0}
    settings = schema["properties"]["trainer"]["anyOf"][0]["properties"]
    assert settings["batch_size"] == {"type": "integer", "default": 32}
    assert settings["steps"] == {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}
