"""The run folder: what a training was told, what it gave, and the weights, in files that execute nothing when read.

config.yaml (resolved, with every default), metrics.csv (a row an epoch), summary.json (final figures, versions, seed),
model.safetensors (weights under PyTorch's names), checkpoint/ (all that `resume` needs), and preprocessing.json (how a
table becomes numbers). Each is written whole, so a run may be killed at any moment.
"""

import csv
import io
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from .by_hand import Step
from .callbacks import Callback, Checkpoint
from .callbacks.nan_guard import FOLDER as FAILURE
from .callbacks.nan_guard import replay
from .check import unchecked_notice
from .checkpoints import CheckpointError, numbered, read_checkpoint
from .configs import Config, Experiment, load_config, parse_config
from .durable import locked, write_durably, write_json
from .resuming import restore, sources_digest
from .trainer import Trainer, TrainingError
from .units import Units
from .versions import versions

WEIGHTS = "model.safetensors"
CHANGEABLE = ("trainer.epochs=", "trainer.threads=")  # by overrides of a run that goes on


class CsvLog(Callback):
    """Writes each epoch's figures to a CSV file as soon as they are known.

    Args: path: the file, replaced if it exists.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def on_fit_start(self, trainer) -> None:
        self._history, self._first = trainer.history, len(trainer.history)
        self._rewrite()

    def on_epoch_end(self, trainer, row: dict) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(lines(list(self._history[self._first]), [row], header=file.tell() == 0))

    def on_fit_end(self, trainer) -> None:
        """Write all rows anew: Ctrl-C may have come before the last one, and a figure may have come up late."""
        self._rewrite()

    def state_dict(self) -> dict[str, Any]:
        return {"first": self._first}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._first = state["first"]
        self._rewrite()

    def _rewrite(self) -> None:
        rows = self._history[self._first :]
        write_durably(self.path, lines(list(dict.fromkeys(name for row in rows for name in row)), rows, header=True))


def lines(names: list[str], rows: list[dict[str, Any]], header: bool) -> str:
    """Rows as the text of a CSV file, with the columns `names`."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    if names and header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


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
    experiment.dataset.train  # noqa: B018  # read the data before a folder is made
    folder = new_folder(run, config)
    with locked(folder):
        refuse_files_in(folder)
        for source in config.sources:  # so that the folder's config finds the modules that it names
            shutil.copyfile(source, folder / source.name)
        if hasattr(experiment.dataset, "preprocessing"):  # of a table, which new rows need, too
            experiment.dataset.preprocessing.save(folder / "preprocessing.json")
        write_durably(folder / "config.yaml", config.resolved())  # last: a folder that has it can be resumed
        return finish(trainer_of(config, experiment, folder, quiet), config, experiment, start)


def resume_run(folder: Path, overrides: Iterable[str] = (), quiet: bool = False) -> tuple[dict[str, Any], bool]:
    """Go on with a run that was stopped, exactly as if it had not been; returns its summary, and whether it was over.

    A run that was stopped before its first checkpoint starts anew.

    Args: overrides: trainer.epochs=N and trainer.threads=N alone, as others would make another training of it.
    Errors: FileNotFoundError for a folder without a run; BlockingIOError while it is being trained; ValueError for
        other overrides, an edited config, and checkpoints that do not fit; and those of `train_config`.
    """
    start = time.perf_counter()
    wrong = [override for override in overrides if not override.startswith(CHANGEABLE)]
    if wrong:
        raise ValueError(f"resume: {wrong[0]} would make it another training, expected trainer.epochs=N alone")
    config = load_config(config_of(folder), overrides)
    with locked(folder):
        checkpoint = folder / "checkpoint"
        state = read_checkpoint(checkpoint, tidy=True) if numbered(checkpoint) else None
        if state is not None:
            check_same(config, state["notes"], folder)
        summary = summary_of(folder)
        if summary is not None and is_over(state, summary, config):
            return summary, True
        experiment = config.build()
        trainer = trainer_of(config, experiment, folder, quiet)
        if state is not None:
            restore(trainer, state)
            start -= state["seconds"]
        (folder / "summary.json").unlink(missing_ok=True)  # of an end that is none any more
        write_durably(folder / "config.yaml", config.resolved())
        trainer.notes.update(notes_of(config))
        return finish(trainer, config, experiment, start), False


def replay_run(folder: Path) -> tuple[Step, str | None]:
    """Repeat the step that a run's NanGuard has saved; returns it, and what was wrong then.

    Errors: FileNotFoundError for a folder without a run, or where nothing is saved.
    """
    config = load_config(config_of(folder))
    saved = folder / FAILURE
    if not numbered(saved):
        raise FileNotFoundError(f"there is no failed step in {saved}: the callback NanGuard saves it")
    state = read_checkpoint(saved)
    return replay(trainer_of(config, config.build(), folder, quiet=True), state), state["trouble"]


