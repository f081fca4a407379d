"""Configs against the real packages: exported classes have signatures, the example of the design builds."""

from pathlib import Path

import numpy as np
import pytest
from bprop.trainers.configs import ConfigError, list_packaged_configs, load_config, parse_config
from bprop.trainers.configs.catalog import Catalog, Role
from bprop.trainers.configs.signatures import Accepted

HOUSING = Path(__file__).parents[4] / "shared" / "data" / "tabular" / "california-housing.csv"
EXAMPLE = """\
seed: 0
dataset: Digits
model:
  - Flatten
  - Linear: {in_features: 64, out_features: 72}
  - Tanh
  - Linear: {in_features: 72, out_features: 10}
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 0.1, momentum: 0.9}
trainer: {epochs: 30, batch_size: 32}
"""


def errors(*overrides):
    with pytest.raises(ConfigError) as caught:
        parse_config(EXAMPLE, overrides, source="c.yaml").build()
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_example_builds(dtype):
    made = parse_config(EXAMPLE, [f"dtype={dtype}"]).build()
    again = parse_config(EXAMPLE, [f"dtype={dtype}"]).build()
    assert made.model.flat_parameters.dtype == dtype
    assert np.array_equal(made.model.flat_parameters, again.model.flat_parameters)
    assert made.settings["epochs"] == 30


def test_resolved_round_trip():
    once = parse_config(EXAMPLE).resolved()
    assert "SGD: {lr: 0.1, momentum: 0.9," in once
    assert parse_config(once).resolved() == once


def test_layers_that_do_not_fit():
    assert errors("model.3.Linear.in_features=71").startswith("c.yaml:7:5: model.3.Linear: Linear(71 -> 10): ")
    assert errors("model.1.Linear.in_features=0").startswith("c.yaml:5:5: model.1.Linear: Linear: in_features is 0")
    message = errors("model.3.Linear.out_features=9")
    assert message.startswith("c.yaml:8:7: loss.SoftmaxCrossEntropy: ")
    assert "9 outputs" in message
    assert "10 classes" in message


def test_building_reads_no_data(tmp_path):
    made = parse_config(
        EXAMPLE,
        [f"dataset={{MNIST: {{root: {tmp_path}, download: false}}}}", "model.1.Linear.in_features=784"],
    ).build()
    assert made.dataset.input_shape == (1, 28, 28)
    assert list(tmp_path.iterdir()) == []


def test_every_exported_class_has_a_signature():
    catalog = Catalog()
    for base in ("Module", "Dataset", "Optimizer", "Callback"):
        names = catalog.names(Role((catalog.exported[base],), base))
        assert names
        for name in names:
            assert Accepted.of(catalog.classes[name], catalog.exported).line().startswith(f"{name}(")


@pytest.mark.parametrize("name", sorted(list_packaged_configs()))
def test_packaged_configs_build(name, monkeypatch):
    if name == "housing" or list_packaged_configs()[name].parent.name == "sequences":  # shapes known from files alone
        if not HOUSING.exists():
            pytest.skip("the files are not here")
        monkeypatch.chdir(HOUSING.parents[2])
    config = load_config(name)
    config.build()
    assert parse_config(config.resolved(), folder=config.path.parent).resolved() == config.resolved()


def test_a_schedule_comes_and_changes_by_overrides():
    new = load_config("digits_mlp", ['schedules."optimizer.lr"={CosineSchedule: {per: step}}']).build().schedules
    assert new["optimizer.lr"].per == "step"
    text = load_config("digits_mlp", ['schedules."optimizer.lr"={CosineSchedule: {per: step}}']).resolved()
    for path in ("optimizer.lr", '"optimizer.lr"'):
        changed = parse_config(text, [f"schedules.{path}.CosineSchedule.per=epoch"]).build().schedules
        assert changed["optimizer.lr"].per == "epoch"
