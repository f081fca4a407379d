"""Arrays of a table combined into one, element by element."""

from .container import Wired, check_table
from .elementwise_merge import Difference, Larger, Meeting, Product, Quotient, Smaller, Sum


class Combination(Wired):
    """Family base of modules that make one array of the arrays of a table, two at a time by a `meeting`."""

    framework_base = True
    meeting: type[Meeting]

    def wire(self, call, x):
        check_table(self, x)
        vars(self)["_count"] = len(x)
        y = x[0]
        for k, way in enumerate(x[1:], start=1):
            y = call(self.joint(f"_meeting{k}", self.meeting), "fprop", y, way)
        return y

    def wire_back(self, call, grad_y):
        grads: tuple = ()
        for k in reversed(range(1, self._count)):
            joint = self.joint(f"_meeting{k}", self.meeting)
            grads = (call(joint, "bprop_other", grad_y), *grads)
            grad_y = call(joint, "bprop", grad_y)
        return (grad_y, *grads)


class CAddTable(Wired):
    """The sum of the arrays of a table.

        y       = x₁ + ... + xₖ
        grad_xᵢ = grad_y

    Shapes: xᵢ and y of one and the same shape.
    Errors: ValueError for shapes that differ.
    Source: torch/nn's CAddTable.
    """

    framework_base = True

    def wire(self, call, x):
        check_table(self, x)
        vars(self)["_count"] = len(x)
        y = x[0]
        for k, way in enumerate(x[1:], start=1):
            y = call(self.joint(f"_sum{k}", Sum), "fprop", y, way)
        return y

    def wire_back(self, call, grad_y):
        return (grad_y,) * self._count


class CMulTable(Combination):
    """The product of the arrays of a table, element by element.

        y       = x₁ x₂ ... xₖ
        grad_xᵢ = grad_y times all others

    Shapes: xᵢ and y of one and the same shape.
    Errors: ValueError for shapes that differ.
    Source: torch/nn's CMulTable.
    """

    framework_base = True
    meeting = Product


class CSubTable(Combination):
    """The difference of two arrays.

        y       = x₁ - x₂
        grad_x₁ = grad_y,   grad_x₂ = -grad_y

    Shapes: x a table of two arrays, which have the shape of y.
    Errors: ValueError for more arrays, or shapes that differ.
    Source: torch/nn's CSubTable.
    """

    framework_base = True
    meeting = Difference

    def wire(self, call, x):
        check_table(self, x, 2)
        return super().wire(call, x)


class CDivTable(Combination):
    """The quotient of two arrays, element by element.

        y       = x₁ / x₂
        grad_x₁ = grad_y / x₂,   grad_x₂ = -grad_y x₁ / x₂²

    Shapes: x a table of two arrays, which have the shape of y.
    Errors: ValueError for more arrays, or shapes that differ.
    Source: torch/nn's CDivTable.
    """

    framework_base = True
    meeting = Quotient

    def wire(self, call, x):
        check_table(self, x, 2)
        return super().wire(call, x)


class CMaxTable(Combination):
    """The largest of the arrays of a table, element by element.

        y       = max(x₁, ... xₖ)
        grad_xᵢ = grad_y where xᵢ is the largest, else 0

    Of two that are equal each has half of the gradient, as in PyTorch's maximum.

    Shapes: xᵢ and y of one and the same shape.
    Errors: ValueError for shapes that differ.
    Source: torch/nn's CMaxTable.
    """

    framework_base = True
    meeting = Larger


class CMinTable(Combination):
    """The smallest of the arrays of a table, element by element.

        y       = min(x₁, ... xₖ)
        grad_xᵢ = grad_y where xᵢ is the smallest, else 0

    Of two that are equal each has half of the gradient, as in PyTorch's minimum.

    Shapes: xᵢ and y of one and the same shape.
    Errors: ValueError for shapes that differ.
    Source: torch/nn's CMinTable.
    """

    framework_base = True
    meeting = Smaller
