"""A dry run: a training up to its first step, with all checks, and nothing written."""

from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ...modules.checks.module_check import format_module
from ..configs import Config
from ..training.arguments import EPOCHS
from ..training.passes import count_steps
from .run_folder import check_experiment, refuse_files_in, refuse_sweep
from .unseeded_randomness import warn_of_unseeded_randomness


def dry_run(config: Config, run: Path | None = None) -> dict[str, Any]:
    """What `train_config` would train, in a few numbers.

    Errors: all those with which the training would end before its first step.
    """
    refuse_sweep(config)
    experiment = config.build()
    data = experiment.dataset
    default = {name: parameter.default for name, parameter in config.accepted_settings.named.items()}
    settings = default | experiment.settings
    warn_of_unseeded_randomness(config, experiment.model, experiment.loss)
    check_experiment(experiment)
    if run is not None and (run := expand_path(run)).exists():
        refuse_files_in(run)
    parts = {name: getattr(data, name) for name in ("train", "valid", "test")}
    steps = count_steps(len(data.train), settings)
    epochs = EPOCHS if settings["epochs"] is None else settings["epochs"]
    return {
        "model": format_module(experiment.model),
        "parameters": experiment.model.parameter_count,
        "loss": type(experiment.loss).__name__,
        "optimizer": type(experiment.optimizer).__name__,
        **({"rule": experiment.rule.label()} if experiment.rule else {}),
        "data": type(data).__name__,
        **({"augment": ", ".join(augment.label() for augment in experiment.augment)} if experiment.augment else {}),
        **{f"{name}_samples": len(part) for name, part in parts.items() if part is not None},
        **({"epochs": epochs} if settings["steps"] is None else {"steps": settings["steps"]}),
        "steps_an_epoch": steps,
    }
