"""Bits are those of one instruction set: it is recorded, another one is told, and --same-bits keeps the first."""

import hashlib
import json
import os
import re
import subprocess
import sys
import warnings

import pytest
from bprop.modules.compiler import instruction_set
from bprop.trainers.cli import main
from bprop.trainers.cli import resume as command
from bprop.trainers.files import versions
from bprop.trainers.files.checkpoints import read_checkpoint
from bprop.trainers.training import trainer_state

CONFIG = """
dataset: Iris
model: [Linear: {in_features: 4, out_features: 3}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 1}
"""
OTHER = {"cpu": "pentium4", "features": "mmx,sse,sse2", "vector_bytes": 16, "blas": "Prescott"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder with a trained run in it, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris.yaml").write_text(CONFIG)
    assert main(["train", "iris.yaml", "--run", "run", "--quiet"]) == 0
    return tmp_path / "run"


def test_the_instruction_set_is_recorded_and_another_one_is_told(run, monkeypatch, capsys):
    own = versions.describe_instruction_set()
    assert own["cpu"] == instruction_set.cpu_name()
    assert set(own) == {"cpu", "features", "vector_bytes", "blas"}
    assert json.loads((run / "summary.json").read_text())["instruction_set"] == own
    assert read_checkpoint(run / "checkpoint")["written_by"]["instruction_set"] == own
    capsys.readouterr()
    assert main(["resume", "run", "trainer.epochs=2", "--quiet"]) == 0
    assert "instruction set" not in capsys.readouterr().err
    monkeypatch.setattr(trainer_state, "describe_instruction_set", lambda: OTHER)
    trainer_state.describe_writer.cache_clear()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            assert main(["resume", "run", "trainer.epochs=3", "--quiet"]) == 0
        lines = [line for line in capsys.readouterr().err.splitlines() if "instruction set" in line]
        assert lines == [
            "bprop: warning: the checkpoint was written on another instruction set "
            f"(cpu {own['cpu']} there, pentium4 here, vector_bytes {own['vector_bytes']} there, 16 here, "
            f"blas {own['blas']} there, Prescott here, other features): the bits differ from here on; "
            "'bprop resume RUN --same-bits' keeps them where this processor can"
        ]
    finally:
        trainer_state.describe_writer.cache_clear()


def test_a_checkpoint_of_an_older_version_says_nothing_of_it():
    record = {name: value for name, value in trainer_state.describe_writer().items() if name != "instruction_set"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer_state.warn_of_changes(record)


def test_same_bits_starts_the_command_with_the_recorded_instruction_set(run, monkeypatch):
    started = []
    monkeypatch.setattr(command.os, "execve", lambda *arguments: started.append(arguments))
    assert main(["resume", "run", "--same-bits", "--quiet"]) == 0
    assert not started, "it is this one"
    own = versions.describe_instruction_set()
    monkeypatch.setattr(versions, "describe_instruction_set", lambda: OTHER)
    assert main(["resume", "run", "trainer.epochs=1", "--same-bits", "--quiet"]) == 0
    ((program, words, environment),) = started
    assert program == sys.executable
    assert words[4:] == ["resume", "--quiet", "--", "run", "trainer.epochs=1"]
    assert environment["NUMBA_CPU_NAME"] == own["cpu"]
    assert environment["OPENBLAS_CORETYPE"] == own["blas"]
    features = environment["NUMBA_CPU_FEATURES"].split(",")
    assert {word[1:] for word in features if word.startswith("+")} == set(own["features"].split(","))
    assert any(word.startswith("-") for word in features)


def test_same_bits_is_refused_where_the_processor_lacks_something(run, monkeypatch, capsys):
    monkeypatch.setattr(instruction_set, "host_features", lambda: frozenset(["sse2"]))
    monkeypatch.setattr(versions, "describe_instruction_set", lambda: OTHER)
    capsys.readouterr()
    assert main(["resume", "run", "--same-bits"]) == 2
    message = r"bprop: error: resume --same-bits: this processor, \S+, lacks .+ of \S+; without it the bits differ"
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize("features", ["", "+avx2,-avx512f"])
def test_what_numba_was_told_is_told_again(features, monkeypatch):
    monkeypatch.setattr(instruction_set, "host_features", lambda: frozenset(["avx2"]))
    variables = instruction_set.variables_for({"cpu": "generic", "features": features, "vector_bytes": 32})
    assert (variables["NUMBA_CPU_NAME"], variables["NUMBA_CPU_FEATURES"]) == ("generic", features)


@pytest.mark.parametrize(
    ("features", "names"),
    [("+avx2,-avx512f", {"avx2"}), ("", set()), ("+avx512f", {"avx512f"})],
)
def test_what_numba_is_told_is_the_instruction_set(features, names, monkeypatch):
    monkeypatch.setattr(instruction_set.config, "CPU_FEATURES", features)
    assert instruction_set.cpu_features() == names


@pytest.mark.slow
@pytest.mark.jit
def test_same_bits_as_on_the_other_machine(tmp_path):
    (tmp_path / "iris.yaml").write_text(CONFIG)

    def bprop(*words, **environment):
        own = os.environ | {"OPENBLAS_CORETYPE": "", **environment}
        line = [sys.executable, "-m", "bprop.trainers.cli", *words, "--quiet"]
        done = subprocess.run(line, cwd=tmp_path, env=own, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def weights(name):
        return hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest()

    bprop("train", "iris.yaml", "--run", "whole", "trainer.epochs=2", NUMBA_CPU_NAME="generic")
    for name in ("same", "other"):
        bprop("train", "iris.yaml", "--run", name, NUMBA_CPU_NAME="generic")
    assert "instruction set" not in bprop("resume", "same", "trainer.epochs=2", "--same-bits")
    assert weights("same") == weights("whole")
    assert "cpu generic there" in bprop("resume", "other", "trainer.epochs=2")
    bprop("train", "iris.yaml", "--run", "own", "trainer.epochs=2")
