"""The runs of a sweep on several ranks of MPI: rank 0 hands them out, each rank trains one at a time, as a process."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..files.atomic_files import NO_LINKS
from ..parallel.communicator import Ranks
from ..parallel.launcher import SWITCH
from ..parallel.watchdog import RankError
from .parent_watchdog import PARENT
from .signals import StopSignals
from .sweep import LIBRARIES, PATIENCE

LAUNCHERS = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "MPI_", "HYDI_", "HYDRA_", "MV2_", "SLURM_")  # begins of variables


class RankShares:
    """The ranks as the places for runs, in the place of a machine's cores.

    Args: ranks: all of them; threads: of each run.
    """

    def __init__(self, ranks: Ranks, threads: int):
        self.ranks, self.threads, self.jobs = ranks, threads, ranks.size

    def start(self, job: int, command: list[str], log: Path) -> Any:
        """Start a run on a rank; returns what can be asked and told as a `subprocess.Popen`."""
        if job == 0:
            return start_process(command, log, self.threads)
        self.ranks.send_note(job, ("start", command, str(log), self.threads))
        return RemoteProcess(self.ranks, job)

    def end(self) -> None:
        """Let the other ranks end."""
        for rank in range(1, self.ranks.size):
            self.ranks.send_note(rank, ("end",))


class RemoteProcess:
    """A run that another rank trains."""

    def __init__(self, ranks: Ranks, rank: int):
        self.ranks, self.rank, self.returncode = ranks, rank, None

    def poll(self) -> int | None:
        """The exit status, None while it runs; RankError where its rank has died."""
        if self.returncode is None:
            self.returncode = self.ranks.receive_note(self.rank)
            if self.returncode is None:
                self.ranks.watchdog.look([self.ranks.peers[self.rank]], 0.0, "a run of the sweep")
        return self.returncode

    def wait(self) -> int:
        """Wait for its end; returns the exit status."""
        while (status := self.poll()) is None:
            time.sleep(PATIENCE)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.returncode is None:
            self.ranks.send_note(self.rank, ("signal", int(number)))

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            self.ranks.send_note(self.rank, ("kill",))


def start_process(command: list[str], log: Path, threads: int) -> subprocess.Popen:
    """Start a run as a process that is no rank; it has the cores of this one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}
    environment |= dict.fromkeys(LIBRARIES, str(threads)) | {PARENT: str(os.getpid()), SWITCH: "0"}
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_LINKS, 0o666), "ab") as file:
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}
        return subprocess.Popen(command, **pipes, env=environment, start_new_session=True)


@contextlib.contextmanager
def share_out_runs(ranks: Ranks, threads: int) -> Iterator[RankShares]:
    """Context in which the other ranks train what rank 0 hands out."""
    shares = RankShares(ranks, threads)
    try:
        yield shares
    finally:
        shares.end()


def serve_runs(ranks: Ranks) -> None:
    """Train, on a rank other than the first, what that hands out, until it says that this is the end.

    The launcher may send a signal to all ranks: the first one passes it on to the runs.
    """
    with StopSignals(interrupts=True):
        serve(ranks)


def serve(ranks: Ranks) -> None:
    """Start, end and watch runs as rank 0 says."""
    process: subprocess.Popen | None = None
    try:
        while True:
            note = ranks.receive_note(0)
            if note is None:
                time.sleep(PATIENCE)
                ranks.watchdog.look([ranks.peers[0]], 0.0, "a sweep")
            elif note[0] == "end":
                return
            elif note[0] == "start":
                process = start_process(note[1], Path(note[2]), note[3])
            elif process is not None:
                process.kill() if note[0] == "kill" else process.send_signal(note[1])
            if process is not None and process.poll() is not None:
                ranks.send_note(0, process.returncode)
                process = None
    except RankError:
        return  # the first rank is gone, and its launcher ends this one
    finally:
        if process is not None:
            process.kill()
