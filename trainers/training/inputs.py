"""What a model gets of a data set: arrays, or tables (x, lengths), of numbers or whole numbers."""

from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ...modules.core.module import Module


def reads_whole_numbers(model: Module, data: ArrayDataset) -> bool:
    """Whether a model takes the x of a data set as whole numbers, such as tokens."""
    if data.lengths is None:
        return 0 in model.label_arguments
    return model.which_are_labels((None, None))[0] is True


def takes_table(model: Module, x: Any) -> bool:
    """Whether x is a pair of arrays that a model takes as a table (x, lengths), and not the first of them alone."""
    if not isinstance(x, tuple) or len(x) != 2 or isinstance(x[0], tuple):
        return False
    shape, lengths = np.shape(x[0]), np.shape(x[1])
    try:
        model.one_output_shape(shape)
    except ValueError:
        try:
            model.one_output_shape((shape, lengths))
        except ValueError:
            return False
        return True
    return False
