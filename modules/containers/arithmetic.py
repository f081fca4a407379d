"""Elementwise sums, products and other reductions of the arrays of a table."""

from ..core.internal_op import InternalOp
from .container import Container, check_table
from .elementwise_ops import Difference, Maximum, Minimum, Product, Quotient, Sum


class ElementwiseTable(Container):
    """Base of modules that reduce the arrays of a table to one, two at a time by the elementwise `op`."""

    framework_base = True
    op: type[InternalOp]
    count = 0  # of the arrays that it takes; 0 for any number

    def call_fprop(self, call, x):
        check_table(self, x, self.count)
        vars(self)["_count"] = len(x)
        y = x[0]
        for k, array in enumerate(x[1:], start=1):
            y = call(self.get_op(f"_op{k}", self.op), "fprop", y, array)
        return y

    def call_bprop(self, call, grad_y):
        grads: tuple = ()
        for k in reversed(range(1, self._count)):
            op = self.get_op(f"_op{k}", self.op)
            grads = (call(op, "bprop_other", grad_y), *grads)
            grad_y = call(op, "bprop", grad_y)
        return (grad_y, *grads)


class CAddTable(ElementwiseTable):
    """The sum of the arrays of a table.

        y       = x₁ + ... + xₖ
        grad_xᵢ = grad_y

    Shapes: xᵢ and y of one and the same shape.
    Errors: ValueError for shapes that differ.
    Source: torch/nn's CAddTable.
    """

    framework_base = True
    op = Sum

    def call_bprop(self, call, grad_y):
        return (grad_y,) * self._count


class CMulTable(ElementwiseTable):
    """The product of the arrays of a table, element by element.

        y       = x₁ x₂ ... xₖ
        grad_xᵢ = grad_y times all others

    Shapes: xᵢ and y of one and the same shape.
    Errors: ValueError for shapes that differ.
    Source: torch/nn's CMulTable.
    """

    framework_base = True
    op = Product


class CSubTable(ElementwiseTable):
    """The difference of two arrays.

        y       = x₁ - x₂
        grad_x₁ = grad_y,   grad_x₂ = -grad_y

    Shapes: x a table of two arrays, which have the shape of y.
    Errors: ValueError for more arrays, or shapes that differ.
    Source: torch/nn's CSubTable.
    """

    framework_base = True
    op = Difference
    count = 2


class CDivTable(ElementwiseTable):
    """The quotient of two arrays, element by element.

        y       = x₁ / x₂
        grad_x₁ = grad_y / x₂,   grad_x₂ = -grad_y x₁ / x₂²

    Shapes: x a table of two arrays, which have the shape of y.
    Errors: ValueError for more arrays, or shapes that differ.
    Source: torch/nn's CDivTable.
    """

    framework_base = True
    op = Quotient
    count = 2


class CMaxTable(ElementwiseTable):
    """The largest of the arrays of a table, element by element.

        y       = max(x₁, ... xₖ)
        grad_xᵢ = grad_y where xᵢ is the largest, else 0

    Of two that are equal each has half of the gradient, as in PyTorch's maximum.

    Shapes: xᵢ and y of one and the same shape.
    Errors: ValueError for shapes that differ.
    Source: torch/nn's CMaxTable.
    """

    framework_base = True
    op = Maximum


class CMinTable(ElementwiseTable):
    """The smallest of the arrays of a table, element by element.

        y       = min(x₁, ... xₖ)
        grad_xᵢ = grad_y where xᵢ is the smallest, else 0

    Of two that are equal each has half of the gradient, as in PyTorch's minimum.

    Shapes: xᵢ and y of one and the same shape.
    Errors: ValueError for shapes that differ.
    Source: torch/nn's CMinTable.
    """

    framework_base = True
    op = Minimum
