"""Sweeps: the runs of a config in parallel processes, each with its own cores, and a table of all.

The folder of a sweep holds sweep.yaml (what it consists of), results.csv, and for each run its folder and what it said:
000/ and 000.log. Begun anew with the same folder, a sweep goes on.
"""

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ...modules.compiler.cpu import count_cores
from ...modules.core.text_table import format_table
from ..callbacks.csv_log import format_csv
from ..configs import Config, ConfigError, load_config
from ..configs.sweeps import format_overrides
from ..configs.yaml_writer import dump_yaml
from ..files.atomic_files import ASIDE, LOCK, NO_LINKS, append_text, is_in_use, lock_folder, write_atomically
from ..metrics import larger_is_better
from .compare import format_value
from .parent_watchdog import PARENT
from .run_folder import make_run_folder, print_cache_folder_warning, read_summary, refuse_files_in
from .signals import StopSignals
from .sweep_keys import find_varying_keys, shorten_keys

RESULTS, DESCRIPTION = "results.csv", "sweep.yaml"
DONE, FAILED, STOPPED, WAITING = "done", "failed", "stopped", "waiting"
LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PATIENCE = 0.05  # seconds between two looks at the processes


@dataclass
class SweepRun:
    """One run of a sweep: the values of its keys, its folder, and its status."""

    values: dict[str, Any]
    overrides: list[str]
    config: str
    folder: Path
    status: str = WAITING
    figures: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # short ones of the keys that tell it from other runs

    @property
    def log(self) -> Path:
        """The path of the run's log."""
        return self.folder.with_name(self.folder.name + ".log")

    def row(self) -> dict[str, Any]:
        """Make the run's row of the table."""
        texts = {
            key: format_value(value) if isinstance(value, list | dict) else value for key, value in self.values.items()
        }
        return {"run": self.folder.name, "status": self.status, **texts, **self.figures}

    def __str__(self) -> str:
        names = self.names or dict(zip(self.values, self.values, strict=True))
        return " ".join([self.folder.name, *(f"{names[key]}={format_value(self.values[key])}" for key in names)])


def load_sweep(source: str | Path, overrides: Sequence[str] = ()) -> tuple[Config, list[SweepRun]]:
    """Load a config and the runs of its sweep, each checked and built once to find errors early.

    Errors: ConfigError with what is wrong with any of them; ValueError for a config without a sweep.
    """
    config = load_config(source, overrides)
    if config.sweep is None:
        raise ValueError(f"{config.path} has no sweep: 'bprop train {config.path}' trains it")
    runs, problems = [], []
    for number, values in enumerate(config.sweep.runs):
        own = [*overrides, *format_overrides(values), "sweep=null"]
        try:
            one = load_config(source, own)
            if paths := {key: config.sweep.absolute(values[key]) for key in values if key in one.paths}:
                own = [*overrides, *format_overrides(values | paths), "sweep=null"]
                one = load_config(source, own)
            one.build()
        except ConfigError as error:
            problems += [problem for problem in error.errors if problem not in problems]
        else:
            runs.append(SweepRun(values, own, one.resolved(), Path(f"{number:03}")))
    if problems:
        raise ConfigError(problems)
    names = shorten_keys(find_varying_keys([run.values for run in runs]))
    for run in runs:
        run.names = names
    return config, runs


