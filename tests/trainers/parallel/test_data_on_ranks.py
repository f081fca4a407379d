"""Data in files on several ranks of MPI: who reads what, and that the results are those of one process."""

import json
import os
import subprocess
import sys

import pytest

from ...mpi import needs_mpi, run_ranks
from . import readers

pytest.importorskip("PIL")
pytestmark = needs_mpi


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    readers.write_files(folder)
    return folder


@pytest.fixture(scope="module")
def alone(folder):
    """What one process makes of the data."""
    command = [sys.executable, readers.__file__, str(folder)]
    done = subprocess.run(command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (folder / "tokens.npy").unlink()
    (folder / "tokens.json").unlink()
    for path in (folder / "cache").iterdir():
        path.unlink()
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def shared(folder, alone):
    """What two ranks make of them; plain Python, as nothing of it is about compiled code."""
    return json.loads(run_ranks(2, sys.executable, readers.__file__, str(folder), NUMBA_DISABLE_JIT="1"))


def test_each_file_is_read_once(alone, shared):
    results, reads = shared
    assert results == alone[0]
    assert reads["csv csv"] == [2, 0], "for the training, and to evaluate"
    assert reads["text text"] == [1, 0]
    assert reads["custom"] == [1, 0]
    for name in ("images images", "cached images"):
        assert sum(reads[name]) == 60, reads[name]
        assert min(reads[name]) > 0, reads[name]
    assert alone[1]["images images"] == [60]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are counted by Linux's /proc")
def test_a_rank_touches_its_rows_of_a_mapped_file(shared):
    first, second = shared[1]["map"]
    assert first > 0.95, "rank 0 checks all numbers"
    assert second < 0.75, "rank 1 needs half of them"
