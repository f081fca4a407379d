"""Messages between ranks come back as they were, and the watchdog names whom it waits for."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from bprop.trainers.parallel import launcher
from bprop.trainers.parallel.messages import decode, encode
from bprop.trainers.parallel.watchdog import LIMIT_NAME, Peer, RankError, Watchdog, read_limit


def test_objects_come_back():
    value = {"a": [1, 2.5, None, True, "ä"], 3: (np.float32(0.1), np.int64(7)), "x": np.arange(6.0).reshape(2, 3)}
    value |= {"nan": float("nan"), "bytes": b"\0\1", "empty": np.zeros((0, 3), np.int16), "flags": np.array(True)}
    back = decode(encode(value))
    assert list(back) == list(value)
    assert back["a"] == value["a"]
    assert back[3] == value[3]
    assert [type(each) for each in back[3]] == [np.float32, np.int64]
    assert back["nan"] != back["nan"]
    assert back["bytes"] == b"\0\1"
    for name in ("x", "empty", "flags"):
        assert back[name].dtype == value[name].dtype
        assert np.array_equal(back[name], value[name])
    back["x"][0, 0] = 5  # it is memory of its own
    with pytest.raises(TypeError, match="a message to other ranks has set, expected numbers, strings and arrays"):
        encode({"a": {1}})


def make_watchdog(monkeypatch, limit="0.3"):
    monkeypatch.setenv(LIMIT_NAME, limit)
    return Watchdog(Peer(0, "here", os.getpid()), lambda: None)


def test_a_wait_ends_by_the_name_of_the_missing(monkeypatch):
    watchdog = make_watchdog(monkeypatch)
    missing = [Peer(3, "there", 1), Peer(5, "there", 1)]
    with pytest.raises(RankError, match=r"rank 3 on there, rank 5 on there did not answer within \d+ s \(a test\)"):
        watchdog.wait(lambda: False, lambda: missing, "a test")
    assert watchdog.seconds >= 0.3


def test_a_dead_process_is_seen_at_once(monkeypatch):
    watchdog = make_watchdog(monkeypatch, "60")
    child = subprocess.Popen([sys.executable, "-c", ""])
    time.sleep(0.2)  # it is over, and a zombie as long as nobody waits for it
    start = time.perf_counter()
    with pytest.raises(RankError, match=f"rank 1 on here has died .process {child.pid}."):
        watchdog.wait(lambda: False, lambda: [Peer(1, "here", child.pid)], "a test")
    assert time.perf_counter() - start < 30
    child.wait()
    assert not Peer(1, "here", child.pid).is_alive()


def test_a_wait_for_nobody(monkeypatch):
    watchdog = make_watchdog(monkeypatch)
    turns = iter([False, False, True])
    watchdog.wait(lambda: next(turns), list, "a test")


def test_limits_of_a_wait(monkeypatch):
    monkeypatch.setenv(LIMIT_NAME, "soon")
    with pytest.raises(ValueError, match="BPROP_MPI_TIMEOUT is 'soon', expected seconds above 0"):
        read_limit()


def test_launchers_are_known_by_their_variables(monkeypatch):
    for name in (*launcher.SIZES, *launcher.SLURM):
        monkeypatch.delenv(name, raising=False)
    assert launcher.count_ranks() == 1
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    assert launcher.count_ranks() == 1, "srun without MPI"
    monkeypatch.setenv("PMIX_RANK", "2")
    assert (launcher.count_ranks(), launcher.find_rank()) == (3, 2)
    monkeypatch.setenv("PMI_SIZE", "4")
    assert launcher.count_ranks() == 4
    monkeypatch.setenv(launcher.SWITCH, "0")
    assert launcher.count_ranks() == 1


def test_without_mpi_the_command_says_how_to_install_it(monkeypatch, capsys):
    from bprop.trainers.cli import main
    from bprop.trainers.parallel import job

    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    job.connect.cache_clear()
    assert main(["train", "iris"]) == 2
    message = "bprop: error: mpiexec has started 2 ranks, but there is no MPI: pip install 'bprop[mpi]'"
    assert capsys.readouterr().err.startswith(message)
