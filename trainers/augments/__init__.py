"""Random changes of the pictures that a net is trained on, compiled into the loop over minibatches."""

from .augment import Augment as Augment
from .augmentation import Augmentation as Augmentation
from .moves import Flip as Flip
from .moves import Shift as Shift

__all__ = ["Augment", "Augmentation", "Flip", "Shift"]
