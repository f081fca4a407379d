"""Jobs of several ranks, for tests: the launcher that there is, its options and variables."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
BPROP = [sys.executable, "-m", "bprop.trainers.cli"]


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
