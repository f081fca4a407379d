"""The run folder: what a training was told, what it gave, and the weights, in files that execute nothing when read.

config.yaml (resolved, with every default), metrics.csv (a row an epoch), summary.json (final figures, versions, seed),
model.safetensors (weights under PyTorch's names), and preprocessing.json (how a table becomes numbers).
"""

import csv
import json
import os
import platform
import shutil
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from .callbacks import Callback
from .check import unchecked_notice
from .configs import Config
from .trainer import Trainer, TrainingError

PACKAGES = ("bprop", "numpy", "numba", "scipy")


class CsvLog(Callback):
    """Writes each epoch's figures to a CSV file as soon as they are known.

    Args: path: the file, replaced if it exists.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def on_fit_start(self, trainer) -> None:
        self._first = len(trainer.history)
        self._write("w", [], [])

    def on_epoch_end(self, trainer, row: dict) -> None:
        self._write("a", list(trainer.history[self._first]), [row])

    def on_fit_end(self, trainer) -> None:
        """Write all rows anew: Ctrl-C may have come before the last one, and a figure may have come up late."""
        rows = trainer.history[self._first :]
        self._write("w", list(dict.fromkeys(name for row in rows for name in row)), rows)

    def _write(self, mode: str, names: list[str], rows: list[dict[str, Any]]) -> None:
        with self.path.open(mode, newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            if names and file.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)


def train_config(config: Config, run: Path | None = None, quiet: bool = False) -> dict[str, Any]:
    """Train what a config describes and write the run folder; returns the summary.

    Args: run: the folder, new or empty; by default runs/NAME-TIME.
    Errors: ConfigError and FileNotFoundError before anything is written; FileExistsError for a folder in use;
        TrainingError and KeyboardInterrupt after the folder is complete with the last good weights.
    """
    start = time.perf_counter()
    experiment = config.build()
    if not quiet and (notice := unchecked_notice(config, experiment.model, experiment.loss)):
        print(notice, file=sys.stderr)
    train = experiment.dataset.train  # read the data before a folder is made
    folder = new_folder(run, config)
    (folder / "config.yaml").write_text(config.resolved(), encoding="utf-8")
    for source in config.sources:  # so that the folder's config finds the modules that it names
        shutil.copyfile(source, folder / source.name)
    if hasattr(experiment.dataset, "preprocessing"):  # of a table, which new rows need, too
        experiment.dataset.preprocessing.save(folder / "preprocessing.json")
    callbacks = [*experiment.callbacks, CsvLog(folder / "metrics.csv")]  # last, so that it sees their figures
    trainer = Trainer(
        experiment.model,
        experiment.loss,
        experiment.optimizer,
        callbacks=callbacks,
        schedules=experiment.schedules,
        seed=config.seed,
        quiet=quiet,
    )
    trouble: BaseException | None = None
    try:
        trainer.fit(train, experiment.dataset.valid, **experiment.settings)
    except (TrainingError, KeyboardInterrupt) as error:
        trouble = error
        trainer.stop(str(error) or "interrupted")
    summary = final_figures(trainer, experiment.dataset, experiment.settings, tested=trouble is None)
    summary |= {"seconds": time.perf_counter() - start, "run": str(folder)}
    summary |= {"seed": config.seed, "dtype": config.dtype, "versions": versions()}
    with experiment.optimizer.evaluated_weights(experiment.model):
        save_file(experiment.model.state_dict(), folder / "model.safetensors")
    (folder / "summary.json").write_text(json.dumps(finite(summary), indent=2) + "\n", encoding="utf-8")
    if trouble is not None:
        trouble.add_note(f"the run folder is {folder}")
        raise trouble
    return summary


def new_folder(run: Path | None, config: Config) -> Path:
    """Make the run folder; one that holds something already is refused."""
    if run is not None:
        run.mkdir(parents=True, exist_ok=True)
        if any(run.iterdir()):
            raise FileExistsError(f"the run folder {run} is not empty; give another with --run")
        return run
    name = config.path.stem if config.path is not None else "run"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for count in range(1, 1000):
        folder = Path("runs") / (f"{name}-{stamp}" if count == 1 else f"{name}-{stamp}-{count}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"runs/{name}-{stamp} and 999 like it exist already")


def final_figures(trainer: Trainer, dataset, settings: dict[str, Any], tested: bool) -> dict[str, Any]:
    """Figures of the model as it is now on the test set, if there is one, and of the training."""
    summary: dict[str, Any] = {}
    if tested and dataset.test is not None:
        figures = trainer.evaluate(dataset.test, metrics=settings.get("metrics"))
        summary |= {f"test_{name}": value for name, value in figures.items()}
    last = trainer.history[-1] if trainer.history else {}
    summary |= {name: value for name, value in last.items() if name.startswith(("train_", "valid_"))}
    summary |= {"epochs": len(trainer.history), "parameters": trainer.model.parameter_count}
    summary |= {"threads": trainer.threads}
    if trainer.stopped is not None:
        summary["stopped"] = trainer.stopped
    return summary


def versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that the figures depend on."""
    found = {"python": platform.python_version(), "platform": sys.platform}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def finite(value: Any) -> Any:
    """`value` with NaN and infinity as words, which JSON lacks."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
