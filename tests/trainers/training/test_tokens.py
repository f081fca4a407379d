"""Nets that begin with tokens: what a training, an evaluation, predictions, runs and the commands make of them."""

import json
import re

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import Embedding, Flatten, Linear, Sequential, SoftmaxCrossEntropy
from bprop.trainers import SGD, Trainer
from bprop.trainers.cli import main

RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.integers(0, 7, (40, 3))
LABELS = RANDOM.integers(0, 4, 40)


def make_trainer():
    model = Sequential(Embedding(7, 4), Flatten(), Linear(12, 4))
    return Trainer(model, SoftmaxCrossEntropy(), SGD(lr=0.5), quiet=True)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint16", "uint64", "float32"])
def test_tokens_of_any_dtype_train_alike(dtype):
    histories = []
    for x in (TOKENS, TOKENS.astype(dtype)):
        trainer = make_trainer()
        trainer.model.flat_parameters[:] = np.linspace(-1, 1, trainer.model.parameter_count)
        trainer.fit((x, LABELS), (x, LABELS), epochs=2, batch_size=16)
        histories.append([{k: v for k, v in row.items() if k != "seconds"} for row in trainer.history])
        histories[-1].append(trainer.predict(x).tolist())
    assert histories[0] == histories[1]


@pytest.mark.parametrize(("wrong", "row"), [(7, 38), (-1, 5)])
@pytest.mark.parametrize("part", ["train", "valid", "check", "evaluate", "predict"])
def test_tokens_out_of_range_are_refused_before_anything_runs(part, wrong, row):
    x = TOKENS.copy()
    x[row, 1] = wrong
    trainer = make_trainer()
    before = trainer.model.flat_parameters.copy()
    calls = {
        "train": lambda: trainer.fit((x, LABELS), batch_size=8),
        "valid": lambda: trainer.fit((TOKENS, LABELS), (x, LABELS), batch_size=8),
        "check": lambda: trainer.check((x, LABELS), batch_size=8),
        "evaluate": lambda: trainer.evaluate((x, LABELS)),
        "predict": lambda: trainer.predict(x),
    }
    message = rf"^Embedding\(7, 4\): token {wrong} in row {row}, expected 0\.\.6\n?"
    with pytest.raises(ValueError, match=message) as refused:
        calls[part]()
    assert "in model[0]" in refused.value.__notes__
    assert trainer.history == []
    assert np.array_equal(trainer.model.flat_parameters, before)


def test_all_pieces_of_a_large_data_set_are_looked_at(monkeypatch):
    monkeypatch.setattr("bprop.trainers.training.arguments.CHECKED_AT_ONCE", 10)
    x = TOKENS.astype(np.uint8)
    x[39, 2] = 200
    with pytest.raises(ValueError, match=r"^Embedding\(7, 4\): token 200 in row 39, expected 0\.\.6"):
        make_trainer().fit(ArrayDataset(x, LABELS), batch_size=8)


CONFIG = """\
seed: 0
dataset:
  NpzDataset: {path: tokens.npz, valid_size: 16, test_size: 16}
model:
  - Embedding: {num_embeddings: 5, embedding_dim: 8, padding_idx: 0}
  - PositionalEmbedding: {num_positions: 6, embedding_dim: 8}
  - Linear: {in_features: 8, out_features: 8}
  - Share: {node: 0, module: {Linear: {in_features: 8, out_features: 5}}}
loss:
  SoftmaxCrossEntropy: {ignore_index: 0}
optimizer:
  SGD: {lr: 0.3, momentum: 0.9}
trainer: {epochs: 3, batch_size: 16, metrics: [accuracy, perplexity, sequence_accuracy]}
"""
GRAPH = """\
  Graph:
    nodes:
      tokens: [Embedding: {num_embeddings: 5, embedding_dim: 8}, x]
      body: [[SinusoidalPositions: {embedding_dim: 8}, Linear: {in_features: 8, out_features: 8}], tokens]
      scores: [Share: {node: tokens, module: {Linear: {in_features: 8, out_features: 5}}}, body]
    outputs: scores
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = RANDOM.integers(1, 5, (80, 6))
    np.savez("tokens.npz", x=x.astype(np.uint8), y=np.where(np.arange(6) < 4, x[:, ::-1], 0))
    np.save("new.npy", x[:3].astype(np.uint8))
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "g.yaml").write_text(CONFIG[: CONFIG.index("  - Emb")] + GRAPH + CONFIG[CONFIG.index("loss:") :])
    return tmp_path


def run(capsys, *arguments) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("config", ["c.yaml", "g.yaml"])
def test_a_run_of_tokens_by_the_commands(folder, capsys, config):
    run(capsys, "train", config, "--run", "run")
    metrics = json.loads((folder / "run" / "summary.json").read_text())
    assert metrics["test_perplexity"] == pytest.approx(np.exp(metrics["test_loss"]), rel=1e-5)
    evaluated = json.loads(run(capsys, "evaluate", "run", "--json"))
    assert evaluated["test_loss"] == pytest.approx(metrics["test_loss"], rel=1e-6)
    lines = run(capsys, "predict", "run", "new.npy").splitlines()
    assert lines[0] == "class0,class1,class2,class3,class4,class5"
    assert len(lines) == 4
    assert "Embedding(5, 8" in run(capsys, "summary", config)
    assert "the weights of" in run(capsys, "graph", config, "--format", "mermaid")
    bad = np.load("new.npy")
    bad[2, 4] = 5
    np.save("bad.npy", bad)
    assert main(["predict", "run", "bad.npy"]) == 2
    assert re.match(r"bprop: error: Embedding\(5, 8.*\): token 5 in row 2, expected 0\.\.4\n", capsys.readouterr().err)
    np.savez("tokens.npz", x=np.full((80, 6), 5), y=np.ones((80, 6), int))
    assert main(["train", config, "--run", "again"]) == 2
    error = capsys.readouterr().err.splitlines()[0]
    assert re.search(r"bprop: error: Embedding\(5, 8.*\): token 5 in row 0, expected 0\.\.4", error)
    assert not (folder / "again").exists()


@pytest.mark.compiled
def test_other_commands_take_tokens(folder, capsys):
    assert "right: every module" in run(capsys, "check", "c.yaml")
    assert "Embedding(5, 8, padding_idx=0)" in run(capsys, "profile", "c.yaml")
    assert "compiled" in run(capsys, "warmup", "c.yaml")
    run(capsys, "train", "c.yaml", "--run", "run", "trainer.epochs=1")
    for name in ("features", "confusion"):
        assert f"{name}" in run(capsys, "plot", "run", name)
    assert main(["plot", "run", "space"]) == 2
    assert "space: a sample has labels of shape (6,), expected one label" in capsys.readouterr().err


def test_a_wrong_share_is_told_with_its_line(folder, capsys):
    (folder / "c.yaml").write_text(CONFIG.replace("node: 0", "node: 7"))
    assert main(["train", "c.yaml", "--run", "run"]) == 2
    assert (
        "element 3 shares the weights of 7, which does not stand before it; known: 0, 1, 2" in capsys.readouterr().err
    )
    (folder / "c.yaml").write_text(CONFIG.replace("out_features: 5", "out_features: 6"))
    assert main(["train", "c.yaml", "--run", "run"]) == 2
    assert "Linear(8 -> 6): weight has shape (6, 8), expected (5, 8)" in capsys.readouterr().err
