"""What a page shows of a short training, and of a run folder."""

import json

import numpy as np
import pytest
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers.configs import parse_config
from bprop.trainers.runs.run_folder import train_config
from bprop.trainers.show.arrays import decode
from bprop.trainers.show.frames import count_bins, record_frames
from bprop.trainers.show.show import record_subject
from bprop.trainers.show.subject import read_subject

CONFIG = """
seed: 3
dataset: Iris
model: [{Linear: {in_features: 4, out_features: 5}}, Tanh, {Linear: {in_features: 5, out_features: 3}}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1, momentum: 0.9}}
trainer: {epochs: 2, batch_size: 32}
callbacks: [{Checkpoint: {best: 2}}]
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG, "utf-8")
    return path


def test_a_short_training_by_numpy(config):
    with uncompiled():
        subject = read_subject(config, [], 1, None)
        data, code = record_subject(subject, 9)
    first, last = data["frames"][0], data["frames"][-1]
    assert [frame["step"] for frame in data["frames"]] == list(range(1, 10))
    assert last["loss"] < first["loss"]
    weight, bias = subject.net[0].weight, subject.net[0].bias
    norm = np.sqrt((weight.astype(float) ** 2).sum() + (bias.astype(float) ** 2).sum())
    assert first["modules"]["[0]"]["weight"] == pytest.approx(norm, rel=1e-6)
    assert first["modules"]["[1]"]["weight"] is None
    ratio, gradient = first["modules"]["[0]"]["update"], first["modules"]["[0]"]["weight gradient"]
    assert ratio == pytest.approx(0.1 * gradient / norm, rel=1e-4)  # without a velocity yet
    assert sum(first["histograms"]["0.weight"]["weights"]["counts"]) == 20
    assert sum("histograms" in frame for frame in data["frames"]) == 8
    learning = data["learning"]
    assert learning["curves"]["columns"]["train_loss"] == [frame["loss"] for frame in data["frames"]]
    assert learning["classes"] == ["setosa", "versicolor", "virginica"]
    counts = np.array(learning["confusion"])
    assert counts.sum() == learning["samples"]
    assert learning["accuracy"] == pytest.approx(np.trace(counts) / counts.sum())
    assert len(learning["mistakes"]) == min(12, counts.sum() - np.trace(counts))
    assert data["parameters"][0]["name"] == "0.weight"
    np.testing.assert_array_equal(decode(data["values"][data["parameters"][0]["value"]], data["contents"]), weight)
    assert data["play"]["data"]["features"] == 4
    assert "Math.tanh" in code


def test_a_training_that_diverges_ends(config):
    with uncompiled():
        subject = read_subject(config, ["optimizer.SGD.lr=3e38"], 0, None)
        frames = record_frames(subject, 9)
    assert len(frames) < 9
    assert "not finite" in subject.notes[0]
    json.dumps(frames)


def test_a_run_folder(config, tmp_path):
    with uncompiled():
        train_config(parse_config(CONFIG), tmp_path / "run", quiet=True)
        subject = read_subject(tmp_path / "run", [], 2, "valid")
        data, _ = record_subject(subject, 30)
    assert data["title"] == "run"
    assert [frame["title"] for frame in data["frames"]] == ["the beginning", "epoch 1", "epoch 2", "the end"]
    assert [frame["step"] for frame in data["frames"]] == [0, 1, 2, 2]
    assert data["frames"][-1]["loss"] < data["frames"][0]["loss"]
    assert data["learning"]["curves"]["time"] == "epoch"
    assert len(data["learning"]["curves"]["columns"]["valid_loss"]) == 2
    update = data["steps"][-1]["optimizer"]
    velocity = decode(data["values"][update["before"]["velocity"]], data["contents"])
    assert velocity.any()  # that of the run's last step
    assert update["runs"][0]["count"] == 43
    (tmp_path / "run" / "checkpoint").rename(tmp_path / "gone")
    with uncompiled():
        assert "no checkpoint" in read_subject(tmp_path / "run", [], 2, "valid").notes[0]
    with pytest.raises(ValueError, match="is not about the data"), uncompiled():
        read_subject(tmp_path / "run", ["seed=2"], 0, None)


def test_a_rule_and_a_full_batch_optimizer_are_told(config):
    with uncompiled():
        rule = read_subject(config, ["rule=FeedbackAlignment"], 0, None)
        full = read_subject(config, ["optimizer=LBFGS"], 0, None)
    assert "gradients are those of bprop, not of FeedbackAlignment" in rule.notes[0]
    assert "its update is shown on this sample alone" in full.notes[0]


def test_bins():
    assert count_bins(np.array([0.0, 1, 1, 24])) == {"low": 0.0, "high": 24.0, "counts": [1, 2, *[0] * 21, 1]}
    assert count_bins(np.array([np.nan])) is None
