"""The parameters of recurrent layers, under PyTorch's names, and the functions that list them for compiled code."""

import functools

from ...core.module import Module
from ...core.parameter import Parameter
from ...initializers.initializers import PyTorchUniform

KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def name_parameters(kind: str, num_layers: int, directions: int) -> tuple[str, ...]:
    """Name the parameters of a kind, layer by layer: `weight_ih_l0`, `weight_ih_l0_reverse`, `weight_ih_l1`."""
    endings = ("", "_reverse")[:directions]
    return tuple(f"{kind}_l{layer}{ending}" for layer in range(num_layers) for ending in endings)


def add_parameters(module: Module, input_size: int, hidden_size: int, gates: int, bias: bool, ending: str = "") -> None:
    """Add the parameters of one layer and direction, all uniform in ±1/√hidden_size, in PyTorch's order."""
    draw, rows = PyTorchUniform(hidden_size), gates * hidden_size
    shapes = ((rows, input_size), (rows, hidden_size), (rows,), (rows,))
    for kind, shape in zip(KINDS, shapes, strict=True):
        value = Parameter(draw.sample(shape)) if bias or kind.startswith("weight") else None
        setattr(module, f"{kind}{ending}", value)


@functools.cache
def compose_list(names: tuple[str, ...]):
    """Compose the function (self) that returns a tuple of the attributes of these names, for compiled code."""
    last = names[-1]
    if len(names) == 1:
        return lambda self: (getattr(self, last),)
    before = compose_list(names[:-1])
    return lambda self: before(self) + (getattr(self, last),)  # noqa: RUF005 - numba has no starred tuples
