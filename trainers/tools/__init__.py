"""Tools beside training: the profile, the gradient doctor, finite differences, warm-up, templates of new parts.

What a run folder needs is in `runs`, what a model shows of itself in `modules/display`.
"""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .gradient_doctor import ConfigReport, check_config

__getattr__ = lazy_names(
    __name__,
    {
        "ConfigReport": "gradient_doctor",
        "check_config": "gradient_doctor",
    },
)
