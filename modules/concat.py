"""Several ways through a net side by side: what they make are the channels of one result."""

import functools

from .joints import Slot, Sum
from .module import Module


class Concat(Module):
    """Branches that all get x, and whose results are laid side by side along axis 1.

        y      = [f₁(x), f₂(x), ... fₖ(x)]
        grad_x = J₁ᵀ grad_y₁ + ... + Jₖᵀ grad_yₖ

    with grad_yᵢ the part of grad_y that stands where branch i's result does.

    Shapes: yᵢ (N, Cᵢ, ...), y (N, ΣCᵢ, ...), all sizes but the Cᵢ the same.
    Args: branches: at least one module; a branch of several layers is a Sequential.
    Errors: ValueError for no branches, and where they make shapes that do not fit.
    Source: Szegedy et al., Going deeper with convolutions (2014), section 4; torch/nn's Concat.
    """

    framework_base = True

    def __init__(self, *branches: Module):
        super().__init__()
        if not branches:
            raise ValueError("Concat: got no branches, expected at least one module")
        for k, branch in enumerate(branches):
            if not isinstance(branch, Module):
                raise TypeError(f"Concat: element {k} is {branch!r}, expected a Module")
            self._add_module(str(k), branch)
        for k in range(len(branches)):
            self._add_module(f"_slot{k}", Slot())
            if k:
                self._add_module(f"_sum{k}", Sum())

    def __len__(self) -> int:
        return sum(name.isdigit() for name in self._modules)

    def __getitem__(self, k: int) -> Module:
        if not -len(self) <= k < len(self):
            raise IndexError(f"Concat: index {k} of {len(self)} branches")
        return self._modules[str(k % len(self))]

    def fprop(self, x):
        return fprop_ways(len(self))(self, x)

    def bprop(self, grad_y):
        return bprop_ways(len(self))(self, grad_y)

    def write_fprop(self, operations, x):
        y: tuple[str, ...] = ()
        for k in range(len(self)):
            way = operations.fprop(self[k], x)
            y = (operations.call(self._modules[f"_slot{k}"], "fprop", way, *y),)
        return y[0]

    def write_bprop(self, operations, grad_y):
        grad_x = ""
        for k in range(len(self)):
            grad_way = operations.call(self._modules[f"_slot{k}"], "bprop", grad_y)
            grad = operations.bprop(self[k], grad_way)
            grad_x = operations.call(self._modules[f"_sum{k}"], "bprop", grad_x, grad) if k else grad
        return grad_x

    def children_inside(self):
        return {f"m{name}": module for name, module in self._modules.items()}

    def compiled_methods(self):
        return {"fprop": fprop_ways(len(self), "m"), "bprop": bprop_ways(len(self), "m")}

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shapes = []
        for k in range(len(self)):
            try:
                shapes.append(tuple(self[k].output_shape(tuple(input_shape))))
            except Exception as error:
                self[k].place_once(error)
                raise
        for k, shape in enumerate(shapes):
            if len(shape) < 2 or (*shape[:1], *shape[2:]) != (*shapes[0][:1], *shapes[0][2:]):
                wanted = (*shapes[0][:1], "any", *shapes[0][2:]) if len(shapes[0]) > 1 else ("N", "any", "...")
                expected = f"({', '.join(map(str, wanted))})"
                raise ValueError(f"{self.label()}: branch {k} makes shape {shape}, expected {expected}")
        return (shapes[0][0], sum(shape[1] for shape in shapes), *shapes[0][2:])


@functools.cache
def fprop_ways(count: int, prefix: str = ""):
    """The function (self, x) that lays the results of the first `count` branches side by side."""
    slot, branch = f"{prefix}_slot{count - 1}", f"{prefix}{count - 1}"
    if count == 1:
        return lambda self, x: getattr(self, slot).fprop(getattr(self, branch).fprop(x))
    before = fprop_ways(count - 1, prefix)
    return lambda self, x: getattr(self, slot).fprop(getattr(self, branch).fprop(x), before(self, x))


@functools.cache
def bprop_ways(count: int, prefix: str = ""):
    """The function (self, grad_y) that sums the gradients of x of the first `count` branches."""
    slot, branch, total = f"{prefix}_slot{count - 1}", f"{prefix}{count - 1}", f"{prefix}_sum{count - 1}"
    if count == 1:
        return lambda self, grad_y: getattr(self, branch).bprop(getattr(self, slot).bprop(grad_y))
    before = bprop_ways(count - 1, prefix)
    return lambda self, grad_y: getattr(self, total).bprop(
        before(self, grad_y), getattr(self, branch).bprop(getattr(self, slot).bprop(grad_y))
    )
