"""Trainings on several ranks of MPI: the same bits as in one process. Needs an MPI, as `bprop[mpi]` brings it."""

import json
import re
import signal
import subprocess
import sys
import time
from functools import cache

import pytest
from bprop.trainers.cli import main

from ...mpi import BPROP, make_command, make_environment, needs_mpi, run_ranks
from ...run_results import IRIS, read_rows, read_summary
from . import nets

pytestmark = needs_mpi
CONFIG = f"""{IRIS}
optimizer: {{Adam: {{lr: 0.01}}}}
trainer: {{epochs: 3, batch_size: 32, drop_last: true}}
callbacks: [{{EarlyStopping: {{patience: 9}}}}, {{Checkpoint: {{seconds: 0, minutes: 0, best: 1}}}}, Statistics]
"""


def bprop(count, *words, **settings):
    return run_ranks(count, *BPROP, *words, **settings)


@cache
def train_alone(name):
    """What one process makes of a net, as it is printed."""
    return json.loads(json.dumps(nets.train(name)))


@pytest.mark.parametrize(
    ("ranks", "shared"),
    [(2, "1"), pytest.param(4, "0", marks=pytest.mark.slow), pytest.param(8, "1", marks=pytest.mark.slow)],
)
def test_the_same_bits_for_any_number_of_ranks(ranks, shared):
    """In memory that the ranks share, and by messages; all nets with the slow tests."""
    names = nets.NETS if ranks > 2 else ["mlp", "cnn", "graph", "wide", "wide_sgd", "streams", "lbfgs"]
    expected = {name: train_alone(name) for name in names}  # which compiles what all ranks need
    results = json.loads(run_ranks(ranks, sys.executable, nets.__file__, *names, BPROP_MPI_SHARED_MEMORY=shared))
    assert results == expected


@pytest.mark.parametrize(("ranks", "names"), [(2, ["cnn"]), (4, ["cnn", "wide"])])
def test_the_same_bits_by_sections_that_are_sent_early(ranks, names):
    words = sys.executable, nets.__file__, *names
    results = json.loads(run_ranks(ranks, *words, BPROP_MPI_SHARED_MEMORY="0", EARLY="1"))
    assert results.pop("begun") == 2, "in both epochs of the first net; the other's widest layer is the first one"
    assert results == {name: train_alone(name) for name in names}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a config, and a run of one process with the shards of several."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "iris.yaml").write_text(CONFIG)
    assert (
        main(["train", str(folder / "iris.yaml"), "trainer.shards=8", "--run", str(folder / "alone"), "--quiet"]) == 0
    )
    return folder


def read_run(folder):
    """The files of a run, without times."""
    names = ("model.safetensors", "config.yaml", "statistics.csv", "data.json")
    return read_rows(folder), read_summary(folder), [(folder / name).read_bytes() for name in names]


def test_a_run_of_two_ranks_and_what_is_done_with_it(runs):
    printed = bprop(2, "train", "iris.yaml", "--run", "two", "--quiet", folder=runs)
    assert printed.count("test_loss") == 1, "one rank prints"
    assert read_run(runs / "two") == read_run(runs / "alone")
    assert "trainer:" in (runs / "two" / "config.yaml").read_text()
    figures = json.loads(bprop(2, "evaluate", "two", "--json", folder=runs))
    assert figures["test_loss"] == json.loads((runs / "alone" / "summary.json").read_text())["test_loss"]


def test_predict_reads_its_input_on_rank_0(runs):
    """The other one has no such file; and a wrong one is told once."""
    (runs / "x.csv").write_text("5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n")
    (runs / "elsewhere").mkdir()
    line = '[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 1 ] && cd elsewhere; exec "$@"'
    shell = ["sh", "-c", line, "sh", *BPROP, "predict", str(runs / "alone")]
    printed = run_ranks(2, *shell, "x.csv", folder=runs)
    assert main(["predict", str(runs / "alone"), str(runs / "x.csv"), "--out", str(runs / "y.csv")]) == 0
    assert printed == (runs / "y.csv").read_text()
    printed = run_ranks(2, *shell, "none.csv", folder=runs, check=1)
    assert printed.count("bprop: error: there is no none.csv") == 1, printed


@pytest.mark.slow
def test_other_commands_run_on_rank_0_alone(runs):
    """Such as one that evaluates, with a communicator that the other rank does not join; errors are in one line."""
    printed = bprop(2, "check", "iris.yaml", "--json", folder=runs)
    assert json.loads(printed)
    printed = bprop(2, "summary", "none.yaml", folder=runs, check=1)
    assert printed.count("bprop: error:") == 1, printed
    assert "Traceback" not in printed
    assert bprop(2, "train", "--help").count("usage: bprop train") == 1
    printed = bprop(2, "profile", "iris.yaml", "--run", "plots", folder=runs, check=1)
    assert "--run plots is where a plot goes, on 2 ranks there is none" in printed


