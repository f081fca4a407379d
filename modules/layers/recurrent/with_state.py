"""Recurrent layers whose first state is an input and whose last state is an output, for encoders and decoders."""

from ...containers.container import as_plain_shape, check_table, infer_shape
from ...core.module import Module
from ...core.type_errors import describe_wrong_type
from ..attention.sequence_container import SequenceContainer
from .recurrent import Recurrent


class WithState(SequenceContainer):
    """Runs a recurrent layer from a given state, and returns the state after its last step, too, as PyTorch's do.

        y, h_n        = layer(x, h_0)          y, (h_n, c_n) = layer(x, (h_0, c_0)) of an LSTM
        grad_x, grad_h_0 = Jᵀ (grad_y, grad_h_n)

    so an encoder's last state may be a decoder's first one, and the gradient flows back through it.

    Its input is the table (x, h_0), or (x, (h_0, c_0)) of an LSTM; x alone begins at zero, and then bprop returns
    grad_x alone. Its output is the table (y, h_n), or (y, (h_n, c_n)); `SelectTable` selects one of both.

    Shapes: x, y and lengths as of the layer; states (N, L directions H), those of all layers and directions side by
        side, in PyTorch's order: PyTorch's h_n is h_n.reshape(N, L directions, H).transpose(1, 0, 2). With lengths the
        last state is that after each sample's last real step.
    Args: layer: an RNN, GRU or LSTM, without streams.
    Errors: TypeError for another module; ValueError for a layer with streams, and for tables and states of
        other shapes.
    Source: Sutskever et al., Sequence to sequence learning with neural networks (2014); Cho et al., Learning phrase
        representations using RNN encoder-decoder (2014); PyTorch's RNN, GRU and LSTM.
    """

    framework_base = True
    is_drawn_whole = True

    def __init__(self, layer: Module):
        super().__init__()
        if not isinstance(layer, Recurrent):
            raise TypeError(f"WithState: layer is {describe_wrong_type(layer, 'an RNN, GRU or LSTM')}")
        if layer.streams:
            raise ValueError(f"WithState: {layer.label()} carries its own state, expected one without streams")
        self.layer = layer
        layer.given = "states"
        vars(self)["_has_state"] = False

    @property
    def names(self) -> list[str]:
        """What the state consists of: hidden, and cell of an LSTM."""
        return [name.removesuffix("_state") for name in self.layer.state_names]

    def call_fprop(self, call, x, *lengths):
        vars(self)["_has_state"] = type(x) is tuple
        x, *given = x if type(x) is tuple else (x,)
        states = given[0] if given and type(given[0]) is tuple else given
        y = call(self.layer, "fprop", call(self.layer, "begin", x, *states), *lengths)
        last = tuple(call(self.layer, f"take_{name}", y) for name in self.names)
        return y, last if len(last) > 1 else last[0]

    def call_bprop(self, call, grad_y):
        grad_y, grads = grad_y
        grads = grads if type(grads) is tuple else (grads,)
        grad_x = call(self.layer, "bprop", call(self.layer, "bprop_last", grad_y, *grads))
        if not self._has_state:
            return grad_x
        first = tuple(call(self.layer, f"bprop_{name}", grad_x) for name in self.names)
        return grad_x, first if len(first) > 1 else first[0]

    def padded_part(self, x):
        """x without the state."""
        return x[0] if type(x) is tuple and len(x) == 2 and not isinstance(x[0], int) else x

    def output_shape(self, input_shape):
        x, samples = input_shape, None
        if input_shape and not isinstance(input_shape[0], int):
            check_table(self, input_shape, 2)
            x, samples = input_shape[0], input_shape[1]
        y = infer_shape(self.layer, "fprop", x)
        state = (y[0], self.layer.num_layers * self.layer.directions * self.layer.hidden_size)
        if samples is not None:
            self._check_state(samples, state)
        return as_plain_shape((y, (state, state) if len(self.names) > 1 else state))

    def _check_state(self, shapes, expected: tuple[int, int]) -> None:
        """Raise ValueError unless the states have this shape."""
        if len(self.names) > 1:
            check_table(self, shapes, 2)
        for name, shape in zip("hc", shapes if len(self.names) > 1 else (shapes,), strict=False):
            if tuple(shape) != expected:
                raise ValueError(f"{self.label()}: {name}_0 has shape {tuple(shape)}, expected {expected}")

    def extra_repr(self) -> str:
        return self.layer.label()
