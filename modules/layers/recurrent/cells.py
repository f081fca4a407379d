"""Recurrent cells: one step of a recurrent layer, as containers of an op with the parameters."""

from ...containers.container import Container, check_table
from ...core.module import Module
from ...core.shapes import check_sizes
from .cell_ops import GRUCellOp, LSTMCellOp, RNNCellOp
from .parameters import KINDS
from .rnn import Nonlinearity, check_nonlinearity


class Cell(Container):
    """Base of cells: containers of one op, whose parameters are the cell's own by name."""

    framework_base = True

    def __init__(self, input_size: int, hidden_size: int, bias: bool, op: Module):
        super().__init__()
        self.input_size, self.hidden_size, self.has_bias = input_size, hidden_size, bool(bias)
        self._add_module("_op", op)

    @property
    def op(self) -> Module:
        """The op that has the parameters."""
        return self._modules["_op"]

    def __getattr__(self, name: str):
        modules = vars(self).get("_modules", {})
        if "_op" in modules and name.removeprefix("grad_") in KINDS:
            return getattr(modules["_op"], name)
        return super().__getattr__(name)

    def __setattr__(self, name: str, value) -> None:
        if name.removeprefix("grad_") in KINDS:
            setattr(self.op, name, value)
        else:
            super().__setattr__(name, value)

    def named_modules(self, prefix: str = ""):
        yield prefix, self
        yield prefix, self.op  # its parameters have PyTorch's names

    def __call__(self, x, state=None):
        """`fprop((x, state))`, as in PyTorch; without a state, `fprop` of a table."""
        return self.fprop(x if state is None else (x, state))

    def call_fprop(self, call, x):
        check_table(self, x, 2)
        return call(self.op, "fprop", *x)

    def call_bprop(self, call, grad_y):
        return call(self.op, "bprop", grad_y), call(self.op, "bprop_other", grad_y)

    def output_shape(self, input_shape):
        check_table(self, input_shape, 2)
        self.check_shape("x", input_shape[0], self.input_size, input_shape[0][0])
        self.check_shape("h", input_shape[1], self.hidden_size, input_shape[0][0])
        return tuple(input_shape[1])

    def check_shape(self, name: str, shape, features: int, samples: int) -> None:
        """Raise ValueError unless a shape is (samples, features)."""
        if tuple(shape) != (samples, features):
            expected = f"({'N' if name == 'x' else samples}, {features})"
            raise ValueError(f"{self.label()}: {name} has shape {tuple(shape)}, expected {expected}")

    def extra_repr(self) -> str:
        return f"{self.input_size} -> {self.hidden_size}" + ("" if self.has_bias else ", bias=False")


class RNNCell(Cell):
    """One step of the simple recurrent layer `RNN`.

        h'     = f(W_ih x + b_ih + W_hh h + b_hh)
        grad_a = grad_h' f'(a),   grad_x = grad_a W_ih,   grad_h = grad_a W_hh
        grad_weight_ih += grad_aᵀ x,   grad_weight_hh += grad_aᵀ h,   grad_bias_* += Σₙ grad_a[n]

    Shapes: input a table (x (N, D), h (N, H)), output h' (N, H); weight_ih (H, D), weight_hh (H, H), bias_ih, bias_hh
        (H,).
    Args: input_size, hidden_size: D and H; bias: add b; nonlinearity: f, tanh or relu.
    Errors: ValueError for other sizes and settings, and for tables of other shapes.
    Source: Goodfellow et al., Deep Learning, eqs. 10.8 and 10.9; PyTorch's RNNCell.
    """

    framework_base = True

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: Nonlinearity = "tanh"):
        check_sizes(self, input_size=input_size, hidden_size=hidden_size)
        check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(
            input_size, hidden_size, bias, RNNCellOp(input_size, hidden_size, bias, nonlinearity == "relu")
        )
        self.nonlinearity = nonlinearity


class GRUCell(Cell):
    """One step of the gated recurrent units `GRU`, whose equations, of grad_x and grad_h, too, are those of a step.

    Shapes: input a table (x (N, D), h (N, H)), output h' (N, H); weight_ih (3 H, D), weight_hh (3 H, H), bias_ih,
        bias_hh (3 H,), gates in the order r, z, n.
    Args: input_size, hidden_size: D and H; bias: add b.
    Errors: ValueError for other sizes, and for tables of other shapes.
    Source: Cho et al., Learning phrase representations using RNN encoder-decoder (2014); PyTorch's GRUCell.
    """

    framework_base = True

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        check_sizes(self, input_size=input_size, hidden_size=hidden_size)
        super().__init__(input_size, hidden_size, bias, GRUCellOp(input_size, hidden_size, bias))


class LSTMCell(Cell):
    """One step of the long short-term memory `LSTM`, whose equations, of grad_x, too, are those of a step.

    Shapes: input a table (x (N, D), (h (N, H), c (N, H))), output a table (h', c'); weight_ih (4 H, D), weight_hh
        (4 H, H), bias_ih, bias_hh (4 H,), gates in the order i, f, g, o.
    Args: input_size, hidden_size: D and H; bias: add b.
    Errors: ValueError for other sizes, and for tables of other shapes.
    Source: Hochreiter and Schmidhuber, Long short-term memory (1997); PyTorch's LSTMCell.
    """

    framework_base = True

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        check_sizes(self, input_size=input_size, hidden_size=hidden_size)
        super().__init__(input_size, hidden_size, bias, LSTMCellOp(input_size, hidden_size, bias))

    def call_fprop(self, call, x):
        check_table(self, x, 2)
        check_table(self, x[1], 2)
        hidden = call(self.op, "fprop", x[0], *x[1])
        return hidden, call(self.op, "next_cell", hidden)

    def call_bprop(self, call, grad_y):
        grad_x = call(self.op, "bprop", *grad_y)
        return grad_x, (call(self.op, "bprop_other", grad_y[0]), call(self.op, "bprop_cell", grad_y[0]))

    def output_shape(self, input_shape):
        check_table(self, input_shape, 2)
        check_table(self, input_shape[1], 2)
        self.check_shape("x", input_shape[0], self.input_size, input_shape[0][0])
        for name, shape in zip("hc", input_shape[1], strict=True):
            self.check_shape(name, shape, self.hidden_size, input_shape[0][0])
        return tuple(map(tuple, input_shape[1]))
