"""Jobs of several ranks, for tests: the launcher that there is, its options and variables."""

import importlib.util
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
BPROP = [sys.executable, "-m", "bprop.trainers.cli"]
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None, reason="there is no MPI: pip install 'bprop[mpi]'"
)


@cache
def list_options() -> list[str]:
    """The options by which this MPI runs more ranks than there are cores."""
    text = subprocess.run([str(MPIEXEC), "--version"], capture_output=True, text=True).stdout
    return ["--oversubscribe"] if "Open MPI" in text or "open-mpi" in text else []


def make_command(ranks: int, words: list[str]) -> list[str]:
    """The command that runs another one on so many ranks."""
    return [str(MPIEXEC), *list_options(), "-n", str(ranks), *words]


def make_environment(limit: float, **more: str) -> dict[str, str]:
    """Variables of a job, whose waits end after so many seconds; also as root."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "BPROP_MPI_TIMEOUT": f"{limit:g}"}
    return os.environ | root | {"OMP_NUM_THREADS": "1"} | more


def run_ranks(count, *words, folder=None, check=0, limit=60, **environment) -> str:
    """Run Python on so many ranks; returns what it prints."""
    own = make_environment(limit, **environment)
    done = subprocess.run(
        make_command(count, [*words]), cwd=folder, env=own, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode == 0) == (check == 0), done.stdout + done.stderr
    return done.stdout if check == 0 else done.stderr
