"""Checks that a model's layers, its data set and its loss fit, with errors at the line that is wrong.

It runs before any data is read: the data set knows the shape of a sample, every module that of its output. A model that
cannot fit into memory is refused there, too.
"""

import re
from collections.abc import Sequence
from math import prod
from typing import Any

from ...modules.display.summary import format_size, record_output_shapes
from ...modules.engine.tables import flatten_shapes
from ..schedules.setting import find_settings
from .errors import ConfigError
from .memory_limit import find_free_memory
from .specs import Spec

__all__ = [
    "check_augment",
    "check_memory",
    "check_rule",
    "check_schedules",
    "check_shapes",
    "prepare_callbacks",
    "share_ignore_index",
]


LARGE = 1000  # samples of a minibatch that a data set may not have


def check_shapes(dataset: Any, model: Any, loss: Any, specs: dict[str, Any]) -> None:
    """Args: specs: where the model and the loss stand in the config.

    Errors: ConfigError at the layer that refuses its input, or at the loss that refuses the model's output.
    """
    inputs = infer_minibatch_shape(dataset, 1)
    try:
        outputs = getattr(model, "one_output_shape", model.output_shape)(inputs)
    except Exception as error:  # a ValueError for a shape; of a custom module, anything
        spec = _find_named_spec(getattr(error, "__notes__", ()), specs["model"])
        hint = f"a sample of the data set has shape {tuple(dataset.input_shape)}"
        raise ConfigError([spec.problem(error, hint)]) from error
    if not hasattr(loss, "check_shapes"):
        return
    try:
        loss.check_reduction()
        loss.check_shapes(outputs, (1, *dataset.target_shape), dataset.classes)
    except Exception as error:
        labels = dataset.classes is not None and not loss.label_arguments
        hint = f"the targets are labels of {dataset.classes} classes, which SoftmaxCrossEntropy takes" if labels else ""
        raise ConfigError([specs["loss"].problem(error, hint)]) from error


def infer_minibatch_shape(dataset: Any, samples: int) -> tuple[Any, ...]:
    """Infer the shape of what a model gets of some samples of a data set, which may be no subclass of Dataset."""
    if hasattr(dataset, "minibatch_shape"):
        return dataset.minibatch_shape(samples)
    return (samples, *dataset.input_shape)


def share_ignore_index(dataset: Any, loss: Any) -> None:
    """Give a data set that has no ignored label that of the loss."""
    if getattr(dataset, "ignore_index", 0) is None:
        dataset.ignore_index = getattr(loss, "ignore_index", None)


def check_memory(dataset: Any, model: Any, specs: dict[str, Any], batch_size: int) -> None:
    """Raise ConfigError for a model whose training needs more memory than there is.

    That is one output for a minibatch, or one more copy of the parameters and their gradients.
    """
    if (free := find_free_memory()) is None or not hasattr(model, "all_modules"):
        return
    shapes = record_output_shapes(model, infer_minibatch_shape(dataset, min(batch_size, LARGE)))
    arrays = [(place, shape) for place, shape_tree in shapes.items() for shape in flatten_shapes(shape_tree)]
    path, shape = max(arrays, key=lambda item: prod(item[1]), default=("model", ()))
    needs = {
        path: (prod(shape) * model.dtype.itemsize, f"an output of shape {shape}"),
        "model": (2 * model.parameter_count * model.dtype.itemsize, f"{model.parameter_count:,} parameters"),
    }
    for place, (size, what) in needs.items():
        if size > free:
            error = ValueError(
                f"{what} need{'s' if what[0] == 'a' else ''} {format_size(size)} at least, "
                f"and {format_size(free)} are free"
            )
            raise ConfigError([_find_named_spec([f"in {place}"], specs["model"]).problem(error)])


def check_augment(objects: dict[str, Any], specs: Sequence[Spec]) -> None:
    """Raise ConfigError for each augmentation that rejects the data set's samples."""
    problems = []
    for augment, spec in zip(objects["augment"], specs, strict=True):
        try:
            augment.check(tuple(objects["dataset"].input_shape))
        except ValueError as error:
            problems.append(spec.problem(error))
    if problems:
        raise ConfigError(problems)


def check_rule(objects: dict[str, Any], spec: Spec | None) -> None:
    """Raise ConfigError for a learning rule that cannot train the model, or not with the optimizer."""
    if spec is None:
        return
    try:
        objects["rule"].check_optimizer(objects["optimizer"])
        objects["rule"].attach(objects["model"], (2, *objects["dataset"].input_shape))
    except (ValueError, TypeError) as error:
        raise ConfigError([spec.problem(error)]) from None


def prepare_callbacks(objects: dict[str, Any], specs: Sequence[Spec]) -> None:
    """Let callbacks change the optimizer; ConfigError for each that rejects it."""
    problems = []
    for callback, spec in zip(objects["callbacks"], specs, strict=True):
        try:
            callback.prepare(objects["optimizer"])
        except ValueError as error:
            problems.append(spec.problem(error))
    if problems:
        raise ConfigError(problems)


def check_schedules(objects: dict[str, Any], specs: dict[str, Spec]) -> None:
    """Raise ConfigError for each schedule whose path names no setting of the objects `made`."""
    problems = []
    for path, schedule in objects["schedules"].items():
        try:
            find_settings({path: schedule}, {root: objects[root] for root in ("optimizer", "model", "loss")})
        except ValueError as error:
            problems.append(specs[path].problem(error))
    if problems:
        raise ConfigError(problems)


def _find_named_spec(notes: Sequence[str], model: Spec) -> Spec:
    """Find the spec that notes such as `in model[2].inner` refer to."""
    paths = [match for note in notes for match in re.findall(r"in model((?:\[\d+\]|\.\w+)*)", note)]
    place: Any = model
    for index, name in re.findall(r"\[(\d+)\]|\.(\w+)", max(paths, key=len, default="")):
        place = _find_part(place, index, name)
        model = place if isinstance(place, Spec) else model
    return model


def _find_part(place: Any, index: str, name: str) -> Any:
    """Find the spec at `[index]` or `.name` of an object or of a list of layers; None if the config has none."""
    if index:
        items = place.varargs if isinstance(place, Spec) else place if isinstance(place, list) else []
        return items[int(index)] if int(index) < len(items) else None
    arguments = place.arguments if isinstance(place, Spec) else {}
    nodes = [value[name] for value in arguments.values() if isinstance(value, dict) and name in value]
    return nodes[0][0] if nodes and isinstance(nodes[0], list) else arguments.get(name)