def train_sweep(
    config: Config,
    runs: list[SweepRun],
    folder: Path | None = None,
    jobs: int | None = None,
    *,
    quiet: bool = False,
    sharing: Any = None,
) -> Path:
    """Train the runs that are not done yet; returns the folder, and sets the status of `runs`.

    Args: folder: new, empty, or that of the same sweep, which then goes on; jobs: how many runs at a time, by default
        one for each core, or for each `trainer.threads` of them; sharing: the places for runs, in the place of cores.
    Errors: FileExistsError for a folder of something else; ValueError for jobs below 1. KeyboardInterrupt, which ends
        the processes first. A run that fails is told, and stops no other.
    """
    assert config.path is not None
    assert config.sweep is not None
    threads = config.settings.get("threads")
    jobs = max(1, min(count_cores() // (threads or 1), len(runs))) if jobs is None else jobs
    if jobs < 1:
        raise ValueError(f"sweep: jobs is {jobs}, expected at least 1")
    folder = None if folder is None else expand_path(folder)
    print_cache_folder_warning(quiet)
    what = config.resolved() + dump_yaml({"sweep": [run.values for run in runs]})
    if folder is None or not (folder / DESCRIPTION).is_file():
        if folder is not None:  # of a sweep that was killed as it began
            (folder / (DESCRIPTION + ASIDE)).unlink(missing_ok=True)
        folder = make_run_folder(folder, config)
    elif (folder / DESCRIPTION).read_bytes() != what.encode():
        raise FileExistsError(
            f"{folder} is the folder of another sweep, see {folder / DESCRIPTION}; give another with --run"
        )
    with lock_folder(folder):
        if not (folder / DESCRIPTION).is_file():
            refuse_files_in(folder)
            write_atomically(folder / DESCRIPTION, what)
        for run in runs:
            run.folder = folder / run.folder.name
        restore_results(folder, runs)
        sharing = sharing or CoreShares(threads or max(1, count_cores() // jobs), jobs)
        try:
            with StopSignals() as signals:
                run_processes(config.path, runs, sharing, quiet, signals)
        except KeyboardInterrupt as error:
            error.add_note(f"the same command with --run {folder} goes on")
            raise
        finally:
            write_results(folder, runs)
    return folder


@dataclass
class CoreShares:
    """The cores of each job, alternating where there are too few."""

    threads: int
    jobs: int

    def cores(self, job: int) -> set[int]:
        """Those of one job."""
        all_cores = sorted(os.sched_getaffinity(0))
        return {all_cores[(job * self.threads + k) % len(all_cores)] for k in range(self.threads)}

    def start(self, job: int, command: list[str], log: Path) -> subprocess.Popen:
        """A process on the cores of a job; Ctrl-C at the terminal does not reach it by itself."""
        environment = {**dict.fromkeys(LIBRARIES, str(self.threads)), **os.environ, PARENT: str(os.getpid())}
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_LINKS, 0o666), "ab") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, start_new_session=True
            )
        if hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):  # it is over already
                os.sched_setaffinity(process.pid, self.cores(job))
        return process


def make_command(path: Path, run: SweepRun) -> list[str]:
    """Make the command that trains a run, or resumes it."""
    bprop = [sys.executable, "-P", "-m", "bprop.trainers.cli"]
    if (run.folder / "config.yaml").is_file():
        return [*bprop, "resume", str(run.folder), "--quiet"]
    remove_unfinished(run)
    return [*bprop, "train", str(path), *run.overrides, "--run", str(run.folder), "--quiet"]


def remove_unfinished(run: SweepRun) -> None:
    """Remove the folder of a run that was stopped before it began; other files stay."""
    if not run.folder.is_dir() or run.folder.is_symlink():
        return
    for folder, _, names in os.walk(run.folder, topdown=False):
        for name in names:
            if name.endswith((*all_suffixes(), ASIDE, "preprocessing.json", LOCK)):
                os.unlink(os.path.join(folder, name))
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(folder)


def run_processes(path: Path, runs: list[SweepRun], sharing: Any, quiet: bool, signals: StopSignals) -> None:
    """Train the runs that are not done, some at a time; on Ctrl-C or a signal interrupt their processes and wait.

    A run that a process of a killed sweep still has waits until that is over.
    """
    waiting = [run for run in runs if run.status != DONE]
    active: dict[int, tuple[Any, SweepRun]] = {}
    try:
        while (waiting or active) and signals.reason is None:
            for job in range(sharing.jobs):
                run = None if job in active else next((run for run in waiting if not is_in_use(run.folder)), None)
                if run is not None:
                    waiting.remove(run)
                    active[job] = sharing.start(job, make_command(path, run), run.log), run
            time.sleep(PATIENCE)
            for job, (process, run) in list(active.items()):
                if process.poll() is not None:
                    del active[job]
                    finish_run(run, process.returncode)
                    write_results(run.folder.parent, runs)
                    over = sum(run.status in (DONE, FAILED) for run in runs)
                    if not quiet or run.status == FAILED:
                        print(f"{over}/{len(runs)}  {format_result(run)}", file=sys.stderr)
    finally:
        end_processes(active, signal.SIGINT if signals.reason is None else signal.SIGTERM)


