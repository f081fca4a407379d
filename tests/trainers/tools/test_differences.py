"""`bprop differences`: the slope is the gradient's, the errors have their valleys, and the plot is written."""

import json

import numpy as np
import pytest
from bprop.trainers import cli
from bprop.trainers.configs import load_config, parse_config
from bprop.trainers.tools.finite_differences import measure_differences


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """What is found does not depend on the compiler, which takes its time."""
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)


def test_differences_of_a_config(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["differences", "iris", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err.endswith("the plot is iris-differences.png\n")
    errors = json.loads(out)
    forward, central = (np.array(errors["errors"][f"{method} float64"]) for method in ("forward", "central"))
    assert errors["steps"][4] == pytest.approx(1e-4)
    assert central.min() < 1e-8 < forward.min() < 1e-5
    assert forward[:4].max() > 10 * forward[5]
    assert min(errors["errors"]["central float32"]) > central.min()
    assert (tmp_path / "iris-differences.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_and_dropout(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text(
        "{dataset: Iris, model: [Linear: {in_features: 4, out_features: 5}, Dropout, Tanh, "
        "Linear: {in_features: 5, out_features: 3}], loss: SoftmaxCrossEntropy, optimizer: {SGD: {lr: 0.1}}}"
    )
    assert cli.main(["differences", str(path), "--run", str(tmp_path / "plots"), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith(f"Errors of differences for {path}, 32 samples of Iris: a slope of ")
    assert lines[1].split()[0] == "step"
    assert len(lines) == 1 + 16 + 4
    assert lines[-3].startswith("central differences in float64 come within ")
    errors = measure_differences(load_config(path))
    assert errors.best("central", "float64")[1] < 1e-8, "the random numbers of dropout are the same in each run"
    assert repr(errors.as_dict()["title"]) in repr(errors.title)


def test_a_loss_without_a_slope_is_refused():
    text = "{dataset: InverseProblem, model: [Identity], loss: MeanSquaredError, optimizer: {SGD: {lr: 0.1}}}"
    with pytest.raises(ValueError, match=r"the loss does not depend on any parameter here, so there is no slope"):
        measure_differences(parse_config(text))
