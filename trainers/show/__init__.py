"""A page that shows every gradient: one HTML file with a training step, line by line, and its numbers.

Data flows one way: `subject` finds what is shown, `walk`, `jacobians`, `update_step`, `quotients`, `frames`, `learning`
and `play` record it, `page` writes it as JSON between the scripts of this folder, which draw it. They compute sums of
products, derivatives of layers that have a formula, the update of one weight, and in `play` a training of their own.
"""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .page import Page
    from .show import show_config, show_net

__getattr__ = lazy_names(__name__, {"Page": "page", "show_config": "show", "show_net": "show"})
