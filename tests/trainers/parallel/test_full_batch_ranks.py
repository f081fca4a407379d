"""Full-batch optimizers on several ranks of MPI, from a config: the same bits as in one process, and what it costs."""

import json

import pytest
from bprop.trainers.cli import main

from ...mpi import BPROP, needs_mpi, run_ranks
from ...run_results import IRIS, read_rows

pytestmark = needs_mpi
CONFIG = f"""{IRIS}
optimizer: {{LBFGS: {{max_iter: 4}}}}
trainer: {{epochs: 2, batch_size: 32, drop_last: true}}
callbacks: [{{EarlyStopping: {{patience: 9}}}}, {{Checkpoint: {{seconds: 0, minutes: 0, best: 1}}}}, Statistics]
"""


def bprop(count, *words, **settings):
    return run_ranks(count, *BPROP, *words, **settings)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a config, and a run of one process with the shards of several."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "iris.yaml").write_text(CONFIG)
    words = [str(folder / "iris.yaml"), "trainer.shards=8", "--run", str(folder / "alone"), "--quiet"]
    assert main(["train", *words]) == 0
    return folder


def test_resume_with_another_number_of_ranks(runs):
    """Batch norm, dropout, the memory of directions and early stopping go on to the same bits."""
    bprop(2, "train", "iris.yaml", "trainer.epochs=1", "--run", "two", "--quiet", folder=runs)
    assert main(["resume", str(runs / "two"), "trainer.epochs=2", "--quiet"]) == 0
    assert read_rows(runs / "two") == read_rows(runs / "alone")
    for name in ("model.safetensors", "statistics.csv"):
        assert (runs / "two" / name).read_bytes() == (runs / "alone" / name).read_bytes()


def test_a_profile_of_passes(runs, capsys):
    profile = json.loads(bprop(2, "profile", "iris.yaml", "--json", folder=runs))
    assert profile["unit"] == "pass over all samples"
    assert all(each["compute"] > 0 and 0 <= each["wait"] <= each["exchange"] for each in profile["ranks"])
    assert main(["profile", str(runs / "iris.yaml")]) != 0
    assert "profile: LBFGS looks at all samples for each step" in capsys.readouterr().err
