"""Parameters, which are learned, and the buffers and counters that are saved beside them.

The parameters of a model lie in one vector of values and one of gradients: a single loop updates a model.
"""

from collections.abc import Sequence

import numpy as np

from .aligned_memory import allocate_zeros


class Parameter:
    """A learned array: `self.weight = Parameter(array)` makes `self.weight` and `self.grad_weight`.

    Args: data: initial values, of any shape; kept in the module's dtype.
    Errors: TypeError if data are not real numbers.
    """

    def __init__(self, data):
        self.data = np.asarray(data)
        if self.data.dtype.kind not in "fiu":
            raise TypeError(f"Parameter: data has dtype {self.data.dtype}, expected real numbers")


class Buffer:
    """An array that is saved with the parameters, but not learned: `self.running_mean = Buffer(array)`.

    Its memory stays where it is: methods write into it, `self.running_mean[:] = ...` or `self.running_mean += ...`.

    Args: data: initial values, of any shape; floats are kept in the module's dtype, whole numbers as int64.
    Errors: TypeError if data are not real numbers.
    """

    def __init__(self, data):
        self.data = np.asarray(data)
        if self.data.dtype.kind not in "fiu":
            raise TypeError(f"Buffer: data has dtype {self.data.dtype}, expected real numbers")


class Counter:
    """A whole number that a resumed training needs, such as the position in a stream of random numbers.

    `self.step = Counter()` makes the number `self.step`, which methods may increase; `module.counters()` returns the
    counters of a model, `module.load_counters(...)` sets them.

    Args: value: what it begins with.
    """

    def __init__(self, value: int = 0):
        self.value = int(value)


def flatten(owners: Sequence[tuple[object, str]], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Move parameters and gradients into one new vector each; `owners` are (module, name) pairs.

    Returns both vectors (P,). Afterwards `module.name` and `module.grad_name` are views into them.
    """
    size = sum(vars(module)[name].size for module, name in owners)
    values, gradients = allocate_zeros(size, dtype), allocate_zeros(size, dtype)
    start = 0
    for module, name in owners:
        for vector, attribute in ((values, name), (gradients, f"grad_{name}")):
            array = vars(module)[attribute]
            view = vector[start : start + array.size].reshape(array.shape)
            view[...] = array
            vars(module)[attribute] = view
        start += vars(module)[name].size
    return values, gradients
