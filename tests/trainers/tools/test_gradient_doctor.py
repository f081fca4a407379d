"""`bprop check`: it finds the wrong module of a net, names its mistake, and passes the nets that are right."""

import textwrap

import numpy as np
import pytest
from bprop.modules import GradientError, Linear, SoftmaxCrossEntropy
from bprop.trainers import check_config, cli
from bprop.trainers.configs import load_config, parse_config
from bprop.trainers.tools.gradient_doctor import describe_step_problem

SCALE = '''
import numpy as np
from bprop.modules import Module, Parameter


class Scale(Module):
    """y = x * weight"""

    jit = False

    def __init__(self, features: int):
        super().__init__()
        self.weight = Parameter(np.linspace(0.5, 1.5, features))

    def fprop(self, x):
        self.x = x
        return x * self.weight

    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        return grad_y * self.weight
'''
SQUARES = """
from bprop.modules import Loss


class Squares(Loss):
    jit = False

    def fprop(self, y, target):
        self.difference = y - target
        return (self.difference**2).sum() / len(y)

    def bprop(self):
        return 2 * self.difference
"""
CONFIG = """
dataset: Iris
model:
  - Linear: {{in_features: 4, out_features: 5}}
  - {name}.Scale: {{features: 5}}
  - Tanh
  - Linear: {{in_features: 5, out_features: 3}}
loss: SoftmaxCrossEntropy
optimizer: {{SGD: {{lr: 0.1}}}}
trainer: {{epochs: 1, batch_size: 30}}
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """`written(name, old, new)` writes a config with a module of one's own, in which a line is another."""
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path / "cache"))

    def write(name, old="", new=""):
        assert old in SCALE
        (tmp_path / f"{name}.py").write_text(SCALE.replace(old, new) if old else SCALE)
        (tmp_path / "c.yaml").write_text(textwrap.dedent(CONFIG.format(name=name)))
        return str(tmp_path / "c.yaml")

    return write


@pytest.fixture
def plain(monkeypatch):
    """What the doctor says does not depend on the compiler, which takes its time."""
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)


def test_a_right_net_passes(written, plain, capsys):
    path = written("right_scale")
    assert cli.main(["check", path]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Check of {path}: 30 samples of Iris"
    assert lines[1].split(maxsplit=4) == [
        "model[1]",
        "Scale(),",
        "(30,",
        "5)",
        "right: 17 checks  beside the trace of fprop",
    ]
    assert [line.split()[0] for line in lines[2:6]] == ["model[0]", "model[2]", "model[3]", "loss"]
    net = "Sequential(Linear, Scale, Tanh, Linear)"
    assert lines[6].split(maxsplit=3)[3].startswith(net)
    assert lines[7].split(maxsplit=3)[3].startswith(f"{net} and ")
    assert lines[8] == "right: every module, the whole net, and its training step"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("averaged_scale", ".sum(axis=0)", ".mean(axis=0)", "grad_weight is divided by the batch size once too often"),
        ("flipped_scale", "return grad_y *", "return -grad_y *", "grad_x has its sign flipped"),
        ("assigned_scale", "self.grad_weight +=", "self.grad_weight[:] =", "bprop overwrites the gradient of weight"),
    ],
)
def test_a_wrong_module_is_named_with_its_mistake(written, plain, capsys, name, old, new, message):
    assert cli.main(["check", written(name, old, new)]) == 1
    out = capsys.readouterr().out
    assert f"  problem: model[1]: {message}" in out
    assert out.endswith("wrong: model[1]\n")
    assert "the whole net" not in out


def test_the_report_raises(written, plain):
    report = check_config(load_config(written("doubled_scale", "return grad_y", "return 2 * grad_y")))
    assert not report.ok
    with pytest.raises(GradientError, match=r"model\[1\]: grad_x is 2 times the right one"):
        report.raise_if_wrong()


def test_a_module_that_fails_is_named(written, plain):
    report = check_config(load_config(written("failing_scale", ".sum(axis=0)", ".sum(axis=7)")))
    assert report.problems[0].startswith("model[1]: raises AxisError: axis 7 is out of bounds")


@pytest.mark.parametrize("name", ["diabetes", "digits_mlp", "iris"])
def test_packaged_configs_pass(name, plain):
    report = check_config(load_config(name)).raise_if_wrong()
    assert repr(report) == str(report)
    assert report.as_dict()["places"]["the whole net"]["beside"] == "the trace of fprop"


@pytest.mark.jit
def test_a_compiled_net_passes():
    check_config(load_config("iris")).raise_if_wrong()


def test_other_gradients_of_the_step_are_named(plain, monkeypatch):
    net, x, target = Linear(4, 3), np.ones((2, 4), np.float32), np.array([0, 2])
    assert describe_step_problem(net, SoftmaxCrossEntropy(), (x, target)) == ""
    monkeypatch.setattr("bprop.trainers.tools.gradient_doctor.CompiledStep.__call__", lambda *arguments: 0.0)
    assert (
        describe_step_problem(net, SoftmaxCrossEntropy(), (x, target)) == "other gradients than by hand of weight, bias"
    )


def test_a_wrong_loss_is_named_with_its_mistake(tmp_path, plain):
    (tmp_path / "squares.py").write_text(SQUARES)
    text = "{dataset: Diabetes, model: [Linear: {in_features: 10, out_features: 1}], loss: squares.Squares, "
    config = parse_config(text + "optimizer: {SGD: {lr: 0.1}}}", folder=tmp_path)
    (problem,) = check_config(config).problems
    assert problem.startswith("loss: grad_y lacks 1/n, n the batch size (32 times the right one)")


def test_losses_inside_a_loss_are_checked(plain):
    loss = "MultiLoss: {parts: [LossPart: {loss: MeanSquaredError, outputs: '0:1', targets: '0:1'}]}"
    model = "[Linear: {in_features: 1, out_features: 1}]"
    config = parse_config(
        f"{{dataset: InverseProblem, model: {model}, loss: {{{loss}}}, optimizer: {{SGD: {{lr: 0.1}}}}}}"
    )
    report = check_config(config).raise_if_wrong()
    assert any(place.startswith("loss.") for place in report.reports)


def test_train_warns_of_what_was_never_checked(written, tmp_path, monkeypatch, capsys, plain):
    monkeypatch.chdir(tmp_path)
    path = written("new_scale")
    line = f"bprop: no check has been passed by new_scale.Scale as written now: bprop check {path}"
    cli.main(["train", path, "--run", "a", "--quiet"])
    assert line not in capsys.readouterr().err
    cli.main(["train", path, "--run", "b"])
    assert capsys.readouterr().err.splitlines()[0] == line
    assert cli.main(["check", path]) == 0
    capsys.readouterr()
    cli.main(["train", path, "--run", "c"])
    assert line not in capsys.readouterr().err
