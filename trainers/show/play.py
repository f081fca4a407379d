"""A training that the page runs by itself, of small models, as JavaScript.

The layers are those of the plan's operations: `TRAINED`; function and derivative of each unit and of each elementwise
loss are translated from their source. The page computes in float64.
"""

from typing import Any

import numpy as np

from ...modules.containers.elementwise_ops import Sum
from ...modules.engine.entry_points import name_results
from ...modules.engine.operations import Operations
from ...modules.engine.stateful import is_written_by
from ...modules.layers.activations.elementwise import Elementwise, Identity
from ...modules.layers.activations.softmax import Softmax
from ...modules.layers.dropout import Dropout
from ...modules.layers.linear import Linear
from ...modules.layers.normalization.batch_norm import BatchNorm1d
from ...modules.layers.normalization.layer_norm import LayerNorm
from ...modules.layers.reshape import Flatten, Reshape
from ...modules.losses import BinaryCrossEntropyWithLogits, SoftmaxCrossEntropy
from ...modules.losses.loss import Loss
from ...modules.losses.loss_bases import ElementwiseLoss
from ..optimizers import SGD, Adam, AdamW, RMSprop
from .arrays import Arrays
from .subject import Subject
from .translate import Untranslatable, translate_method

MOST_WEIGHTS = 5_000
SCALARS = ("function", "derivative")
TRAINED = (
    "Linear, elementwise units without parameters, Softmax, Dropout, BatchNorm1d and LayerNorm of vectors, sums of "
    "branches"
)
SAMPLES, NUMBERS = 2_000, 130_000  # of the data, at most
RULES: dict[type, str] = {SGD: "SGD", Adam: "Adam", AdamW: "AdamW", RMSprop: "RMSprop"}


def describe_play(subject: Subject, arrays: Arrays) -> tuple[dict[str, Any], str]:
    """Describe the layers, the loss, the data and the rule for the page, and write the script of their functions.

    A model that the page cannot train has `reason` instead, which says why, and no script.
    """
    try:
        layers, functions = describe_layers(subject, arrays)
        loss, loss_code = describe_loss(subject.loss)
        data = describe_data(subject, arrays)
    except Untranslatable as error:
        return {"reason": str(error)}, ""
    code = f"const GENERATED = {{ units: [{', '.join(functions)}], loss: {loss_code} }};"
    batch_size = subject.batch_size if subject.data is not None else len(subject.x)
    play = {"layers": layers, "loss": loss, "data": data, "rule": describe_rule(subject), "batch": batch_size}
    return play, code


def describe_layers(subject: Subject, arrays: Arrays) -> tuple[list[dict[str, Any]], list[str]]:
    """Describe the layers in the order in which they run, and write the functions of units.

    Untranslatable if one is none that the page has. Layer k makes value k + 1 of the values that its `inputs` name;
    value 0 is x.
    """
    net = subject.net
    if net.parameter_count > MOST_WEIGHTS:
        raise Untranslatable(f"the model has {net.parameter_count:,} weights, expected at most {MOST_WEIGHTS:,}")
    if type(subject.x) is tuple or subject.x.dtype.kind != "f":
        raise Untranslatable("the model reads no array of real numbers")
    operations, layers = Operations(), list[dict[str, Any]]()
    last = operations.fprop(net, name_results("x", subject.x))
    numbers, shapes = {"x": 0}, {"x": subject.x.shape}
    functions: list[str] = []
    for operation in operations.items:
        module: Any = operation.module
        if operation.method != "fprop" or any(name not in numbers for name in operation.arguments):
            raise Untranslatable(f"it has {module.label()}, which is more than one call of fprop")
        shape = shapes[operation.arguments[0]]
        if any(is_written_by(module, cls) for cls in (Flatten, Reshape, Identity)):
            numbers[operation.target] = numbers[operation.arguments[0]]
        else:
            layer = describe_layer(module, shape, functions, arrays)
            layers.append({"inputs": [numbers[name] for name in operation.arguments], **layer})
            numbers[operation.target] = len(layers)
        shapes[operation.target] = shape if isinstance(module, Sum) else tuple(module.output_shape(shape))
    if sum(array.size for array in list_weights(operations)) != net.parameter_count:
        raise Untranslatable("layers of the model share weights")
    if not any(layer["kind"] == "linear" for layer in layers):
        raise Untranslatable("the model has no Linear layer")
    if numbers[last] != len(layers):
        raise Untranslatable("the model's last layer is not its output")
    return layers, functions


def list_weights(operations: Operations) -> list[np.ndarray]:
    """List the parameters of the layers that operations call, a layer's as often as it is called."""
    return [vars(each.module)[name] for each in operations.items for name in each.module._parameters]  # type: ignore


