"""How the numbers of a module come about, where that is a formula that the page can write out term by term."""

from typing import Any

import numpy as np

from ...modules.containers.elementwise_ops import ElementwiseBinaryOp, Sum
from ...modules.containers.slice_ops import ConcatSlice, Discard, Select, Slice, StackSlice
from ...modules.engine.stateful import is_written_by
from ...modules.layers.activations.elementwise import Elementwise, Identity
from ...modules.layers.activations.softmax import LogSoftmax, Softmax
from ...modules.layers.convolution.conv import Conv1d, Conv2d
from ...modules.layers.dropout import ElementwiseDropout
from ...modules.layers.embedding.embedding import Embedding
from ...modules.layers.linear import Linear
from ...modules.layers.normalization.batch_norm import BatchNorm1d
from ...modules.layers.normalization.batch_norm2d import BatchNorm2d
from ...modules.layers.normalization.group_norm import GroupNorm
from ...modules.layers.normalization.layer_norm import LayerNorm, RMSNorm
from ...modules.layers.pooling.avg_pool import AvgPool1d, AvgPool2d
from ...modules.layers.pooling.max_pool import MaxPool2d
from ...modules.layers.reshape import Flatten, Reshape
from ...modules.losses.loss import Loss
from .arrays import Arrays

KINDS = {
    Linear: "linear", Conv2d: "conv2d", Conv1d: "conv2d", Elementwise: "elementwise", ElementwiseDropout: "elementwise",
    Flatten: "copy", Reshape: "copy", Identity: "copy", Embedding: "embedding",
}  # fmt: skip


def describe_form(module: Any) -> dict[str, Any]:
    """Describe the formula by its `kind`; `jacobian` where that depends on what the step makes: see `complete_form`."""
    if isinstance(module, Loss):
        return {"kind": "loss"}
    kind = next((kind for cls, kind in KINDS.items() if is_written_by(module, cls)), None)
    if kind == "conv2d" and module.pads is None:
        settings = {"stride": module.stride, "dilation": module.dilation, "padding": module.before}
        return {"kind": kind, "groups": module.groups, **{key: list(each) for key, each in settings.items()}}
    if kind == "embedding":
        return {"kind": kind, "padding": module.padding}
    if kind is not None and kind != "conv2d":
        return {"kind": kind}
    if isinstance(module, Sum):
        return {"kind": "sum"}
    if isinstance(module, ElementwiseBinaryOp):
        return {"kind": "binary"}
    return {"kind": "other" if isinstance(module, Discard) else "jacobian"}


def complete_form(module: Any, x: Any, y: Any, arrays: Arrays) -> dict[str, Any] | None:
    """Complete the form of a module that has just made y of x, if it has a formula; None if it has none."""
    if not isinstance(y, np.ndarray):
        return None
    if isinstance(module, ConcatSlice | StackSlice | Slice | Select):
        return describe_slice(module, y if isinstance(module, ConcatSlice | StackSlice) else x)
    if x.dtype.kind != "f":
        return None
    if is_written_by(module, MaxPool2d):
        return find_largest(module, x, y, arrays)
    if is_written_by(module, AvgPool2d) or is_written_by(module, AvgPool1d):
        tables = {name: arrays.add(name, getattr(module, name)) for name in ("down", "across")}
        return {"kind": "average", "divisor": module.divisor_override, **tables}
    if is_written_by(module, Softmax) or is_written_by(module, LogSoftmax):
        axis = module.dim % y.ndim
        size, places = y.shape[axis], int(np.prod(y.shape[axis + 1 :]))
        return {"kind": "softmax", "logarithm": is_written_by(module, LogSoftmax), "size": size, "places": places}
    return describe_norm(module, x, arrays)


def describe_slice(module: Any, whole: np.ndarray) -> dict[str, Any]:
    """Describe which numbers of a whole array are a part's: from `first` on `count` of `size`, of an axis."""
    is_one = isinstance(module, StackSlice | Select)
    axis = 1 if is_one else module.axis % whole.ndim
    first, count = (module.k, 1) if is_one else (module.first, module.count)
    into = isinstance(module, ConcatSlice | StackSlice)
    places = int(np.prod(whole.shape[axis + 1 :]))
    return {"kind": "slice", "into": into, "first": first, "count": count, "size": whole.shape[axis], "places": places}


def find_largest(module: Any, x: np.ndarray, y: np.ndarray, arrays: Arrays) -> dict[str, Any]:
    """The Jacobian of max pooling: a one where the largest number of each window stands."""
    places, size = module.largest.reshape(len(module.largest), -1), int(np.prod(x.shape[2:]))
    columns = (places + size * np.arange(len(places))[:, None]).reshape(-1, 1)
    values = arrays.add("dy/dx", np.ones((y.size, 1), y.dtype))
    sparse = {"columns": arrays.add("inputs", columns.astype(np.int64)), "values": values}
    return {"kind": "jacobian", "columns": int(x.size), "sparse": sparse, "whole": True}


def describe_norm(module: Any, x: np.ndarray, arrays: Arrays) -> dict[str, Any] | None:
    """Describe a norm: which numbers it takes together, by what it multiplies each of these blocks, where weights are.

    A block is `size` numbers in a row, or, of batch normalization, a channel: one of `channels`, of `places` numbers a
    sample. Number i has weight i % size, or of channels that of its channel.
    """
    inverse = getattr(module, "inverse", None)
    form: dict[str, Any]
    if is_written_by(module, LayerNorm) or is_written_by(module, RMSNorm):
        form = {"size": module.size, "centred": is_written_by(module, LayerNorm)}
    elif is_written_by(module, GroupNorm):
        channels = module.num_channels
        places = int(np.prod(x.shape[2:]))
        size = places * channels // module.num_groups
        form = {"size": size, "centred": True, "channels": channels, "places": places}
    elif is_written_by(module, BatchNorm1d) or is_written_by(module, BatchNorm2d):
        places = int(np.prod(x.shape[2:]))
        form = {"size": 0, "centred": True, "channels": module.num_features, "places": places}
        if not module.training and module.running_mean is not None:
            form["mean"] = arrays.add("running mean", module.running_mean)
            inverse = 1 / np.sqrt(module.running_var + module.eps)
    else:
        return None
    return {"kind": "norm", "inverse": arrays.add("1/σ", inverse), "rows": x.shape[0], **form}
