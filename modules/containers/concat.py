"""Parallel branches whose outputs are concatenated along axis 1."""

from ..core.module import Module
from ..core.type_errors import describe_wrong_type
from .container import Container, Shape, as_plain_shape, infer_shape
from .slice_ops import ConcatSlice


class Branches(Container):
    """Base of containers of parallel branches: `model[k]` is one of them, `len(model)` their number."""

    framework_base = True

    def __init__(self, *branches: Module):
        super().__init__()
        if not branches:
            raise ValueError(f"{type(self).__name__}: got no branches, expected at least one module")
        for k, branch in enumerate(branches):
            if not isinstance(branch, Module):
                raise TypeError(f"{type(self).__name__}: element {k} is {describe_wrong_type(branch, 'a Module')}")
            self._add_module(str(k), branch)

    @property
    def branches(self) -> list[Module]:
        """The modules in parallel."""
        return [self[k] for k in range(len(self))]

    def __len__(self) -> int:
        return sum(name.isdigit() for name in self._modules)

    def __getitem__(self, k: int) -> Module:
        if not -len(self) <= k < len(self):
            raise IndexError(f"{type(self).__name__}: index {k} of {len(self)} branches")
        return self._modules[str(k % len(self))]


class Concat(Branches):
    """Applies several branches to x and concatenates their outputs along axis 1.

        y      = [f₁(x), f₂(x), ... fₖ(x)]
        grad_x = J₁ᵀ grad_y₁ + ... + Jₖᵀ grad_yₖ

    with grad_yᵢ the part of grad_y that stands where branch i's result does.

    Shapes: yᵢ (N, Cᵢ, ...), y (N, ΣCᵢ, ...), all sizes but the Cᵢ the same.
    Args: branches: at least one module; a branch of several layers is a Sequential.
    Errors: ValueError for no branches, and where they make shapes that do not fit.
    Source: Szegedy et al., Going deeper with convolutions (2014), section 4; torch/nn's Concat.
    """

    framework_base = True

    def call_fprop(self, call, x):
        return concatenate(self, call, tuple(call(branch, "fprop", x) for branch in self.branches))

    def call_bprop(self, call, grad_y):
        parts = split_gradient(self, call, grad_y, len(self))
        return self.sum_gradients(call, "_sum", [call(self[k], "bprop", parts[k]) for k in range(len(self))])

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        x = Shape.from_table(input_shape)
        shapes = [as_plain_shape(infer_shape(branch, "fprop", x)) for branch in self.branches]
        return infer_concat_shape(self, shapes, 1, "branch {} makes shape")


def concatenate(owner: Container, call, arrays, axis: int = 1):
    """Concatenate arrays along an axis, by the owner's internal ops."""
    ops = [owner.get_op(f"_slice{k}", lambda: ConcatSlice(axis)) for k in range(len(arrays))]
    end: tuple = ()
    for op, array in zip(ops, arrays, strict=True):
        end = (call(op, "measure", array, *end),)
    y = call(ops[-1], "fprop", arrays[-1])
    for op, array in zip(ops[:-1], arrays[:-1], strict=True):
        y = call(op, "fprop", array, y)
    return y


def split_gradient(owner: Container, call, grad_y, count: int):
    """Split the gradient of a concatenation into those of its arrays."""
    return tuple(call(owner.get_op(f"_slice{k}", ConcatSlice), "bprop", grad_y) for k in range(count))


def infer_concat_shape(owner: Module, shapes, axis: int, text: str) -> tuple[int, ...]:
    """Infer the shape of a concatenation of arrays of these shapes; ValueError that names one that does not fit."""
    first = shapes[0]
    for k, shape in enumerate(shapes):
        if len(shape) <= axis or (*shape[:axis], *shape[axis + 1 :]) != (*first[:axis], *first[axis + 1 :]):
            expected_shape = (*first[:axis], "any", *first[axis + 1 :]) if len(first) > axis else ("N", "any", "...")
            expected = f"({', '.join(map(str, expected_shape))})"
            raise ValueError(f"{owner.label()}: {text.format(k)} {shape}, expected {expected}")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
