"""Things that happen between epochs, and at pauses within them."""

from .callback import Callback
from .checkpoint import Checkpoint
from .early_stopping import EarlyStopping

__all__ = ["Callback", "Checkpoint", "EarlyStopping"]
