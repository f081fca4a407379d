"""Concatenation and stacking of a table's arrays, and their opposites: splitting an array into a table."""

from ..engine.tables import flatten_table, is_table_of_shapes, map_table
from .concat import concatenate, infer_concat_shape, split_gradient
from .container import Container, check_table
from .slice_ops import Discard, Select, Slice, StackSlice


class JoinTable(Container):
    """Concatenates the arrays of a table along an axis.

        y       = [x₁, ... xₖ]
        grad_xᵢ = the part of grad_y that stands where xᵢ does

    Shapes: xᵢ (N, Cᵢ, ...), y (N, ΣCᵢ, ...) for axis 1, all sizes but the Cᵢ the same.
    Args: axis: at least 1.
    Errors: ValueError for another axis, and for shapes that do not fit.
    Source: torch/nn's JoinTable; PyTorch's cat.
    """

    framework_base = True

    def __init__(self, axis: int = 1):
        super().__init__()
        self.axis = check_axis(self, axis)

    def call_fprop(self, call, x):
        check_table(self, x)
        vars(self)["_count"] = len(x)
        return concatenate(self, call, x, self.axis)

    def call_bprop(self, call, grad_y):
        return split_gradient(self, call, grad_y, self._count)

    def output_shape(self, input_shape):
        check_table(self, input_shape)
        return infer_concat_shape(self, input_shape, self.axis, "array {} has shape")

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class StackTable(Container):
    """Stacks the arrays of a table along a new axis 1.

        y[:, k] = xₖ
        grad_xₖ = grad_y[:, k]

    Shapes: xₖ (N, ...), all the same; y (N, K, ...).
    Errors: ValueError for shapes that differ.
    Source: PyTorch's stack.
    """

    framework_base = True

    def call_fprop(self, call, x):
        check_table(self, x)
        count = vars(self)["_count"] = len(x)
        ops = [self.get_op(f"_layer{count}_{k}", lambda k=k: StackSlice(k, count)) for k in range(count)]  # type: ignore[misc]
        y: tuple = ()
        for op, array in zip(ops, x, strict=True):
            y = (call(op, "fprop", array, *y),)
        return y[0]

    def call_bprop(self, call, grad_y):
        return tuple(call(self._modules[f"_layer{self._count}_{k}"], "bprop", grad_y) for k in range(self._count))

    def output_shape(self, input_shape):
        check_table(self, input_shape)
        if len(set(map(tuple, input_shape))) > 1:
            listed = " and ".join(map(str, input_shape))
            raise ValueError(f"{self.label()}: got arrays of shapes {listed}, expected the same shape")
        return (input_shape[0][0], len(input_shape), *input_shape[0][1:])


class NarrowTable(Container):
    """Splits an axis of an array into slices of given sizes, as a table: the opposite of JoinTable.

        yₖ            = x[:, Cₖ]
        grad_x[:, Cₖ] = grad_yₖ

    with Cₖ the k-th slice of the axis.

    Shapes: x (N, ΣCₖ, ...), y a table of arrays (N, Cₖ, ...), for axis 1.
    Args: sizes: the Cₖ, at least 1 each; axis: at least 1.
    Errors: ValueError for other settings, and for an x whose axis has another size.
    Source: PyTorch's split; torch/nn's Narrow.
    """

    framework_base = True

    def __init__(self, sizes: list[int], axis: int = 1):
        super().__init__()
        if not sizes or min(sizes) < 1:
            raise ValueError(f"NarrowTable: sizes is {sizes}, expected sizes of at least 1")
        self.sizes, self.axis = tuple(sizes), check_axis(self, axis)
        for k, size in enumerate(sizes):
            self._add_module(f"_slice{k}", Slice(sum(sizes[:k]), size, axis))

    def call_fprop(self, call, x):
        return tuple(call(self._modules[f"_slice{k}"], "fprop", x) for k in range(len(self.sizes)))

    def call_bprop(self, call, grad_y):
        return gather_grad_x(call, [self._modules[f"_slice{k}"] for k in range(len(self.sizes))], grad_y)

    def output_shape(self, input_shape):
        x, k, total = tuple(input_shape), self.axis, sum(self.sizes)
        if is_table_of_shapes(x) or len(x) <= k or x[k] != total:
            raise ValueError(f"{self.label()}: x has shape {x}, expected size {total} along axis {k}")
        return tuple((*x[:k], size, *x[k + 1 :]) for size in self.sizes)

    def extra_repr(self) -> str:
        return f"{list(self.sizes)}, axis={self.axis}"