def test_resume_with_other_numbers_of_ranks(runs):
    bprop(4, "train", "iris.yaml", "trainer.epochs=1", "--run", "again", "--quiet", folder=runs)
    assert json.loads((runs / "again" / "summary.json").read_text())["ranks"] == 4
    bprop(2, "resume", "again", "trainer.epochs=2", "--quiet", folder=runs)
    assert main(["resume", str(runs / "again"), "trainer.epochs=3", "--quiet"]) == 0
    assert read_run(runs / "again")[0] == read_run(runs / "alone")[0]
    assert (runs / "again" / "model.safetensors").read_bytes() == (runs / "alone" / "model.safetensors").read_bytes()


WRONG = {
    "shards": (
        3,
        ["train", "iris.yaml"],
        "",
        "shards is 8 on 3 ranks, expected a multiple of 3 or one of its divisors",
    ),
    "one config": (2, ["train", "only.yaml"], "cd $RANK;", "rank 0 on .* cannot do what the others can .*only.yaml"),
    "other config": (
        2,
        ["train", "iris.yaml"],
        "cd $RANK;",
        "rank 1 on .* differs from rank 0 on .* in its config .*'lr: 0.02' there, 'lr: 0.01' here",
    ),
    "other modules": (
        2,
        ["train", "custom.yaml"],
        "cd $RANK;",
        "rank 1 on .* differs from rank 0 on .* in its custom modules .* each reads its own file",
    ),
    "other NumPy": (
        2,
        ["train", "iris.yaml"],
        "[ $RANK = 1 ] && export PYTHONPATH=other;",
        "rank 1 on .* differs from rank 0 on .* in numpy .1.2.3 there, .* expected the same on all ranks",
    ),
    "other processor": (
        2,
        ["train", "iris.yaml"],
        "[ $RANK = 1 ] && export NUMBA_CPU_NAME=generic;",
        "rank 1 on .* differs from rank 0 on .* in the processor .generic there, .* expected the same on all ranks",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_ranks_that_differ_are_named(name, runs):
    ranks, words, before, message = WRONG[name]
    for rank in "01":
        (runs / rank).mkdir(exist_ok=True)
        (runs / rank / "iris.yaml").write_text(CONFIG.replace("0.01", f"0.0{int(rank) + 1}"))
        (runs / rank / "custom.py").write_text(f"from bprop.modules import Tanh\nclass Custom(Tanh):\n    a = {rank}\n")
        (runs / rank / "custom.yaml").write_text(CONFIG.replace("Tanh", "custom.Custom"))
    (runs / "1" / "only.yaml").write_text(CONFIG)
    (runs / "other" / "numpy-1.2.3.dist-info").mkdir(parents=True, exist_ok=True)
    (runs / "other" / "numpy-1.2.3.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 1.2.3\n")
    rank = "RANK=${OMPI_COMM_WORLD_RANK:-$PMI_RANK};"
    line = f'{rank} {before} exec "$@"'
    shell = ["sh", "-c", line, "sh", *BPROP, *words, "--run", str(runs / "wrong")]
    printed = run_ranks(ranks, *shell, folder=runs, check=1)
    assert re.search(message, printed), printed
    assert printed.count("bprop: error:") == 1
    assert not (runs / "wrong").exists()


FAULTY = """
import os, signal, time
from bprop.trainers import Callback


class Faulty(Callback):
    def on_epoch_end(self, trainer, row):
        if trainer.ranks is not None and trainer.ranks.rank == 1 and row["epoch"] == 2:
            {deed}
"""
DEEDS = {
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "rank 1 on .* has died .process"),
    "raises": ("raise RuntimeError('a mistake')", "(?s)rank 1 on .*RuntimeError: a mistake"),
    "hangs": ("time.sleep(90)", "rank 1 on .* did not answer within .* s"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_rank_that_fails_ends_all_by_name(deed, runs):
    code, message = DEEDS[deed]
    (runs / f"faulty_{deed}.py").write_text(FAULTY.format(deed=code))
    (runs / f"{deed}.yaml").write_text(CONFIG.replace("callbacks: [", f"callbacks: [faulty_{deed}.Faulty, "))
    printed = bprop(2, "train", f"{deed}.yaml", "--run", deed, "--quiet", folder=runs, check=1, limit=10)
    assert re.search(message, printed), printed
    assert re.search(f"'mpiexec -n N bprop resume {deed}' goes on from the last checkpoint", printed), printed
    assert main(["resume", str(runs / deed), "--imports", "--quiet"]) == 0
    assert (runs / deed / "model.safetensors").read_bytes() == (runs / "alone" / "model.safetensors").read_bytes()


PROGRAM = """
import sys
import numpy as np
from mpi4py import MPI
from bprop.modules import Linear, MeanSquaredError, manual_seed
from bprop.trainers import SGD, Trainer

what, rank = sys.argv[1], MPI.COMM_WORLD.rank
if what == "crash" and rank:
    comm = MPI.COMM_WORLD.Split(rank > 0)
    Trainer(Linear(3, 1), MeanSquaredError(), SGD(lr=0.1), communicator=comm)
    raise OSError("no such thing")
if what == "crash":
    MPI.COMM_WORLD.Split(rank > 0)
manual_seed(rank if what == "weights" else 0)
net, loss = Linear(3, 1), MeanSquaredError()
x = np.random.default_rng(rank if what == "data" else 0).normal(size=(16, 3))
trainers = [
    Trainer(net, loss, SGD(lr=0.1 + rank * (what == "optimizer")), quiet=True, communicator=MPI.COMM_WORLD)
    for _ in range(3)
]
assert len({id(each.ranks) for each in trainers}) == 1
trainers[-1].fit((x, x[:, :1]), epochs=1, batch_size=8 + rank * (what == "batch_size"))
print("done")
"""
BEGINS = {
    "nothing": None,
    "data": "rank 1 on .* differs from rank 0 on .* in the x of its train data",
    "weights": "rank 1 on .* has other numbers in model.weight than rank 0",
    "optimizer": "rank 1 on .* in its optimizer's lr .1.1 there, 0.1 here.*; each rank runs the whole program",
    "batch_size": "rank 1 on .* in its batch_size .9 there, 8 here",
    "crash": "OSError: no such thing",
}


@pytest.mark.parametrize("what", BEGINS)
def test_a_program_that_differs_on_a_rank(what, tmp_path):
    """It is told before the first step."""
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, "program.py", what]
    printed = run_ranks(
        3 if what == "crash" else 2, *words, folder=tmp_path, check=int(what != "nothing"), NUMBA_DISABLE_JIT="1"
    )
    assert printed == "done\ndone\n" if what == "nothing" else re.search(BEGINS[what], printed), printed


def test_a_guard_on_ranks(runs, capsys):
    """Rank 0 repeats the steps of all, and looks at one shard after the other."""
    words = ["iris.yaml", "callbacks=[NanGuard]", "optimizer={SGD: {lr: 1.0e+38}}", "--quiet"]
    printed = bprop(2, "train", *words, "--run", "guard", folder=runs, check=1)
    note = r"the first value that is not finite is in .*, in step \d+(, shard \d)?; it is saved in guard/failure"
    assert len(re.findall(note, printed)) == 1, printed
    assert printed.count("bprop: error:") == 1
    assert main(["replay", str(runs / "guard")]) == 0, capsys.readouterr().out


def test_an_interrupt_ends_all_and_leaves_a_checkpoint(runs):
    command = make_command(2, [*BPROP, "train", "iris.yaml", "trainer.epochs=100000", "--run", "stopped", "--quiet"])
    process = subprocess.Popen(command, cwd=runs, env=make_environment(60), stderr=subprocess.PIPE, text=True)
    checkpoint = runs / "stopped" / "checkpoint"
    while process.poll() is None and not list(checkpoint.glob("*.json")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert "Traceback" not in printed
    assert list(checkpoint.glob("*.json"))


def test_a_sweep_over_ranks(runs):
    (runs / "sweep.yaml").write_text(CONFIG.replace("epochs: 3", "epochs: 1") + "sweep: {grid: {seed: [0, 1, 2]}}\n")
    printed = json.loads(bprop(2, "sweep", "sweep.yaml", "--run", "sweep", "--quiet", "--json", folder=runs))
    assert [row["status"] for row in printed] == ["done"] * 3
    assert sorted(row["seed"] for row in printed) == [0, 1, 2]
    assert all("shards: null" in (runs / "sweep" / f"00{k}" / "config.yaml").read_text() for k in range(3))


def test_a_profile_of_ranks(runs):
    profile = json.loads(bprop(2, "profile", "iris.yaml", "--json", folder=runs))
    assert [each["rank"] for each in profile["ranks"]] == [0, 1]
    assert all(each["compute"] > 0 and 0 <= each["wait"] <= each["exchange"] for each in profile["ranks"])
    assert (profile["shards"], profile["batch_size"]) == (8, 32)
