"""The run folder: config, results and weights of a training, in files that are safe to read.

config.yaml (resolved, with every default), metrics.csv (a row an epoch), summary.json (final metrics, versions, seed),
model.safetensors (weights under PyTorch's names), checkpoint/ (all that `resume` needs), data.json (digests of the
data), preprocessing.json (how a table becomes numbers), and vocabulary.json (what the tokens of a text mean). Each is
written whole, so a run may be killed at any moment.
"""

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets.files.paths import expand_path
from ...modules.engine.folders import format_folder_warning
from ...modules.engine.stateful import jit_disabled
from ..callbacks import Checkpoint, EarlyStopping, NanGuard
from ..callbacks.csv_log import CsvLog
from ..configs import Config, Experiment
from ..configs.memory_limit import describe_error
from ..configs.permissions import is_inside
from ..files.atomic_files import LOCK, lock_folder, read_json, write_atomically, write_json
from ..files.data_digests import write_data_digests
from ..files.versions import collect_versions, describe_instruction_set
from ..files.weights_file import encode_weights
from ..optimizers.full_batch import FullBatch
from ..parallel.watchdog import RankError
from ..training.minibatches import TrainingError
from ..training.trainer import Trainer
from ..training.trainer_state import compute_sources_digest
from .signals import StopSignals
from .target_scaling import TargetScaling
from .trust import list_code, remember_run
from .unchecked import format_unchecked_warning
from .unseeded_randomness import warn_of_unseeded_randomness

WEIGHTS = "model.safetensors"
VOCABULARY = "vocabulary.json"


def train_config(config: Config, run: Path | None = None, quiet: bool = False) -> dict[str, Any]:
    """Train what a config describes and write the run folder; returns the summary.

    Args: run: the folder, new or empty; by default runs/NAME-TIME.
    Errors: ConfigError and FileNotFoundError before anything is written; FileExistsError for a folder in use;
        TrainingError and KeyboardInterrupt after the folder is complete with the last good weights.
    """
    start = time.perf_counter()
    refuse_sweep(config)
    experiment = config.build()
    if not quiet and (notice := format_unchecked_warning(config, experiment.model, experiment.loss)):
        print(notice, file=sys.stderr)
    warn_of_unseeded_randomness(config, experiment.model, experiment.loss)
    check_experiment(experiment)  # before a folder is made
    print_cache_folder_warning(quiet)
    folder = make_run_folder(run, config)
    with lock_folder(folder), StopSignals() as signals:
        fill_run_folder(folder, config, experiment)
        trainer = make_trainer(config, experiment, folder, quiet)
        signals.tell(trainer.ask_to_stop)
        return finish_training(trainer, config, experiment, start)


def print_cache_folder_warning(quiet: bool) -> None:
    """Print a line if the folder of compiled code cannot be used, before anything is compiled or written."""
    if not quiet and not jit_disabled() and (notice := format_folder_warning()):
        print(f"bprop: {notice}", file=sys.stderr)


def fill_run_folder(folder: Path, config: Config, experiment: Experiment) -> None:
    """Write the files of a new run into a folder without files; after an error, a full disk say, it is empty again."""
    refuse_files_in(folder)
    try:
        write_run_folder(folder, config, experiment)
    except BaseException:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def write_run_folder(folder: Path, config: Config, experiment: Experiment) -> None:
    """Write the files of a new run."""
    for source, place in config.catalog.sources.items():  # so that the folder's config finds the modules that it names
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / place, source.read_bytes())
    if hasattr(experiment.dataset, "preprocessing"):  # of a table, which new rows need, too
        experiment.dataset.preprocessing.save(folder / "preprocessing.json")
    if hasattr(experiment.dataset, "vocabulary"):  # of a text or of words
        experiment.dataset.vocabulary.save(folder / VOCABULARY)
    write_data_digests(folder, experiment.dataset)
    remember_run(folder, config)
    write_atomically(folder / "config.yaml", config.resolved())  # last: a folder that has it can be resumed


def refuse_sweep(config: Config) -> None:
    """Raise ValueError for a config of several runs."""
    if config.sweep is not None:
        path = config.path or "CONFIG"
        raise ValueError(f"{path} has a sweep: 'bprop sweep {path}' trains its runs, and sweep=null leaves it out")


