"""A net is a function of the config's seed, wherever its modules draw from; what is not is told."""

import random
import sys

import numpy as np
import pytest
from bprop.trainers.configs import load_config, parse_config
from bprop.trainers.runs.dry_run import dry_run
from bprop.trainers.runs.run_folder import train_config

OWN = """\
import random
import numpy as np
from bprop.modules import Linear, MeanSquaredError, Module, Parameter, Sequential, get_generator


class Drawn(Module):
    def __init__(self, source: str):
        super().__init__()
        self.weight = Parameter({
            "numpy": lambda: np.random.randn(4),
            "python": lambda: np.array([random.gauss(0, 1) for _ in range(4)]),
            "generator": lambda: get_generator().normal(size=4),
            "elsewhere": lambda: np.random.default_rng().normal(size=4),
            "setting": lambda: np.ones(4),
            "buffer": lambda: np.ones(4),
        }[source]())
        if source == "setting":
            self.scale = random.SystemRandom().random()
        if source == "buffer":
            self.offsets = np.random.default_rng().normal(size=4)

    def fprop(self, x):
        self.x = x
        return x * self.weight

    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        return grad_y * self.weight
"""
REST = """\
dataset: Iris
model: [{Sequential: [{drawn_module.Drawn: {source: numpy}}, {Linear: {in_features: 4, out_features: 3}}]}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 1}
"""
SOURCE = "model.0.Sequential.0.drawn_module.Drawn.source="


@pytest.fixture
def path(tmp_path):
    (tmp_path / "drawn_module.py").write_text(OWN)
    (tmp_path / "c.yaml").write_text(REST)
    yield tmp_path / "c.yaml"
    sys.modules.pop("drawn_module", None)


@pytest.mark.parametrize("source", ["numpy", "python", "generator"])
def test_the_seed_holds_for_every_generator(path, source):
    """At every building, of a whole experiment and of the net alone; another seed gives another net."""
    config = load_config(path, [SOURCE + source])
    first = config.build().model.state_dict()
    np.random.rand(3), random.random()
    for model in (config.build().model, config.build_net()[0]):
        assert all(np.array_equal(first[name], array) for name, array in model.state_dict().items())
    for seed in (1, 2**32, 2**64 - 1):
        other = load_config(path, [SOURCE + source, f"seed={seed}"]).build().model.state_dict()
        assert not np.array_equal(first["0.0.weight"], other["0.0.weight"])
    dry_run(config)  # without a warning


@pytest.mark.parametrize(
    ("source", "attribute"), [("elsewhere", "weight"), ("setting", "scale"), ("buffer", "offsets")]
)
def test_what_is_drawn_elsewhere_is_told(path, source, attribute):
    config = load_config(path, [SOURCE + source])
    message = (
        rf"^model\.0\.0 \(Drawn\): {attribute} differs between two builds from seed 0; draw from np\.random, random"
    )
    with pytest.warns(UserWarning, match=message):
        dry_run(config)


def test_two_trainings_are_the_same(path):
    figures = [train_config(load_config(path), path.parent / name, quiet=True) for name in ("a", "b")]
    assert figures[0]["test_loss"] == figures[1]["test_loss"]


def test_modules_of_bprop_are_built_once(monkeypatch):
    config = parse_config(
        "dataset: Iris\nmodel: [{Linear: {in_features: 4, out_features: 3}}]\n" + REST[REST.index("loss") :]
    )
    monkeypatch.setattr(type(config), "build_net", None)
    dry_run(config)
