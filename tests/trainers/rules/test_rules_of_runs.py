"""Learning rules from configs: train, evaluate, predict, resume, check, profile, plot; messages with their lines."""

import csv
import json

import numpy as np
import pytest
from bprop.trainers import SGD, Trainer, check_config
from bprop.trainers.cli import main
from bprop.trainers.configs import ConfigError, parse_config
from bprop.trainers.tools.profile import profile_config

TEXT = """
seed: 3
dataset: Iris
model:
  - Linear: {in_features: 4, out_features: 8}
  - Tanh
  - Linear: {in_features: 8, out_features: 3}
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 3, batch_size: 15}
"""
RULES = ["QuantizedWeights: {levels: 3, stochastic: true}", "EquilibriumPropagation: {steps: 5}"]


def write_config(tmp_path, rule):
    path = tmp_path / "iris_rule.yaml"
    path.write_text(f"{TEXT}rule:\n  {rule}\n" if rule else TEXT)
    return path


@pytest.mark.parametrize("rule", RULES)
def test_a_run_by_a_rule_answers_by_it(tmp_path, rule, capsys):
    path, run = write_config(tmp_path, rule), tmp_path / "run"
    assert main(["train", str(path), "--run", str(run), "--quiet"]) == 0
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [name for name in rows[0] if name.startswith(("angle", "ratio"))] == [
        "angle.0",
        "angle.2",
        "ratio.0",
        "ratio.2",
    ]
    assert rule.split(":")[0] in (run / "config.yaml").read_text()
    summary = json.loads((run / "summary.json").read_text())
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["test_loss"] == pytest.approx(summary["test_loss"], rel=1e-6)
    config = parse_config((run / "config.yaml").read_text())
    experiment = config.build()
    np.save(tmp_path / "x.npy", experiment.dataset.test.x)
    assert main(["predict", str(run), str(tmp_path / "x.npy"), "--json"]) == 0
    from bprop.trainers.runs.inference import load_weights

    load_weights(experiment.model, run)
    trainer = Trainer(experiment.model, experiment.loss, SGD(lr=0.0), rule=experiment.rule, quiet=True)
    scores = trainer.predict(experiment.dataset.test)
    assert (scores != experiment.model.eval().fprop(experiment.dataset.test.x)).any()
    said = json.loads(capsys.readouterr().out)
    assert f"{said}".count("class") >= 1