def check_experiment(experiment: Experiment, trainer: Trainer | None = None) -> None:
    """Read the data, and raise the errors of a training before its first step.

    Args: trainer: one that goes on with a training, which may refuse more; by default a new one.
    """
    parts, callbacks = (experiment.model, experiment.loss, experiment.optimizer), experiment.callbacks
    if trainer is None:
        trainer = Trainer(
            *parts,
            callbacks=callbacks,
            schedules=experiment.schedules,
            augment=experiment.augment,
            rule=experiment.rule,
        )
    trainer.check(experiment.dataset.train, experiment.dataset.valid, **experiment.settings)
    experiment.dataset.test  # noqa: B018  # which is read after the training only, and may be missing


def find_config_file(folder: Path) -> Path:
    """Find the config of a run; FileNotFoundError if the folder has none."""
    path = folder / "config.yaml"
    if (folder / "sweep.yaml").is_file():
        raise FileNotFoundError(
            f"{folder} is the folder of a sweep, expected one of its runs, such as {folder / '000'}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no run folder: there is no {path}")
    if path.is_symlink() and not is_inside(path, folder):
        raise FileNotFoundError(f"{path} is a link that leads out of the run folder, expected a file")
    return path


def make_notes(config: Config, folder: Path) -> dict[str, str]:
    """Make the notes on the config in a checkpoint: its text, and a digest of the custom modules."""
    return {"config": config.resolved(), "modules": compute_sources_digest(list_code(folder) or [])}


def read_summary(folder: Path) -> dict[str, Any] | None:
    """Read the summary of a finished run."""
    try:
        summary = read_json(folder / "summary.json")
    except (OSError, ValueError):
        return None
    return summary if isinstance(summary, dict) else None


def make_trainer(config: Config, experiment: Experiment, folder: Path, quiet: bool) -> Trainer:
    """Make the trainer of a run, with the callbacks that write its files."""
    saves = any(isinstance(callback, Checkpoint) and callback.folder is None for callback in experiment.callbacks)
    log = CsvLog(folder / "metrics.csv")  # after the config's callbacks, so that it sees their metrics
    trainer = Trainer(
        experiment.model,
        experiment.loss,
        experiment.optimizer,
        callbacks=[*experiment.callbacks, log, *([] if saves else [Checkpoint()])],
        schedules=experiment.schedules,
        augment=experiment.augment,
        rule=experiment.rule,
        seed=config.seed,
        quiet=quiet,
        folder=folder,
    )
    trainer.notes.update(make_notes(config, folder))
    return trainer


def finish_training(trainer: Trainer, config: Config, experiment: Experiment, start: float) -> dict[str, Any]:
    """Train to the end, and write weights and summary in any case; TrainingError where that is impossible."""
    try:
        return train_and_write(trainer, config, experiment, start)
    except BrokenPipeError:
        raise
    except (OSError, MemoryError) as error:  # such as a full disk
        failure = TrainingError(f"the training cannot go on: {describe_error(error)}")
        failure.add_note(f"'bprop resume {trainer.folder}' goes on from the last checkpoint")
        raise failure from error
    except RankError as error:
        if "goes on from the last checkpoint" not in str(error):  # another rank may have said so
            sharding = trainer.compiled_step.sharding
            shards = "the shards" if sharding is None else f"{sharding.shards} shards"
            error.add_note(
                f"'mpiexec -n N bprop resume {trainer.folder}' goes on from the last checkpoint, with any number of "
                f"ranks that fits {shards}"
            )
        raise