def config_of(folder: Path) -> Path:
    """The config of a run; FileNotFoundError if the folder has none."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no run folder: there is no {path}")
    return path


def notes_of(config: Config) -> dict[str, str]:
    """What a checkpoint says of the config: its text, and a digest of the modules of one's own."""
    return {"config": config.resolved(), "modules": sources_digest(sorted(config.sources, key=lambda file: file.name))}


def check_same(config: Config, notes: dict[str, str], folder: Path) -> None:
    """ValueError if a run's config is another than that of its checkpoint, in more than what may change."""
    if notes_of(config)["modules"] != notes["modules"]:
        warnings.warn(
            f"the modules in {folder} have been edited since its last checkpoint; the results may differ", stacklevel=2
        )
    same = [f"{key.removesuffix('=')}={written_setting(config, key)}" for key in CHANGEABLE]
    before = parse_config(notes["config"], same, source="the checkpoint's config", folder=folder)
    if before.resolved() != config.resolved():
        raise CheckpointError(
            f"{folder / 'config.yaml'} is not the config with which the run began: it has been edited"
        )


def written_setting(config: Config, key: str) -> str:
    """A setting of the trainer, as an override would say it."""
    name = key.removeprefix("trainer.").removesuffix("=")
    value = config.settings.get(name, config.accepted_settings.named[name].default)
    return "null" if value is None else str(value)


def is_over(state: dict[str, Any] | None, summary: dict[str, Any], config: Config) -> bool:
    """Whether nothing is left to be trained; `state` is None where the checkpoints have been removed."""
    wanted = int(written_setting(config, "trainer.epochs="))
    if state is None:
        return summary.get("stopped") is None and summary["epochs"] >= wanted
    return state["fit"]["stopped"] is not None or state["epoch"] >= wanted


def summary_of(folder: Path) -> dict[str, Any] | None:
    """The summary of a run that has come to its end."""
    try:
        return json.loads((folder / "summary.json").read_bytes())
    except (OSError, ValueError):
        return None


def trainer_of(config: Config, experiment: Experiment, folder: Path, quiet: bool) -> Trainer:
    """The trainer of a run, with the callbacks that keep its files."""
    saves = any(isinstance(callback, Checkpoint) and callback.folder is None for callback in experiment.callbacks)
    log = CsvLog(folder / "metrics.csv")  # after the config's callbacks, so that it sees their figures
    trainer = Trainer(
        experiment.model,
        experiment.loss,
        experiment.optimizer,
        callbacks=[*experiment.callbacks, log, *([] if saves else [Checkpoint()])],
        schedules=experiment.schedules,
        seed=config.seed,
        quiet=quiet,
        folder=folder,
    )
    trainer.notes.update(notes_of(config))
    return trainer


def finish(trainer: Trainer, config: Config, experiment: Experiment, start: float) -> dict[str, Any]:
    """Train to the end, and write weights and summary, whatever way it ends."""
    folder, data = trainer.folder, experiment.dataset
    assert folder is not None
    trouble: BaseException | None = None
    try:
        trainer.fit(data.train, data.valid, **experiment.settings)
    except BrokenPipeError:
        raise
    except (TrainingError, KeyboardInterrupt) as error:
        trouble = error
        trainer.stop(str(error) or "interrupted")
    except OSError as error:  # such as a full disk
        failure = TrainingError(f"the training cannot go on: {error}")
        failure.add_note(f"'bprop resume {folder}' goes on from the last checkpoint")
        raise failure from error
    summary = final_figures(trainer, data, experiment.settings, tested=trouble is None)
    summary |= {"seconds": time.perf_counter() - start, "run": str(folder)}
    summary |= {"seed": config.seed, "dtype": config.dtype, "versions": versions()}
    with trainer.optimizer.evaluated_weights(trainer.model):
        units = Units.of(data, data.train).metadata()
        write_durably(folder / WEIGHTS, save(trainer.model.state_dict(), units))
    write_json(folder / "summary.json", finite(summary))
    if trouble is not None:
        trouble.add_note(f"the run folder is {folder}")
        if isinstance(trouble, KeyboardInterrupt):
            trouble.add_note(f"'bprop resume {folder}' goes on")
        raise trouble
    return summary


def new_folder(run: Path | None, config: Config) -> Path:
    """Make the run folder; one that holds something already is refused."""
    if run is not None:
        run.mkdir(parents=True, exist_ok=True)
        refuse_files_in(run)
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


def refuse_files_in(folder: Path) -> None:
    """FileExistsError for a folder that is not empty."""
    if any(folder.iterdir()):
        raise FileExistsError(f"the run folder {folder} is not empty; give another with --run")


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


def finite(value: Any) -> Any:
    """`value` with NaN and infinity as words, which JSON lacks."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
