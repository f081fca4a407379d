"""Which derivatives a class has by hand: those written for just its fprop and bprop."""

from typing import Any

from ..elementwise import Elementwise
from ..loss_bases import ElementwiseLoss
from ..module import Module

SCALARS = {
    "rbprop": (Elementwise, "second_derivative", ("function", "derivative")),
    "hessian_times": (ElementwiseLoss, "second_derivative", ("function", "derivative")),
}


def has_method(cls: type, name: str) -> bool:
    """Whether a class has `jvp`, `rbprop` or `hessian_times` that belongs to its fprop and bprop.

    One that it inherits, while it writes an fprop, bprop, function or derivative of its own, does not count.
    """
    base, scalar, others = SCALARS.get(name, (None, "", ()))
    if base is not None and issubclass(cls, base) and not belongs(cls, scalar, others):
        return False
    return belongs(cls, name, ("fprop", "bprop"))


def is_locally_linear(cls: type) -> bool:
    """Whether dy/dx is constant around almost all x, without parameters, as the class says itself."""
    return bool(cls.locally_linear) and belongs(cls, "locally_linear", ("fprop", "bprop"))  # type: ignore[attr-defined]


def belongs(cls: type, name: str, others: tuple[str, ...]) -> bool:
    """Whether `name` is defined by the class that defines `others`, or by one that inherits them."""
    place = {each: next((k for k, base in enumerate(cls.__mro__) if each in vars(base)), None) for each in others}
    own = next((k for k, base in enumerate(cls.__mro__) if name in vars(base)), None)
    return own is not None and all(k is None or own <= k for k in place.values())


def lacking(net: Module, name: str = "jvp") -> list[Module]:
    """The modules of a net, containers left out, whose `jvp` or `rbprop` is made of differences."""
    from .passes import Passes

    modules: Any = dict.fromkeys(operation.module for operation in Passes(net).fprop)
    linear = name == "rbprop"
    return [m for m in modules if not has_method(type(m), name) and not (linear and is_locally_linear(type(m)))]
