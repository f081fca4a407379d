"""How the numbers of a module come about, where that is a formula that the page can write out term by term."""

from typing import Any

from ...modules.containers.elementwise_ops import Sum
from ...modules.containers.slice_ops import Select
from ...modules.engine.stateful import is_written_by
from ...modules.layers.activations.elementwise import Elementwise, Identity
from ...modules.layers.convolution.conv import Conv2d
from ...modules.layers.dropout import ElementwiseDropout
from ...modules.layers.embedding.embedding import Embedding
from ...modules.layers.linear import Linear
from ...modules.layers.reshape import Flatten, Reshape
from ...modules.losses.loss import Loss


def describe_form(module: Any) -> dict[str, Any]:
    """Describe the formula by its `kind`; `jacobian` where the page is given the derivatives of each number."""
    if isinstance(module, Loss):
        return {"kind": "loss"}
    if is_written_by(module, Linear):
        return {"kind": "linear"}
    if is_written_by(module, Conv2d) and module.pads is None:
        settings = {"stride": module.stride, "dilation": module.dilation, "padding": module.before}
        return {"kind": "conv2d", "groups": module.groups, **{key: list(each) for key, each in settings.items()}}
    if is_written_by(module, Elementwise) or is_written_by(module, ElementwiseDropout):
        return {"kind": "elementwise"}
    if any(is_written_by(module, cls) for cls in (Flatten, Reshape, Identity)):
        return {"kind": "copy"}
    if isinstance(module, Sum):
        return {"kind": "sum"}
    if is_written_by(module, Embedding):
        return {"kind": "embedding"}
    return {"kind": "other"} if isinstance(module, Select) else {"kind": "jacobian"}
