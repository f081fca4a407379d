"""Resuming runs, exactly as if they had not been stopped, and replaying failed steps."""

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ..callbacks.layerwise_step import LayerwiseStep
from ..callbacks.nan_guard import FOLDER as FAILURE
from ..callbacks.nan_guard import replay_step
from ..configs import Config, load_config, parse_config
from ..configs.sweeps import format_overrides
from ..files.atomic_files import find_inner_folder, lock_folder, write_atomically
from ..files.checkpoints import (
    CheckpointError,
    list_checkpoints,
    read_checkpoint,
    read_newest_checkpoint,
    remove_checkpoints_after,
)
from ..files.data_digests import check_same_data
from ..files.weights_file import read_weights
from ..training.arguments import EPOCHS, check_length
from ..training.trainer import Trainer
from .run_folder import (
    WEIGHTS,
    check_experiment,
    find_config_file,
    finish_training,
    make_notes,
    make_trainer,
    print_cache_folder_warning,
    read_summary,
)
from .signals import StopSignals
from .trust import remember_run, restrict_to_trusted

CHANGEABLE = ("trainer.epochs=", "trainer.steps=", "trainer.threads=")  # by overrides of a run that goes on
CHANGES = "trainer.epochs=N, trainer.steps=N, trainer.threads=N or where its data are now"
CHANGES += ", such as dataset.CsvDataset.path=FILE"


def resume_run(folder: Path, overrides: Iterable[str] = (), quiet: bool = False) -> tuple[dict[str, Any], bool]:
    """Go on with a run that was stopped, exactly as if it had not been; returns its summary, and whether it was over.

    A run that was stopped before its first checkpoint starts anew; one that is over, but whose weights are damaged, has
    them written again.

    Args: overrides: trainer.epochs=N or trainer.steps=N, trainer.threads=N and paths of the data, which may have moved,
        alone, as others would make another training of it.
    Errors: FileNotFoundError for a folder without a run; BlockingIOError while it is being trained; ValueError for
        other overrides, an edited config, and checkpoints that do not fit; and those of `train_config`.
    """
    start = time.perf_counter()
    overrides = list(overrides)
    refuse_other_overrides(overrides)
    folder = expand_path(folder)
    with restrict_to_trusted(folder, writing=True):
        return resume_locked(folder, overrides, quiet, start)


def refuse_other_overrides(overrides: Iterable[str]) -> None:
    """Raise ValueError for an override of what may not change."""
    wrong = [override for override in overrides if not override.startswith((*CHANGEABLE, "dataset."))]
    if wrong:
        raise ValueError(f"resume: {wrong[0]} would make it another training, expected {CHANGES}")


def check_overrides(overrides: Iterable[str], config: Config) -> None:
    """Raise ValueError for overrides of the data that are no paths, and for lengths out of range."""
    changed = [override.partition("=")[0].strip() for override in overrides if not override.startswith(CHANGEABLE)]
    if wrong := [key for key in changed if key not in config.paths]:
        raise ValueError(f"resume: {wrong[0]} would make it another training, expected {CHANGES}")
    check_length(*(read_setting(config, key) for key in CHANGEABLE))


def resume_locked(folder: Path, overrides: Iterable[str], quiet: bool, start: float) -> tuple[dict[str, Any], bool]:
    """Resume a locked run, with the permissions that its code has."""
    config = load_config(find_config_file(folder), overrides)
    check_overrides(overrides, config)
    with lock_folder(folder):
        checkpoint, *_ = (find_inner_folder(folder, name) for name in ("checkpoint", FAILURE, "tensorboard"))
        number, state = 0, None
        try:
            if list_checkpoints(checkpoint):
                number, state = read_newest_checkpoint(checkpoint)
        except CheckpointError as error:
            error.add_note(f"the training starts anew if {checkpoint} is removed")
            raise
        if state is not None:
            check_same_config(config, state["notes"], folder)
        summary = read_summary(folder)
        if summary is not None and is_over(state, summary, config) and (state is None or has_weights(folder)):
            return summary, True
        experiment = config.build()
        trainer = make_trainer(config, experiment, folder, quiet)
        if state is not None:
            trainer.load_state_dict(state)
            start -= state["seconds"]
        check_experiment(experiment, trainer)  # before anything is changed
        check_same_data("resume", folder, "test", experiment.dataset.test)  # the other parts are in the checkpoint
        trainer.notes.update(make_notes(config, folder))
        print_cache_folder_warning(quiet)
        with undo_if_refused(folder, trainer), StopSignals() as signals:
            signals.tell(trainer.ask_to_stop)
            remember_run(folder, config)
            remove_checkpoints_after(checkpoint, number)
            write_atomically(folder / "config.yaml", config.resolved())
            (folder / "summary.json").unlink(missing_ok=True)  # of an end that is none any more
            return finish_training(trainer, config, experiment, start), False


