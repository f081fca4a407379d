"""Augmentations: random changes of the images that a model is trained on, compiled into the loop over minibatches.

Fixed preprocessing of a data set is in `datasets`.
"""

from .augment import Augment as Augment
from .augmentation import Augmentation as Augmentation
from .cutout import Cutout as Cutout
from .moves import Flip as Flip
from .moves import Shift as Shift
from .warps import Affine as Affine
from .warps import Elastic as Elastic

__all__ = ["Affine", "Augment", "Augmentation", "Cutout", "Elastic", "Flip", "Shift"]