def test_an_override_adds_a_rule_and_null_takes_it_away(tmp_path, capsys):
    path = write_config(tmp_path, "")
    assert main(["train", str(path), "rule=SignSymmetry", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rule"] == "SignSymmetry()"
    assert main(["train", str(path), "rule.PredictiveCoding.steps=7", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rule"] == "PredictiveCoding(steps=7)"
    path = write_config(tmp_path, "SignSymmetry")
    assert main(["train", str(path), "rule=null", "--dry-run", "--json"]) == 0
    assert "rule" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("FeedbackAlignmnt", "unknown class 'FeedbackAlignmnt', expected Rule; did you mean 'FeedbackAlignment'?"),
        ("SGD", "SGD is no Rule; known: DifferenceTargetPropagation"),
        ("Rule", "Rule is only a base of other classes"),
        ("FeedbackAlignment: {scal: 2}", "did you mean 'scale'?"),
        ("FeedbackAlignment: {scale: -2}", "FeedbackAlignment: scale is -2, expected above 0"),
        ("ForwardForward: {strength: 0}", "ForwardForward: strength is 0, expected above 0"),
    ],
)
def test_mistakes_in_a_rule_have_their_lines(rule, message):
    with pytest.raises(ConfigError) as caught:
        parse_config(f"{TEXT}rule:\n  {rule}\n").build()
    assert message in str(caught.value).replace("\n", " ")
    assert "config:12" in str(caught.value) or "config:13" in str(caught.value)


def test_rules_that_do_not_fit_are_refused_before_the_training():
    with pytest.raises(ConfigError, match="LBFGS searches along the gradient of the loss"):
        parse_config(f"{TEXT}rule: SignSymmetry\n", ["optimizer=LBFGS"]).build()
    with pytest.raises(ConfigError, match="the model has one layer with weights, expected at least 2"):
        parse_config(f"{TEXT}rule: ForwardForward\n", ["model=[{Linear: {in_features: 4, out_features: 3}}]"]).build()


def test_check_tells_the_angles_of_what_is_no_gradient(tmp_path, monkeypatch):
    report = check_config(parse_config(f"{TEXT}rule: FeedbackAlignment\n"))
    assert report.ok
    (note,) = report.reports["the learning rule"].notes
    assert note.startswith("no gradient on purpose; angles to it: 0 ")
    assert note.endswith("2 0°")


CLAIMS = """
from bprop.trainers import Rule

class Honest(Rule):
    claims_gradient = True

    def bprop(self, layer, grad_y):
        return layer.bprop(grad_y)

class Wrong(Rule):
    claims_gradient = True

    def bprop(self, layer, grad_y):
        return layer.bprop(-grad_y)
"""


def test_check_accuses_what_claims_to_be_the_gradient(tmp_path):
    (tmp_path / "claims.py").write_text(CLAIMS)
    for name, ok in (("Honest", True), ("Wrong", False)):
        report = check_config(parse_config(f"{TEXT}rule: claims.{name}\n", folder=tmp_path))
        assert report.ok is ok
        if not ok:
            assert "the learning rule: claims to be the gradient, and is not in 2" in report.problems


DEAD = """
import numpy as np
from bprop.modules import Module
from bprop.trainers import Rule

class Cut(Module):
    def fprop(self, x):
        return x.copy()

    def bprop(self, grad_y):
        return np.zeros_like(grad_y)

    estimates = True

class Honest(Rule):
    claims_gradient = True

    def bprop(self, layer, grad_y):
        return layer.bprop(grad_y)

class Inventive(Honest):
    def bprop(self, layer, grad_y):
        return layer.bprop(grad_y + 1e-3 / len(grad_y) if self.index == 0 else grad_y)

class Broken(Honest):
    def bprop(self, layer, grad_y):
        grad_x = layer.bprop(grad_y)
        if self.index == 0:
            self.grad_weight[0, 0] = np.nan
        return grad_x

class Silent(Honest):
    claims_gradient = False
"""


def test_check_accuses_an_update_where_the_gradient_is_zero(tmp_path):
    """There is no angle to a gradient of zero, which the layer before Cut has."""
    (tmp_path / "dead.py").write_text(DEAD)
    text = TEXT.replace("  - Tanh\n", "  - Tanh\n  - dead.Cut\n")
    assert text != TEXT
    expected = {"Honest": (), "Inventive": ("0, whose gradient is zero",), "Broken": ("0, whose gradient is zero",)}
    for name, off in expected.items():
        report = check_config(parse_config(f"{text}rule: dead.{name}\n", folder=tmp_path))
        problems = tuple(f"the learning rule: claims to be the gradient, and is not in {where}" for where in off)
        assert report.problems == problems, name
    report = check_config(parse_config(f"{text}rule: dead.Silent\n", folder=tmp_path))
    (note,) = report.reports["the learning rule"].notes
    assert note == "no gradient on purpose; angles to it: 0 zero, 3 0°"


def test_a_plot_of_angles_and_a_profile(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path, run = write_config(tmp_path, "FeedbackAlignment"), tmp_path / "run"
    assert main(["train", str(path), "--run", str(run), "--quiet"]) == 0
    assert main(["plot", str(run), "alignment"]) == 0
    assert (run / "alignment.png").stat().st_size > 5000
    assert main(["train", str(write_config(tmp_path, "")), "--run", str(tmp_path / "plain"), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["plot", str(tmp_path / "plain"), "alignment"]) == 2
    assert "was trained by backprop: there is no learning rule to compare with it" in capsys.readouterr().err


@pytest.mark.jit
def test_a_profile_names_the_rule(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the picture is written
    path = write_config(tmp_path, "FeedbackAlignment")
    assert main(["profile", str(path), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in figures["rows"] if row["kind"] == "rule"}
    assert list(rows) == ["[2] Linear(8 -> 3) by FeedbackAlignment()", "[0] Linear(4 -> 8) by FeedbackAlignment()"]
    last, first = rows.values()
    assert last["flops"] == 4 * 15 * 8 * 3
    assert first["flops"] == 2 * 15 * 4 * 8, "the first layer has no grad_x"
    forward = next(row for row in figures["rows"] if row["name"] == "[2] Linear(8 -> 3)")
    assert forward["flops"] == 2 * 15 * 8 * 3, "its backward pass is in the row of the rule"
    assert figures["gradient"] is None, "what goes backward is no gradient"


@pytest.mark.jit
def test_a_profile_names_what_a_rule_for_chains_does(tmp_path, monkeypatch):
    monkeypatch.setattr("bprop.trainers.tools.profile.ROUNDS", 1)
    monkeypatch.setattr("bprop.trainers.tools.profile.ROUND_SECONDS", 0.01)
    unit = "  - Linear: {in_features: 8, out_features: 8}\n  - Tanh\n"
    text = TEXT.replace("  - Tanh\n", f"  - Tanh\n{unit}", 1)
    for rule, expected in (
        ("DifferenceTargetPropagation", "[2] Linear(8 -> 8) by DifferenceTargetPropagation(): Linear(8 -> 8)"),
        ("PredictiveCoding", "all layers by PredictiveCoding()"),
    ):
        report = profile_config(parse_config(f"{text}rule: {rule}\n"))
        rows = [row.name for row in report.rows if row.kind == "rule"]
        assert expected in rows
        assert {f"{place} by {rule}()" for place in ("[2] Linear(8 -> 8)", "[4] Linear(8 -> 3)")} <= set(rows)
        assert [row.name for row in report.rows if row.kind == "optimizer"] == ["SGD(lr=0.1)"]
