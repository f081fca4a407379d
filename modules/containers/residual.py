"""A stretch of a net with a way around it: what is learnt there is only the difference."""

from ..core.module import Module
from .container import Shape, plain_shape, tell_shape
from .elementwise_merge import Sum
from .sequential import Sequential


class Residual(Sequential):
    """Layers one after the other, and their input, or what a shortcut makes of it, added to what comes out.

        y      = fₖ(... f₁(x)) + shortcut(x)
        grad_x = J₁ᵀ ... Jₖᵀ grad_y + Sᵀ grad_y

    with S the Jacobian of the shortcut; without one, y = f(x) + x and grad_x = Jᵀ grad_y + grad_y.

    Args: layers: as of Sequential; shortcut: a module for the other way, such as a convolution that changes the size.
    Errors: ValueError where the two ways make different shapes.
    Source: He et al., Deep residual learning for image recognition (2015), eq. 1 and 2.
    """

    framework_base = True

    def __init__(self, *layers: Module, shortcut: Module | None = None):
        super().__init__(*layers)
        self.shortcut = shortcut
        self._add_module("_sum", Sum())
        self._add_module("_grad_sum", Sum())

    def wire(self, call, x):
        side = x if self.shortcut is None else call(self.shortcut, "fprop", x)
        return call(self._sum, "fprop", super().wire(call, x), side)

    def wire_back(self, call, grad_y):
        side = grad_y if self.shortcut is None else call(self.shortcut, "bprop", grad_y)
        return call(self._grad_sum, "bprop", super().wire_back(call, grad_y), side)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        x = Shape.of(input_shape)
        side = plain_shape(x if self.shortcut is None else tell_shape(self.shortcut, "fprop", x))
        shape = plain_shape(super().wire(tell_shape, x))
        if shape != side:
            raise ValueError(f"{self.label()}: the layers make {shape}, the shortcut {side}, expected the same shape")
        return shape