def describe_layer(module: Any, shape: tuple[int, ...], functions: list[str], arrays: Arrays) -> dict[str, Any]:
    """Describe a layer that reads an array of this shape; Untranslatable if the page does not have it."""
    size, one_axis = int(np.prod(shape[1:])), len(shape) == 2
    if is_written_by(module, Linear):
        if size != module.in_features:
            raise Untranslatable(f"{module.label()} reads one axis of several")
        return {"kind": "linear", "in": size, "out": module.out_features, **store(module, ("weight", "bias"), arrays)}
    if is_written_by(module, Elementwise) and not module._parameters:
        functions.append("{{ f: {}, d: {} }}".format(*(translate_method(module, name) for name in SCALARS)))
        return {"kind": "unit", "label": module.label(), "unit": len(functions) - 1}
    if isinstance(module, Sum):
        return {"kind": "sum"}
    if is_written_by(module, Softmax) and one_axis:
        return {"kind": "softmax", "size": size}
    if type(module) is Dropout:
        return {"kind": "dropout", "p": module.p}
    if is_written_by(module, BatchNorm1d) and one_axis and module.momentum is not None:
        form = {"kind": "norm", "columns": True, "size": size, "eps": module.eps, "momentum": module.momentum}
        running = {"mean": module.running_mean, "var": module.running_var}
        stored = {
            name: None if value is None else arrays.add(f"running {name}", value) for name, value in running.items()
        }
        return {**form, **store(module, ("weight", "bias"), arrays), **stored}
    if is_written_by(module, LayerNorm) and module.size == size:
        form = {"kind": "norm", "columns": False, "size": size, "eps": module.eps}
        return {**form, **store(module, ("weight", "bias"), arrays)}
    raise Untranslatable(f"it has {module.label()}, which is none of the layers that the page trains: {TRAINED}")


def store(module: Any, names: tuple[str, ...], arrays: Arrays) -> dict[str, int | None]:
    """Add parameters of a layer by name, None for those that it does not have."""
    found = {name: getattr(module, name) for name in names}
    return {name: None if value is None else arrays.add(name, value) for name, value in found.items()}


def describe_loss(loss: Loss) -> tuple[dict[str, Any], str]:
    """Describe a loss, and write its functions of one number if it has such; Untranslatable for others."""
    described = {"label": loss.label(), "averages": bool(loss.averages), "class": type(loss).__name__}
    plain = all(getattr(loss, name, None) is None for name in ("weight", "pos_weight", "class_weights", "each"))
    plain = plain and all(getattr(loss, name, None) is None for name in ("label_smoothing", "ignore_index"))
    if plain and is_written_by(loss, SoftmaxCrossEntropy) and type(loss) is SoftmaxCrossEntropy:
        return {**described, "kind": "softmax"}, "{}"
    if plain and type(loss) is BinaryCrossEntropyWithLogits:
        return {**described, "kind": "logits"}, "{}"
    if plain and is_written_by(loss, ElementwiseLoss) and loss.column_weights is None:
        code = (translate_method(loss, method) for method in ("function", "derivative"))
        return {**described, "kind": "elementwise"}, "{{ f: {}, d: {} }}".format(*code)
    raise Untranslatable(f"the loss is {loss.label()}, which the page does not compute")


def describe_data(subject: Subject, arrays: Arrays) -> dict[str, Any]:
    """Describe the training data, as many samples as fit."""
    if subject.data is None:
        x, y, names = subject.x, subject.target, None
    else:
        features = int(np.prod(subject.data.input_shape))
        count = min(len(subject.data), SAMPLES, max(1, NUMBERS // features))
        x, y = subject.data.inputs(slice(0, count)), subject.data.y[:count]
        names = subject.class_names
    labels = y.dtype.kind in "iub" and y.ndim == 1
    return {
        "x": arrays.add("x of the data", x.reshape(len(x), -1)),
        "y": arrays.add("y of the data", y.reshape(len(y), -1)),
        "count": len(x),
        "features": int(x[0].size),
        "targets": int(y[0].size),
        "labels": bool(labels),
        "classes": names,
    }


def describe_rule(subject: Subject) -> dict[str, Any]:
    """Describe the optimizer in the settings that the page knows; others begin as SGD with its lr."""
    optimizer: Any = subject.optimizer
    name = RULES.get(type(optimizer), "SGD")
    values = {"lr": 0.1, "momentum": 0.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "alpha": 0.99}
    own = {key: getattr(optimizer, key, None) for key in values}
    numbers = {key: float(value) for key, value in own.items() if isinstance(value, int | float)}
    return {"name": name, **values, **numbers}
