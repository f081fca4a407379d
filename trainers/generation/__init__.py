"""Generation: a trained model continues a text, token by token.

`decoders` compute the scores of the next token, `sampling` and `beam_search` choose tokens by them.
"""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .generator import Generator, generate

__getattr__ = lazy_names(__name__, {"Generator": "generator", "generate": "generator"})
