"""A stretch of a net with a way around it: what is learnt there is only the difference."""

from .joints import Sum
from .module import Module
from .sequential import Sequential, bprop_chain, fprop_chain


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

    def fprop(self, x):
        y = x
        for layer in self:
            y = layer.fprop(y)
        return self._sum.fprop(y, x if self.shortcut is None else self.shortcut.fprop(x))

    def bprop(self, grad_y):
        grad_x = grad_y
        for layer in reversed(list(self)):
            grad_x = layer.bprop(grad_x)
        return self._grad_sum.bprop(grad_x, grad_y if self.shortcut is None else self.shortcut.bprop(grad_y))

    def write_fprop(self, operations, x):
        side = x if self.shortcut is None else operations.fprop(self.shortcut, x)
        return operations.call(self._sum, "fprop", super().write_fprop(operations, x), side)

    def write_bprop(self, operations, grad_y):
        side = grad_y if self.shortcut is None else operations.bprop(self.shortcut, grad_y)
        return operations.call(self._grad_sum, "bprop", super().write_bprop(operations, grad_y), side)

    def compiled_methods(self):
        names = tuple(name for name in self.children_inside() if name[1:].isdigit())
        forward, backward = fprop_chain(names), bprop_chain(names)
        if self.shortcut is None:
            return {
                "fprop": lambda self, x: self.m_sum.fprop(forward(self, x), x),
                "bprop": lambda self, grad_y: self.m_grad_sum.bprop(backward(self, grad_y), grad_y),
            }
        return {
            "fprop": lambda self, x: self.m_sum.fprop(forward(self, x), self.mshortcut.fprop(x)),
            "bprop": lambda self, grad_y: self.m_grad_sum.bprop(backward(self, grad_y), self.mshortcut.bprop(grad_y)),
        }

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = side = tuple(input_shape)
        if self.shortcut is not None:
            try:
                side = tuple(self.shortcut.output_shape(side))
            except Exception as error:
                self.shortcut.place_once(error)
                raise
        shape = super().output_shape(shape)
        if shape != side:
            raise ValueError(f"{self.label()}: the layers make {shape}, the shortcut {side}, expected the same shape")
        return shape
