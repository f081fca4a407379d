"""Refuses a net whose layers do not fit each other, its data set or its loss, on the line that is wrong.

It runs before any data is read: the data set knows the shape of a sample, every module that of its output.
"""

import re
from collections.abc import Sequence
from typing import Any

from ..schedules.setting import find_settings
from .errors import ConfigError
from .specs import Spec

__all__ = ["check_fit", "check_schedules"]


def check_fit(dataset: Any, model: Any, loss: Any, specs: dict[str, Any]) -> None:
    """Args: specs: where the model and the loss stand in the config.

    Errors: ConfigError at the layer that refuses its input, or at the loss that refuses the net's output.
    """
    inputs = (1, *dataset.input_shape)
    try:
        outputs = model.output_shape(inputs)
    except Exception as error:  # a ValueError for a shape; of a module of one's own, anything
        spec = _named_by(getattr(error, "__notes__", ()), specs["model"])
        hint = f"a sample of the data set has shape {tuple(dataset.input_shape)}"
        raise ConfigError([spec.problem(error, hint)]) from error
    if not hasattr(loss, "check_shapes"):
        return
    try:
        loss.check_shapes(outputs, (1, *dataset.target_shape), dataset.classes)
    except Exception as error:
        raise ConfigError([specs["loss"].problem(error)]) from error


def check_schedules(made: dict[str, Any], specs: dict[str, Spec]) -> None:
    """ConfigError for each schedule whose path names no setting of the objects `made`."""
    problems = []
    for path, schedule in made["schedules"].items():
        try:
            find_settings({path: schedule}, {root: made[root] for root in ("optimizer", "model", "loss")})
        except ValueError as error:
            problems.append(specs[path].problem(error))
    if problems:
        raise ConfigError(problems)


def _named_by(notes: Sequence[str], model: Spec) -> Spec:
    """The part that notes such as `in model[2].inner` name, as far as the config describes it."""
    found = [match for note in notes for match in re.findall(r"in model((?:\[\d+\]|\.\w+)*)", note)]
    for index, name in re.findall(r"\[(\d+)\]|\.(\w+)", max(found, key=len, default="")):
        children = {str(i): child for i, child in enumerate(model.varargs)} if index else model.arguments
        child = children.get(index or name)
        if not isinstance(child, Spec):
            break
        model = child
    return model