def train_and_write(trainer: Trainer, config: Config, experiment: Experiment, start: float) -> dict[str, Any]:
    """Train, and write the rest of the folder; returns the summary."""
    folder, data = trainer.folder, experiment.dataset
    assert folder is not None
    trouble: BaseException | None = None
    try:
        trainer.fit(data.train, data.valid, **experiment.settings)
    except (TrainingError, KeyboardInterrupt) as error:
        if trainer.ranks is not None and isinstance(error, KeyboardInterrupt):  # of this rank, at whatever place
            error.add_note(f"'mpiexec -n N bprop resume {folder}' goes on from the last checkpoint")
            raise
        trouble = error
        trainer.stop(str(error) or "interrupted")
    with trainer.optimizer.evaluated_weights(trainer.model):
        if trainer.is_first:
            units = TargetScaling.from_dataset(data, data.train).notes()
            write_atomically(folder / WEIGHTS, encode_weights(trainer.model.state_dict(once=True), units))
    summary = compute_final_metrics(trainer, data, experiment.settings, tested=trouble is None)
    summary |= {"seconds": time.perf_counter() - start, "run": str(folder)}
    summary |= {"seed": config.seed, "dtype": config.dtype, "versions": collect_versions()}
    summary |= {"instruction_set": describe_instruction_set()}
    if trainer.goes_on:
        summary["to_be_resumed"] = True
    if trainer.ranks is not None:
        summary["ranks"] = trainer.ranks.size
    if trainer.is_first:
        write_json(folder / "summary.json", replace_not_finite(summary))
    if trouble is not None:
        guarded = any(isinstance(callback, NanGuard) for callback in trainer.callbacks)
        if isinstance(trouble, TrainingError) and not guarded and not isinstance(trainer.optimizer, FullBatch):
            trouble.add_note("trained again with callbacks=[NanGuard], it says in which module that began")
        trouble.add_note(f"the run folder is {folder}")
        if isinstance(trouble, KeyboardInterrupt):
            trouble.add_note(f"'bprop resume {folder}' goes on")
        raise trouble
    if trainer.goes_on and not trainer.quiet and trainer.ranks is None:
        print(f"{trainer.stopped}: 'bprop resume {folder}' goes on", file=sys.stderr)
    return summary


def make_run_folder(run: Path | None, config: Config) -> Path:
    """Make the run folder; FileExistsError if it is not empty."""
    if run is not None:
        run = expand_path(run)
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
    """Raise FileExistsError for a folder that is not empty."""
    if any(path.name != LOCK for path in folder.iterdir()):
        raise FileExistsError(f"the run folder {folder} is not empty; give another with --run")


def compute_final_metrics(trainer: Trainer, dataset, settings: dict[str, Any], tested: bool) -> dict[str, Any]:
    """Compute the metrics of the model with its final weights, and of the training."""
    summary: dict[str, Any] = {}
    if tested and dataset.test is not None:
        figures = trainer.evaluate(dataset.test, metrics=settings.get("metrics"))
        summary |= {f"test_{name}": value for name, value in figures.items()}
    summary |= find_metrics_of_weights(trainer, dataset.valid, settings)
    counts_steps = settings.get("steps") is not None
    summary |= {"steps": trainer.step} if counts_steps else {"epochs": len(trainer.history)}
    if any(isinstance(callback, EarlyStopping) and callback.restore_best for callback in trainer.callbacks):
        best = [row["step" if counts_steps else "epoch"] for row in find_rows_of_weights(trainer)]
        summary |= {"best_step" if counts_steps else "best_epoch": best[0]} if best else {}
    summary |= {"parameters": trainer.model.parameter_count, "threads": trainer.threads}
    if trainer.stopped is not None:
        summary["stopped"] = trainer.stopped
    return summary


def find_rows_of_weights(trainer: Trainer) -> list[dict[str, Any]]:
    """Find the row of metrics at whose end the model had its weights; none for weights within an epoch."""
    return [row for row in trainer.history if row["epoch"] == trainer.weights_epoch]


def find_metrics_of_weights(trainer: Trainer, valid, settings: dict[str, Any]) -> dict[str, Any]:
    """Those of the epoch at whose end the model had its weights; of weights within an epoch, on the validation part."""
    if rows := find_rows_of_weights(trainer):
        return {name: value for name, value in rows[-1].items() if name.startswith(("train_", "valid_"))}
    metrics = {} if valid is None else trainer.evaluate(valid, metrics=settings.get("metrics"))
    return {f"valid_{name}": value for name, value in metrics.items()}


def replace_not_finite(value: Any) -> Any:
    """Replace NaN and infinity by words, which JSON lacks."""
    if isinstance(value, dict):
        return {key: replace_not_finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [replace_not_finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
