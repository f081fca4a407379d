"""New initial values for a whole model."""

from ..initializers.initializers import Initializer
from .module import Module


def initialize(net: Module, only: type[Module] | None = None, **initial: Initializer) -> Module:
    """Draw new initial values: `initialize(net, Linear, weight=HeNormal(), bias=Constant(0.1))`; returns the model.

    Args: net: changed in place; only: the class of the modules that are meant, None for all; initial: an initialiser
        for each name of a parameter.
    Errors: ValueError for a name that no such module has, and for a parameter whose shape does not fit.
    """
    chosen = [module for module in net.all_modules() if only is None or isinstance(module, only)]
    for name, initializer in initial.items():
        owners = [module for module in chosen if name in module._parameters]
        if not owners:
            what = "module" if only is None else only.__name__
            raise ValueError(f"initialize: {name} is a parameter of no {what} in {net.outline()}")
        for module in owners:
            try:
                setattr(module, name, initializer.sample(getattr(module, name).shape))
            except ValueError as error:
                error.add_note(f"in {name} of {module.path()}")
                raise
    return net
