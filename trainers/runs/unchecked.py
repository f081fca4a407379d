"""A warning of custom modules that have passed no gradient check."""

from ...modules.core.module import Module
from ...modules.core.passed_checks import find_unchecked_classes
from ...modules.losses.loss import Loss
from ..configs import Config


def format_unchecked_warning(config: Config, net: Module, loss: Loss) -> str:
    """Format a line if custom modules have passed no check in their current form, else ""."""
    classes = [*find_unchecked_classes(net), *find_unchecked_classes(loss)]
    names = list(dict.fromkeys(f"{cls.__module__}.{cls.__name__}" for cls in classes))
    hint = f": bprop check {config.path}" if config.path is not None else ""
    return f"bprop: no check has been passed by {' and '.join(names)} as written now{hint}" if names else ""