class SplitTable(Container):
    """Splits an array along axis 1 into a table of its K indices: the opposite of StackTable.

        yₖ           = x[:, k]
        grad_x[:, k] = grad_yₖ

    Shapes: x (N, K, ...), y a table of K arrays (N, ...).
    Args: count: K, at least 1.
    Errors: ValueError for a count below 1, and for an x whose second axis has another size.
    Source: torch/nn's SplitTable; PyTorch's unbind.
    """

    framework_base = True

    def __init__(self, count: int):
        super().__init__()
        if count < 1:
            raise ValueError(f"SplitTable: count is {count}, expected at least 1")
        self.count = count
        for k in range(count):
            self._add_module(f"_select{k}", Select(k))

    def call_fprop(self, call, x):
        return tuple(call(self._modules[f"_select{k}"], "fprop", x) for k in range(self.count))

    def call_bprop(self, call, grad_y):
        return gather_grad_x(call, [self._modules[f"_select{k}"] for k in range(self.count)], grad_y)

    def output_shape(self, input_shape):
        if is_table_of_shapes(input_shape) or len(input_shape) < 2 or input_shape[1] != self.count:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, {self.count}, ...)")
        return (tuple(input_shape[:1] + input_shape[2:]),) * self.count

    def extra_repr(self) -> str:
        return f"{self.count}"


class SelectTable(Container):
    """Selects one array of a table.

        y        = xₖ
        grad_xₖ  = grad_y,   grad_xᵢ = 0 for the others

    Shapes: x a table of arrays, or of tables, of any shapes; y as the one that is selected.
    Args: index: k, from 0 on.
    Errors: ValueError for a negative index, and for an x that is no table, or has no array k.
    Source: torch/nn's SelectTable.
    """

    framework_base = True

    def __init__(self, index: int):
        super().__init__()
        if index < 0:
            raise ValueError(f"SelectTable: index is {index}, expected at least 0")
        self.index = index

    def call_fprop(self, call, x):
        check_table(self, x)
        if len(x) <= self.index:
            raise ValueError(f"{self.label()}: x is a table of {len(x)} arrays, expected at least {self.index + 1}")
        vars(self)["_table"] = map_table(lambda _: None, x)
        for k, array in self._list_others(x):
            call(self.get_op(f"_other{k}", Discard), "fprop", array)
        return x[self.index]

    def call_bprop(self, call, grad_y):
        first = flatten_table(grad_y)[0]
        grads = [call(self._modules[f"_other{k}"], "bprop", first) for k, _ in self._list_others(self._table)]
        zeros = iter(grads)
        return tuple(
            grad_y if k == self.index else map_table(lambda _: next(zeros), item) for k, item in enumerate(self._table)
        )

    def _list_others(self, x) -> list:
        """List the arrays that are not selected, with their numbers."""
        return list(enumerate(leaf for k, item in enumerate(x) if k != self.index for leaf in flatten_table(item)))

    def extra_repr(self) -> str:
        return f"{self.index}"


def gather_grad_x(call, ops, grad_y):
    """The one grad_x into which each op writes its slice."""
    grad_x: tuple = ()
    for op, grad in zip(ops, grad_y, strict=True):
        grad_x = (call(op, "bprop", grad, *grad_x),)
    return grad_x[0]


def check_axis(owner: Container, axis: int) -> int:
    """Check an axis; ValueError for that of the minibatch, and for negative ones."""
    if axis < 1:
        raise ValueError(f"{type(owner).__name__}: axis is {axis}, expected at least 1")
    return axis
