"""The base of containers that pass the lengths of sequences on, and the op that clears padded steps."""

from functools import partial

import numpy as np

from ...containers.container import Container, run_child, write_child
from ...containers.elementwise_ops import Sum
from ...core.internal_op import InternalOp
from ...core.sequences import SequenceModule
from ...engine.tables import map_table
from ...kernels.attention.spans import clear_padded
from ...kernels.buffers import reuse_like


class SequenceContainer(SequenceModule, Container):
    """Base of containers `fprop(x, lengths=None)`, which define `call_fprop(self, call, x, *lengths)`.

    `self.has_lengths` tells `call_bprop` whether there were lengths.
    """

    framework_base = True

    def __init__(self):
        super().__init__()
        vars(self)["_has_lengths"] = False

    def fprop(self, x, lengths=None):  # type: ignore[override]
        given = () if lengths is None else (lengths,)
        vars(self)["_has_lengths"] = bool(given)
        return self.call_fprop(run_child, x, *given)  # type: ignore[call-arg]

    def write_fprop(self, operations, x, *lengths):
        vars(self)["_input"] = map_table(lambda _: None, x)
        vars(self)["_has_lengths"] = bool(lengths)
        return self.call_fprop(partial(write_child, operations), x, *lengths)

    def clear_padded(self, call, x, lengths: tuple):
        """Zero the padded steps of a result, if there are lengths."""
        return call(self.get_op("_clear", ClearPadded), "fprop", x, *lengths) if lengths else x

    def clear_padded_back(self, call, grad):
        """The backward pass of `clear_padded`."""
        return call(self.get_op("_clear", ClearPadded), "bprop", grad) if self._has_lengths else grad

    def add(self, call, name: str, a, b):
        """The sum of two arrays."""
        return call(self.get_op(name, Sum), "fprop", a, b)

    def add_gradients(self, call, name: str, a, b):
        """The sum of two gradients of one array."""
        return call(self.get_op(name, Sum), "bprop", a, b)

    def _record_calls(self) -> tuple[tuple, tuple]:
        before = self._has_lengths
        vars(self)["_has_lengths"] = False
        try:
            return super()._record_calls()
        finally:
            vars(self)["_has_lengths"] = before


class ClearPadded(InternalOp):
    """y[n, t] = x[n, t] for t < lengths[n], else 0; the gradient likewise."""

    label_arguments = (1,)
    is_drawn = False

    def __init__(self):
        super().__init__()
        self.y = self.grad_x = np.empty((0, 0, 0))

    def fprop(self, x, lengths):  # type: ignore[override]
        self.lengths = lengths
        self.y = reuse_like(self.y, x)
        clear_padded(x, lengths, self.y)
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, grad_y)
        clear_padded(grad_y, self.lengths, self.grad_x)
        return self.grad_x

    def check_arguments(self, *shapes):
        """The shape of x."""
        return tuple(shapes[0])
