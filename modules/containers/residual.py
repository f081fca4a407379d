"""Residual connections: layers with a skip connection around them."""

from ..core.module import Module
from .container import Shape, as_plain_shape, infer_shape
from .elementwise_ops import Sum
from .sequential import Sequential


class Residual(Sequential):
    """Adds the input of a chain of layers, or what a shortcut makes of it, to their output: a skip connection.

        y      = fₖ(... f₁(x)) + shortcut(x)
        grad_x = J₁ᵀ ... Jₖᵀ grad_y + Sᵀ grad_y

    with S the Jacobian of the shortcut; without one, y = f(x) + x and grad_x = Jᵀ grad_y + grad_y.

    Shapes: x of any shape that the layers take, y that of the last one.
    Args: layers: as of Sequential; shortcut: a module for the other branch, such as a convolution of another size.
    Errors: ValueError where the two branches make different shapes.
    Source: He et al., Deep residual learning for image recognition (2015), eq. 1 and 2.
    """

    framework_base = True

    def __init__(self, *layers: Module, shortcut: Module | None = None):
        super().__init__(*layers)
        self.shortcut = shortcut
        self._add_module("_sum", Sum())
        self._add_module("_grad_sum", Sum())

    def call_fprop(self, call, x):
        side = x if self.shortcut is None else call(self.shortcut, "fprop", x)
        return call(self._sum, "fprop", super().call_fprop(call, x), side)

    def call_bprop(self, call, grad_y):
        side = grad_y if self.shortcut is None else call(self.shortcut, "bprop", grad_y)
        return call(self._grad_sum, "bprop", super().call_bprop(call, grad_y), side)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        x = Shape.from_table(input_shape)
        side = as_plain_shape(x if self.shortcut is None else infer_shape(self.shortcut, "fprop", x))
        shape = as_plain_shape(super().call_fprop(infer_shape, x))
        if shape != side:
            raise ValueError(f"{self.label()}: the layers make {shape}, the shortcut {side}, expected the same shape")
        return shape
