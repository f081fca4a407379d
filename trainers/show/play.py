"""A training that the page runs by itself: small models of Linear layers and elementwise units, as JavaScript.

The layers are those of the plan's operations; each unit's and each elementwise loss's function and derivative are
translated from their source. The page computes in float64.
"""

from typing import Any

import numpy as np

from ...modules.engine.entry_points import name_results
from ...modules.engine.operations import Operations
from ...modules.engine.stateful import is_written_by
from ...modules.layers.activations.elementwise import Elementwise, Identity
from ...modules.layers.linear import Linear
from ...modules.layers.reshape import Flatten, Reshape
from ...modules.losses import BinaryCrossEntropyWithLogits, SoftmaxCrossEntropy
from ...modules.losses.loss import Loss
from ...modules.losses.loss_bases import ElementwiseLoss
from ..optimizers import SGD, Adam, AdamW, RMSprop
from .arrays import Arrays
from .subject import Subject
from .translate import Untranslatable, translate_method

MOST_WEIGHTS = 5_000
SAMPLES, NUMBERS = 2_000, 130_000  # of the data, at most
RULES: dict[type, str] = {SGD: "SGD", Adam: "Adam", AdamW: "AdamW", RMSprop: "RMSprop"}


def describe_play(subject: Subject, arrays: Arrays) -> tuple[dict[str, Any], str]:
    """Describe the layers, the loss, the data and the rule for the page, and write the script of their functions.

    A model that the page cannot train has `reason` instead, which says why, and no script.
    """
    try:
        layers, functions = describe_layers(subject)
        loss, loss_code = describe_loss(subject.loss)
        data = describe_data(subject, arrays)
    except Untranslatable as error:
        return {"reason": str(error)}, ""
    linear = [layer for layer in layers if layer["kind"] == "linear"]
    for layer, (weight, bias) in zip(linear, parameters_of(subject), strict=True):
        layer["weight"] = arrays.add("weight", weight)
        layer["bias"] = None if bias is None else arrays.add("bias", bias)
    code = f"const GENERATED = {{ units: [{', '.join(functions)}], loss: {loss_code} }};"
    play = {"layers": layers, "loss": loss, "data": data, "rule": describe_rule(subject), "batch": subject.batch_size}
    return play, code


def describe_layers(subject: Subject) -> tuple[list[dict[str, Any]], list[str]]:
    """Describe the layers of a chain, and write the functions of its units; Untranslatable for any other model."""
    net = subject.net
    if net.parameter_count > MOST_WEIGHTS:
        raise Untranslatable(f"the model has {net.parameter_count:,} weights, expected at most {MOST_WEIGHTS:,}")
    operations, (name,) = Operations(), ("x",)
    if type(subject.x) is tuple or subject.x.dtype.kind != "f":
        raise Untranslatable("the model reads no array of real numbers")
    last = operations.fprop(net, name_results("x", subject.x))
    layers: list[dict[str, Any]] = []
    functions: list[str] = []
    for operation in operations.items:
        module: Any = operation.module
        if operation.arguments != (name,):
            raise Untranslatable("the model branches")
        name = operation.target
        if is_written_by(module, Linear):
            layers.append({"kind": "linear", "in": module.in_features, "out": module.out_features})
        elif is_written_by(module, Elementwise) and not module._parameters:
            code = (translate_method(module, method) for method in ("function", "derivative"))
            layers.append({"kind": "unit", "label": module.label(), "unit": len(functions)})
            functions.append("{{ f: {}, d: {} }}".format(*code))
        elif not any(is_written_by(module, cls) for cls in (Flatten, Reshape, Identity)):
            raise Untranslatable(f"it has {module.label()}: the page trains Linear layers and elementwise units")
    if name != last or not any(layer["kind"] == "linear" for layer in layers):
        raise Untranslatable("the model has no Linear layer")
    sizes = [np.prod(subject.x.shape[1:]), *(layer["in"] for layer in layers if layer["kind"] == "linear")]
    if sizes[0] != sizes[1]:
        raise Untranslatable("a Linear layer reads one axis of several")
    return layers, functions


def parameters_of(subject: Subject) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """The weight and the bias of each Linear layer, in order."""
    operations = Operations()
    operations.fprop(subject.net, "x")
    linear: list[Any] = [each.module for each in operations.items if is_written_by(each.module, Linear)]
    return [(module.weight, module.bias) for module in linear]


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
    return {"name": name, **{key: float(getattr(optimizer, key, value)) for key, value in values.items()}}
