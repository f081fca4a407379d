"""Parameters, and the two flat vectors in which those of a whole net lie.

One vector of values and one of gradients: a single loop updates a net, a single write saves it.
"""

from collections.abc import Sequence

import numpy as np


class Parameter:
    """An array that is learnt: `self.weight = Parameter(array)` makes `self.weight` and `self.grad_weight`.

    Args: data: initial values, of any shape; kept in the module's dtype.
    Errors: TypeError if data are not real numbers.
    """

    def __init__(self, data):
        self.data = np.asarray(data)
        if self.data.dtype.kind not in "fiu":
            raise TypeError(f"Parameter: data has dtype {self.data.dtype}, expected real numbers")


def flatten(owners: Sequence[tuple[object, str]], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Move parameters and gradients into one new vector each; `owners` are (module, name) pairs.

    Returns both vectors (P,). Afterwards `module.name` and `module.grad_name` are views into them.
    """
    size = sum(vars(module)[name].size for module, name in owners)
    values, gradients = np.empty(size, dtype), np.zeros(size, dtype)
    start = 0
    for module, name in owners:
        for vector, attribute in ((values, name), (gradients, f"grad_{name}")):
            array = vars(module)[attribute]
            view = vector[start : start + array.size].reshape(array.shape)
            view[...] = array
            vars(module)[attribute] = view
        start += vars(module)[name].size
    return values, gradients