def end_processes(active: dict[int, tuple[subprocess.Popen, SweepRun]], number: int) -> None:
    """Interrupt processes, so that they leave complete folders; a second Ctrl-C does not wait."""
    for process, _ in active.values():
        process.send_signal(number) if os.name == "posix" else process.terminate()
    try:
        for process, run in active.values():
            finish_run(run, process.wait())
    finally:
        for process, _ in active.values():
            process.kill()


def finish_run(run: SweepRun, returncode: int) -> None:
    """Set the status of a run."""
    run.status = {0: DONE, 75: STOPPED, 130: STOPPED, -signal.SIGTERM: STOPPED}.get(returncode, FAILED)
    if run.status == DONE and (run.folder / "config.yaml").read_bytes() != run.config.encode():
        run.status = FAILED
        append_text(run.log, "bprop: error: the config or a file that it includes has been edited during the sweep\n")
    numbers = (read_summary(run.folder) or {}).items()
    run.figures = {name: value for name, value in numbers if type(value) in (int, float) and name not in run.values}


def format_result(run: SweepRun) -> str:
    """Format a line about a finished run."""
    if run.status == DONE:
        name = find_default_metric([run])
        return f"{run}: {f'{name} {format_value(run.figures[name])}' if name else DONE}"
    lines = [line for line in run.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("bprop: error: ") for line in lines if line.startswith("bprop: error: ")]
    return f"{run}: {run.status}: {(errors or lines or ['without a word'])[-1]} ({run.log})"


def restore_results(folder: Path, runs: Iterable[SweepRun]) -> None:
    """Read from the table which runs are done."""
    try:
        text = (folder / RESULTS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    finished = {row.get("run") for row in csv.DictReader(text.splitlines()) if row.get("status") == DONE}
    for run in runs:
        if run.folder.name in finished and read_summary(run.folder) is not None:
            finish_run(run, 0)


def write_results(folder: Path, runs: list[SweepRun]) -> None:
    """Write the table of all runs and metrics, in the order of the runs."""
    rows = [run.row() for run in runs]
    write_atomically(
        folder / RESULTS, format_csv(list(dict.fromkeys(name for row in rows for name in row)), rows, header=True)
    )


def find_default_metric(runs: Iterable[SweepRun]) -> str | None:
    """Find the metric to rank runs by, if none is named."""
    known = {name for run in runs for name in run.figures}
    return next((name for name in ("valid_loss", "train_loss") if name in known), None)


def rank_runs(runs: Sequence[SweepRun], figure: str | None = None) -> list[SweepRun]:
    """Rank runs by a metric, best first; those without it come last.

    Errors: ValueError for a metric that no run has, though some are done.
    """
    known = list(dict.fromkeys(name for run in runs for name in run.figures))
    if figure is not None and known and figure not in known:
        raise ValueError(f"sweep: there is no metric {figure!r}, expected one of {', '.join(known)}")
    name = figure or find_default_metric(runs) or ""
    sign = -1 if larger_is_better(name.removeprefix("test_")) else 1

    def place(run: SweepRun) -> tuple[bool, float]:
        value = run.figures.get(name)
        return (run.status != DONE or value is None or value != value, sign * (value or 0))

    return sorted(runs, key=place)


def format_results(runs: Sequence[SweepRun]) -> str:
    """Format the runs as a table for the terminal: the keys that differ between them, losses and metrics."""
    keys = shorten_keys(find_varying_keys([run.values for run in runs]))
    figures = [name for run in runs for name in run.figures if name.startswith(("train_", "valid_", "test_"))]
    columns = {"run": "run", "status": "status", **keys, **{name: name for name in figures}}
    rows = [tuple(format_value(run.row().get(name)) for name in columns) for run in runs]
    return "\n".join(format_table([tuple(columns.values()), *rows]))
