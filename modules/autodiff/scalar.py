"""The base of dual numbers and traced numbers, which stand in for floats in ordinary code.

Python's operators and NumPy's functions end in `combine`. Arrays of such numbers are NumPy's own, of dtype object, so
slices, views, loops, buffers from `np.empty_like(x)` and writes into them need nothing more.
"""

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .rules import BY_NAME, FLAT, Untraceable


class Scalar(NDArrayOperatorsMixin):
    """Base of numbers that carry more than their value."""

    __slots__ = ("value",)
    value: Any

    def combine(self, operation, inputs):
        """Apply an operation to numbers, some of them of this kind."""
        raise NotImplementedError

    def __array_ufunc__(self, operation, method, *inputs, **settings):
        out = settings.pop("out", (None,))[0]  # of `total += x`, which makes a new number of `total`
        if method != "__call__" or settings:
            raise Untraceable(f"np.{operation.__name__}.{method} of a single number is not known")
        if isinstance(out, np.ndarray):  # of `array += x`
            out[...] = self.__array_ufunc__(operation, method, *inputs)
            return out
        if any(isinstance(each, np.ndarray) and each.ndim for each in inputs):
            return operation(*(each if isinstance(each, np.ndarray) else as_object_array(each) for each in inputs))
        inputs = tuple(each.item() if isinstance(each, np.ndarray) else each for each in inputs)
        if operation in FLAT:
            return self.compare(operation, inputs)
        return self.combine(operation, inputs)

    def compare(self, operation, inputs):
        """Apply an operation whose value jumps or stays, such as a comparison: it gives a plain number."""
        return operation(*map(get_value, inputs))

    def __getattr__(self, name: str):
        """`number.exp()`: so NumPy asks an object for its exponential, in an array of objects."""
        if name not in BY_NAME:
            raise AttributeError(f"a traced number has no {name}")
        return lambda: BY_NAME[name](self)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        raise Untraceable(
            "a float is asked for, which forgets the derivative: "
            "take np.exp and its like instead of math.exp, np.empty_like(x) or np.zeros(shape, x.dtype) as buffers"
        )

    __int__ = __index__ = __complex__ = __float__  # type: ignore[assignment]


def as_object_array(number) -> np.ndarray:
    """Wrap a number in an array without axes."""
    array = np.empty((), object)
    array[()] = number
    return array


def get_value(number):
    """Get the value of a number of either kind, or a plain number itself."""
    return number.value if isinstance(number, Scalar) else number


def get_values(array) -> Any:
    """Get the values of an array of numbers of any kind, as floats."""
    if isinstance(array, Scalar):
        return array.value
    if isinstance(array, np.ndarray) and array.dtype == object:
        return np.array([get_value(each) for each in array.flat], np.float64).reshape(array.shape)
    return array
