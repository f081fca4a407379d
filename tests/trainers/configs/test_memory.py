"""What cannot fit into memory is refused in a sentence, before the system runs out of it."""

import resource
import sys

import numpy as np
import pytest
from bprop.modules import Conv2d, Flatten, Linear, Sequential, SoftmaxCrossEntropy
from bprop.trainers import SGD, Trainer
from bprop.trainers.cli import main
from bprop.trainers.configs import compatibility, memory_limit
from bprop.trainers.training import evaluation

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system does not say how much memory is left")
CONFIG = """\
dataset: Digits
model: [Flatten, {Linear: {in_features: 64, out_features: 10}}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 1, batch_size: 32}
"""
LAYER = "model.1.Linear.out_features"
SHRUNK = "[{Upsample: {size: 40000}}, {MaxPool2d: {kernel_size: 20000}}, Flatten, {Linear: [4, 10]}]"
LINEAR = "[{Linear: {in_features: 1, out_features: 1}}]"


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """What `bprop train` says of overrides that it refuses; nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG)

    def refused(*overrides, status=2):
        assert main(["train", "c.yaml", *overrides]) == status
        assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]
        return capsys.readouterr().err

    return refused


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (f"{LAYER}=10000000000", "model.1.Linear: needs an array of 4.66 TiB, more than the "),
        (f"{LAYER}={10**18}", "model.1.Linear: needs an array larger than the "),
        (f"{LAYER}={10**30}", f"{LAYER}: {10**24}... is a whole number of more than 64 bits"),
        (f"trainer.epochs={10**30}", "trainer.epochs: 1000000000000000000000000... is a whole number of more than 64"),
        ("trainer.batch_size=1000000000000", "Trainer: batch_size is 1000000000000, expected 1 to "),
        ("trainer.threads=1000000000000", "Trainer: threads is 1000000000000, expected a whole number from 1 to 64"),
        ("optimizer.SGD.lr=" + "9" * 1001, "optimizer.SGD.lr: a word has at most 1,000 characters, got 1,001"),
        ("optimizer.SGD.lr=.inf", "SGD: lr is inf, expected a finite number"),
        ("callbacks=" + "x" * 2_000_001, "callbacks: a config has at most 2,000,000 characters, got 2,000,001"),
    ],
)
def test_what_is_too_large_is_refused(refused, override, message):
    assert message in refused(override)


def test_an_output_that_is_too_large(refused):
    model = f"model={SHRUNK.replace('[4, 10]', '{in_features: 4, out_features: 10}')}"
    assert "model.0.Upsample: an output of shape (32, 1, 40000, 40000) needs 190.7 GiB at least" in refused(model)


def test_data_that_are_too_large(refused):
    data = "dataset={InverseProblem: {train_size: 1000000000000}}"
    expected = "bprop: error: it needs an array of 14.6 TiB, more than the "
    assert refused(data, f"model={LINEAR}", "loss=MeanSquaredError").startswith(expected)


def test_parameters_that_leave_no_room(refused, monkeypatch):
    monkeypatch.setattr(compatibility, "find_free_memory", lambda: 5 * 2**20)
    model = "model=[Flatten, {Linear: {in_features: 64, out_features: 20000}}, {Linear: {in_features: 20000, "
    message = refused(model + "out_features: 10}}]")
    assert "model: 1,500,010 parameters need 11.4 MiB at least, and 5.0 MiB are free" in message


def test_memory_that_ends_within_a_training(tmp_path, monkeypatch, capsys):
    def out_of_memory(self, *arguments):
        raise MemoryError("Allocation failed (probably too large).")

    monkeypatch.setattr(Trainer, "_pause", out_of_memory)
    run = tmp_path / "run"
    assert main(["train", "iris", "trainer.epochs=1", "--run", str(run), "--quiet"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("bprop: error: the training cannot go on: it needs more memory than the ")
    assert f"'bprop resume {run}' goes on from the last checkpoint" in err


def test_the_limit_holds_within_the_context_only():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory_limit.limit_memory():
        with pytest.raises(MemoryError) as caught:
            np.empty(memory_limit.find_free_memory() + 2**30, np.uint8)
        assert memory_limit.describe_shortage(caught.value).startswith("needs an array of ")
        np.empty(2**20)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"meminfo": "MemTotal: 9 kB\nMemAvailable:  5 kB\nSwapFree: 2 kB\n"}, 7 * 1024),
        ({"meminfo": "MemAvailable: 5 kB\n", "max": "4000\n", "now": "2000\n", "stat": "anon 3\nfile 100\n"}, 2100),
        ({"meminfo": "MemAvailable: 5 kB\n", "max": "max\n", "now": "2000\n"}, 5 * 1024),
        ({"max": "1000\n", "now": "2000\n"}, 0),
        ({}, None),
    ],
)
def test_what_is_free(tmp_path, monkeypatch, files, expected):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory_limit, "MACHINE", str(tmp_path / "meminfo"))
    monkeypatch.setattr(memory_limit, "GROUPS", [(*(str(tmp_path / name) for name in ("max", "now", "stat")), "file")])
    assert memory_limit.find_free_memory() == expected


def test_large_outputs_are_evaluated_in_small_pieces(monkeypatch, random):
    net = Sequential(Conv2d(1, 4, 3), Flatten(), Linear(64, 3))  # 64 numbers of 4 bytes in the largest output
    x, t = random.standard_normal((10, 1, 6, 6)).astype(np.float32), random.integers(0, 3, 10)
    made = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True)
    expected = made.evaluate((x, t)), made.predict(x)
    monkeypatch.setattr(evaluation, "BYTES", 3 * 4 * 64 + 1)
    sizes = []
    fprop = net.fprop
    monkeypatch.setitem(vars(net), "fprop", lambda x: sizes.append(len(x)) or fprop(x))
    assert made.evaluate((x, t)) == pytest.approx(expected[0], rel=1e-6)
    np.testing.assert_allclose(made.predict(x), expected[1], rtol=1e-5)
    assert sizes == [3, 3, 4] * 2  # no sample is evaluated alone, which a BatchNorm might refuse
