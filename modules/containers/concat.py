"""Several ways through a net side by side: what they make are the channels of one result."""

from ..core.module import Module, describe_no_module
from .concat_split import Slot
from .container import Shape, Wired, plain_shape, tell_shape


class Branches(Wired):
    """Family base of containers of some modules side by side, `net[k]` each, `len(net)` of them."""

    framework_base = True

    def __init__(self, *branches: Module):
        super().__init__()
        if not branches:
            raise ValueError(f"{type(self).__name__}: got no branches, expected at least one module")
        for k, branch in enumerate(branches):
            if not isinstance(branch, Module):
                raise TypeError(f"{type(self).__name__}: element {k} is {describe_no_module(branch)}")
            self._add_module(str(k), branch)

    @property
    def branches(self) -> list[Module]:
        """The modules side by side."""
        return [self[k] for k in range(len(self))]

    def __len__(self) -> int:
        return sum(name.isdigit() for name in self._modules)

    def __getitem__(self, k: int) -> Module:
        if not -len(self) <= k < len(self):
            raise IndexError(f"{type(self).__name__}: index {k} of {len(self)} branches")
        return self._modules[str(k % len(self))]


class Concat(Branches):
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

    def wire(self, call, x):
        return join(self, call, tuple(call(branch, "fprop", x) for branch in self.branches))

    def wire_back(self, call, grad_y):
        parts = part(self, call, grad_y, len(self))
        return self.sum_of(call, "_sum", [call(self[k], "bprop", parts[k]) for k in range(len(self))])

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        x = Shape.of(input_shape)
        shapes = [plain_shape(tell_shape(branch, "fprop", x)) for branch in self.branches]
        return joined_shape(self, shapes, 1, "branch {} makes shape")


def join(owner: Wired, call, ways, axis: int = 1):
    """The ways side by side along an axis, laid there by the owner's slots."""
    slots = [owner.joint(f"_slot{k}", lambda: Slot(axis)) for k in range(len(ways))]
    end: tuple = ()
    for slot, way in zip(slots, ways, strict=True):
        end = (call(slot, "measure", way, *end),)
    y = call(slots[-1], "fprop", ways[-1])
    for slot, way in zip(slots[:-1], ways[:-1], strict=True):
        y = call(slot, "fprop", way, y)
    return y


def part(owner: Wired, call, grad_y, count: int):
    """The gradient of each of the ways that were joined."""
    return tuple(call(owner.joint(f"_slot{k}", Slot), "bprop", grad_y) for k in range(count))


def joined_shape(owner: Module, shapes, axis: int, said: str) -> tuple[int, ...]:
    """The shape of arrays of these shapes side by side; ValueError that says which does not fit."""
    first = shapes[0]
    for k, shape in enumerate(shapes):
        if len(shape) <= axis or (*shape[:axis], *shape[axis + 1 :]) != (*first[:axis], *first[axis + 1 :]):
            wanted = (*first[:axis], "any", *first[axis + 1 :]) if len(first) > axis else ("N", "any", "...")
            expected = f"({', '.join(map(str, wanted))})"
            raise ValueError(f"{owner.label()}: {said.format(k)} {shape}, expected {expected}")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
