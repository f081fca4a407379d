"""Containers of tables, in Torch7's names: tuples of several arrays that pass through a model together.

`net.fprop((a, b))` gives a table to a model whose first module takes one; a module that makes a table returns a tuple.
Tables are resolved at compile time: only modules that join or split arrays copy numbers.
"""

from ..core.module import Module
from ..engine.tables import is_table_of_shapes
from .concat import Branches, concatenate, infer_concat_shape, split_gradient
from .container import Shape, as_plain_shape, check_table, infer_shape
from .join_split import gather_grad_x
from .sequential import Sequential
from .slice_ops import Select


class ConcatTable(Branches):
    """Applies several branches to x; their outputs are a table.

        y      = (f₁(x), f₂(x), ... fₖ(x))
        grad_x = J₁ᵀ grad_y₁ + ... + Jₖᵀ grad_yₖ

    Shapes: x of any one shape; y a table of what the branches make.
    Args: branches: at least one module; a branch of several layers is a Sequential.
    Errors: ValueError for no branches.
    Source: torch/nn's ConcatTable; Goodfellow et al., Deep Learning, algorithm 6.2, in the draft 6.4 (the sum
        of the gradients).
    """

    framework_base = True

    def call_fprop(self, call, x):
        return tuple(call(branch, "fprop", x) for branch in self.branches)

    def call_bprop(self, call, grad_y):
        return self.sum_gradients(call, "_sum", [call(self[k], "bprop", grad_y[k]) for k in range(len(self))])


class ParallelTable(Branches):
    """Applies one branch to each array of a table; their outputs are a table.

        yᵢ      = fᵢ(xᵢ)
        grad_xᵢ = Jᵢᵀ grad_yᵢ

    Shapes: x a table of as many arrays as there are branches, y a table of what they make.
    Args: branches: at least one module; `tower.share()` is one with the same weights as `tower`.
    Errors: ValueError for no branches, and for a table of another length.
    Source: torch/nn's ParallelTable.
    """

    framework_base = True

    def call_fprop(self, call, x):
        check_table(self, x, len(self))
        return tuple(call(self[k], "fprop", x[k]) for k in range(len(self)))

    def call_bprop(self, call, grad_y):
        return tuple(call(self[k], "bprop", grad_y[k]) for k in reversed(range(len(self))))[::-1]


class Parallel(Branches):
    """Applies one branch to each index of axis 1 and concatenates their outputs along axis 1.

        y            = [f₁(x[:, 0]), ... fₖ(x[:, k - 1])]
        grad_x[:, i] = Jᵢᵀ grad_yᵢ

    with grad_yᵢ the part of grad_y that stands where branch i's result does.

    Shapes: x (N, K, ...) for K branches, yᵢ (N, Cᵢ, ...), y (N, ΣCᵢ, ...).
    Args: branches: at least one module; a branch of several layers is a Sequential.
    Errors: ValueError for no branches, for an x of another second axis, and for results that do not fit.
    Source: torch/nn's Parallel, with both of its dimensions the second.
    """

    framework_base = True

    @property
    def selects(self) -> list[Module]:
        """The internal ops that select each index of axis 1."""
        return [self.get_op(f"_select{k}", lambda k=k: Select(k)) for k in range(len(self))]  # type: ignore[misc]

    def call_fprop(self, call, x):
        parts = [call(select, "fprop", x) for select in self.selects]
        return concatenate(self, call, [call(self[k], "fprop", parts[k]) for k in range(len(self))], 1)

    def call_bprop(self, call, grad_y):
        parts = split_gradient(self, call, grad_y, len(self))
        grads = [call(self[k], "bprop", parts[k]) for k in range(len(self))]
        return gather_grad_x(call, self.selects, grads)

    def output_shape(self, input_shape):
        if is_table_of_shapes(input_shape) or len(input_shape) < 2 or input_shape[1] != len(self):
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, {len(self)}, ...)")
        x = Shape((*input_shape[:1], *input_shape[2:]))
        shapes = [as_plain_shape(infer_shape(branch, "fprop", x)) for branch in self.branches]
        return infer_concat_shape(self, shapes, 1, "branch {} makes shape")


class MapTable(ParallelTable):
    """Applies the same layers, with the same weights, to each array of a table.

        yᵢ          = f(xᵢ)
        grad_xᵢ     = Jᵢᵀ grad_yᵢ
        grad_weight += Σᵢ that of array i

    Shapes: x a table of `count` arrays, y a table of what the layers make of each.
    Args: count: how many arrays, at least 1; layers: at least one module.
    Errors: ValueError for no layers, for a count below 1, and for a table of another length.
    Source: torch/nn's MapTable; Bromley et al., Signature verification using a siamese network (1993).
    """

    framework_base = True

    def __init__(self, count: int, *layers: Module):
        if count < 1 or not layers:
            raise ValueError(f"MapTable: count is {count} for {len(layers)} layers, expected at least 1 of each")
        tower = layers[0] if len(layers) == 1 else Sequential(*layers)
        super().__init__(tower, *(tower.share() for _ in range(count - 1)))