@contextmanager
def undo_if_refused(folder: Path, trainer: Trainer) -> Iterator[None]:
    """Context for changing a run; an error before its first pause restores it.

    Such as a callback that refuses to begin, or a custom module that no longer compiles.
    """
    files = [folder / name for name in ("config.yaml", "metrics.csv", "statistics.csv", "summary.json")]
    before = {file: file.read_bytes() for file in files if file.is_file()}
    seconds = trainer.seconds  # which grow from pause to pause
    try:
        yield
    except Exception:
        if trainer.seconds == seconds and not (folder / "summary.json").exists():
            with suppress(OSError):  # such as a full disk, which has ended the training
                for file, content in before.items():
                    write_atomically(file, content)
        raise


def read_instruction_set(folder: Path) -> dict[str, Any] | None:
    """Read the instruction set of a run's newest checkpoint; None if it has none."""
    checkpoint = expand_path(folder) / "checkpoint"
    state = read_checkpoint(checkpoint) if list_checkpoints(checkpoint) else None
    return None if state is None else state["written_by"].get("instruction_set")


def replay_run(folder: Path) -> tuple[LayerwiseStep, str | None]:
    """Repeat the step that a run's NanGuard has saved; returns it, and what was wrong then.

    Errors: FileNotFoundError for a folder without a run, or where nothing is saved.
    """
    folder = expand_path(folder)
    with restrict_to_trusted(folder):
        config = load_config(find_config_file(folder))
    saved = folder / FAILURE
    if not list_checkpoints(saved):
        raise FileNotFoundError(f"there is no failed step in {saved}: the callback NanGuard saves it")
    state = read_checkpoint(saved)
    return replay_step(make_trainer(config, config.build(), folder, quiet=True), state), state["trouble"]


def check_same_config(config: Config, notes: dict[str, str], folder: Path) -> None:
    """Raise ValueError if a run's config differs from its checkpoint's in more than what may change."""
    if make_notes(config, folder)["modules"] != notes["modules"]:
        warnings.warn(
            f"the modules in {folder} have been edited since its last checkpoint; the results may differ", stacklevel=2
        )
    same = [f"{key.removesuffix('=')}={format_setting(config, key)}" for key in CHANGEABLE]
    same += format_overrides({key: path for key, path in config.paths.items() if key.startswith("dataset.")})
    before = parse_config(notes["config"], same, source="the checkpoint's config", folder=folder)
    if before.resolved() != config.resolved():
        raise CheckpointError(
            f"{folder / 'config.yaml'} is not the config with which the run began: it has been edited"
        )


def read_setting(config: Config, key: str) -> Any:
    """Read a setting of the trainer."""
    name = key.removeprefix("trainer.").removesuffix("=")
    return config.settings.get(name, config.accepted_settings.named[name].default)


def format_setting(config: Config, key: str) -> str:
    """Format a setting of the trainer as an override."""
    value = read_setting(config, key)
    return "null" if value is None else str(value)


def has_weights(folder: Path) -> bool:
    """Whether a run has its weights, undamaged."""
    try:
        read_weights(folder / WEIGHTS)
    except (OSError, ValueError):
        return False
    return True


def is_over(state: dict[str, Any] | None, summary: dict[str, Any], config: Config) -> bool:
    """Whether the training is complete; `state` is None where the checkpoints have been removed."""
    epochs, steps = read_setting(config, "trainer.epochs="), read_setting(config, "trainer.steps=")
    if steps is not None:
        done = summary.get("steps", 0) if state is None else state["fit"].get("done", 0)
    else:
        done = summary.get("epochs", 0) if state is None else state["epoch"]
    aim = steps if steps is not None else EPOCHS if epochs is None else epochs
    stopped = summary.get("stopped") if state is None else state["fit"]["stopped"]
    return done >= aim if stopped is None else state is not None
