"""Each example runs as its first lines say, and learns."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from bprop.modules import check_gradients
from bprop.trainers.check import unchecked_notice
from bprop.trainers.configs import load_config
from bprop.trainers.runs import train_config

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def folder(tmp_path):
    """A copy of the examples: running them leaves nothing behind."""
    return shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))


def run(name, folder):
    done = subprocess.run(
        [sys.executable, name],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_own_loop(folder):
    output = run("own_loop.py", folder)
    assert output.count("epoch") == 20
    assert float(re.search(r"test accuracy (\S+)", output)[1]) > 0.95


def test_by_hand(folder):
    output = run("by_hand.py", folder)
    losses = [float(value) for value in re.findall(r"loss (\S+)", output)]
    assert losses[0] > 0.1
    assert losses[-1] < 0.001
    assert output.count("|gradient of 0.weight|") == 4


def test_swish_checks_its_gradients(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    config = load_config(folder / "digits_swish.yaml")
    experiment = config.build()
    net, loss = experiment.model, experiment.loss
    assert unchecked_notice(config, net, loss).startswith("bprop: no check has been passed by swish.Swish as written")
    assert run("swish.py", folder).endswith("right: 2 gradients within 1e-06\n")
    assert unchecked_notice(config, net, loss) == ""
    sys.modules.pop("swish")


@pytest.mark.jit
def test_a_mixture_beats_one_gaussian(folder):
    output = run("inverse_density.py", folder)
    one, three = (float(value) for value in re.findall(r"test loss (\S+)", output))
    assert three < one - 0.4
    drawn = find_spec("matplotlib") is not None
    assert (folder / "inverse_density.png").exists() == drawn
    assert ("no picture" in output) != drawn


@pytest.mark.jit
def test_a_variational_autoencoder_beats_pixels_apart(folder):
    output = run("vae_digits.py", folder)
    apart, bound = (float(value) for value in re.findall(r"(\S+) nats", output))
    assert bound < apart - 20
    lines = output.splitlines()[2:]
    assert (len(lines), {len(line) for line in lines}) == (8, {6 * 16 + 5 * 2})
    assert "@" in "".join(lines) or "%" in "".join(lines)


def test_an_evaluation_trace(folder):
    output = run("evaluation_trace.py", folder)
    assert "\nv7  v5 + v6    8.47976   16.7781  1\n" in output
    assert "the derivative for x1: 16.77811219786" in output
    assert float(output.split()[-1]) < 1e-14


def test_numerical_derivatives(folder):
    output = run("numerical_derivatives.py", folder)
    rows = {line.split()[0]: [float(word) for word in line.split()[1:]] for line in output.splitlines()[6:]}
    assert rows["1e-08"][0] < 1e-7 < rows["1e-02"][0]
    assert rows["1e-05"][1] < 1e-9 < min(rows["1e-02"][1], rows["1e-10"][1])
    assert max(rows[step][2] for step in ("1e-08", "1e-14")) < 1e-15


@pytest.mark.jit
def test_a_module_without_bprop_learns(folder):
    output = run("without_bprop.py", folder)
    assert "beside differences: the trace is what Swish() has for a bprop" in output
    assert float(output.split()[-1]) < 0.002


@pytest.mark.parametrize("slope", [0.5, 2.0])
def test_swish(slope):
    spec = spec_from_file_location("swish_of_the_examples", EXAMPLES / "swish.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    swish, x = module.Swish(5).to("float64"), np.random.default_rng(0).normal(size=(8, 5))
    swish.slope = np.full(5, slope)
    check_gradients(swish, x).raise_if_wrong()
    np.testing.assert_allclose(swish.fprop(x), x / (1 + np.exp(-slope * x)), rtol=1e-12)


def test_digits_with_swish(folder, tmp_path):
    figures = train_config(
        load_config(folder / "digits_swish.yaml", ["trainer.epochs=10"]), tmp_path / "run", quiet=True
    )
    sys.modules.pop("swish")
    assert figures["test_accuracy"] > 0.95
    assert figures["parameters"] == 64 * 72 + 72 + 72 + 72 * 10 + 10
    assert (tmp_path / "run" / "swish.py").read_text() == (EXAMPLES / "swish.py").read_text()


def test_every_example_is_here():
    assert {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".yaml")} == {
        "by_hand.py",
        "digits_swish.yaml",
        "evaluation_trace.py",
        "inverse_density.py",
        "numerical_derivatives.py",
        "own_loop.py",
        "swish.py",
        "vae_digits.py",
        "without_bprop.py",
    }
