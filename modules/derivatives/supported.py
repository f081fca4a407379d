"""Finding out which derivatives a class defines for its own fprop and bprop."""

from ..core.module import Module
from ..layers.activations.elementwise import Elementwise
from ..losses.loss_bases import ElementwiseLoss, SampleLoss

PARTS: dict[str, list[tuple[type, str, tuple[str, ...]]]] = {  # what the bases' own methods are made of
    "rbprop": [(Elementwise, "second_derivative", ("function", "derivative"))],
    "hessian_times": [
        (ElementwiseLoss, "second_derivative", ("function", "derivative")),
        (SampleLoss, "change_of_sample", ("of_sample",)),
    ],
}


def has_method(cls: type, name: str) -> bool:
    """Whether a class has `jvp`, `rbprop` or `hessian_times` that belongs to its fprop and bprop.

    One that it inherits, while it writes an fprop, bprop, function or derivative of its own, does not count. Of methods
    that a container calls beside them, `jvp_begin` or `rbprop_last` say, what counts is `begin` or `bprop_last`.
    """
    kind, _, rest = name.partition("_")
    if kind in ("jvp", "rbprop") and rest:
        return belongs_to(cls, name, (rest if kind == "jvp" else f"bprop_{rest}",))
    for base, part, others in PARTS.get(name, ()):
        if issubclass(cls, base) and not belongs_to(cls, part, others):
            return False
    return belongs_to(cls, name, ("fprop", "bprop"))


def has_curvature(loss: Module) -> bool:
    """Whether a loss, and each one inside it, has `hessian_times`."""
    return all(has_method(type(each), "hessian_times") for each in loss.all_modules())


def is_locally_linear(cls: type) -> bool:
    """Whether dy/dx is constant around almost all x, without parameters, as the class says itself."""
    return bool(cls.locally_linear) and belongs_to(cls, "locally_linear", ("fprop", "bprop"))  # type: ignore[attr-defined]


def belongs_to(cls: type, name: str, others: tuple[str, ...]) -> bool:
    """Whether `name` is defined by the class that defines `others`, or by one that inherits them."""
    place = {each: next((k for k, base in enumerate(cls.__mro__) if each in vars(base)), None) for each in others}
    own = next((k for k, base in enumerate(cls.__mro__) if name in vars(base)), None)
    return own is not None and all(k is None or own <= k for k in place.values())
