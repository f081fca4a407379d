"""Initial values of parameters, drawn from one seeded stream.

`manual_seed(n)` starts the stream anew: then a model is a function of the seed and of the order in which it is built.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from scipy.special import ndtr, ndtri

_stream = np.random.Generator(np.random.Philox(0))


def manual_seed(seed: int) -> None:
    """Start the stream of initial values anew. Args: seed: a whole number, at least 0."""
    global _stream
    _stream = np.random.Generator(np.random.Philox(seed))


@contextmanager
def use_seed(seed: int) -> Iterator[None]:
    """Context in which the stream starts from `seed`; afterwards it continues where it was."""
    global _stream
    previous = _stream
    manual_seed(seed)
    try:
        yield
    finally:
        _stream = previous


def get_generator() -> np.random.Generator:
    """The generator from which initial values are drawn, started anew by `manual_seed` and by a config's `seed`.

    A module of your own draws from it in `__init__`: `self.weight = Parameter(get_generator().normal(size=(n, m)))`.
    """
    return _stream


def new_key() -> int:
    """A key for a module's random numbers, from the stream."""
    return int(_stream.integers(2**63))


class Initializer:
    """Draws initial values: `sample(shape)` is a float64 array. Fans of a weight (out, in, ...) are PyTorch's."""

    def sample(self, shape: tuple[int, ...]) -> np.ndarray:
        """Initial values (float64) of a parameter of this shape."""
        raise NotImplementedError(f"{type(self).__name__} has no sample: write `def sample(self, shape)`")


def refuse_unless(fits: bool, owner: object, name: str, value: object, expected: str) -> None:
    """ValueError unless an initialiser's setting fits."""
    if not fits:
        raise ValueError(f"{type(owner).__name__}: {name} is {value}, expected {expected}")


def count_fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...); ValueError for fewer than two axes."""
    if len(shape) < 2:
        raise ValueError(f"a parameter of shape {shape} has no fan-in and fan-out, expected at least two axes")
    area = math.prod(shape[2:])
    return shape[1] * area, shape[0] * area


class Constant(Initializer):
    """The same value everywhere; a small positive one, such as 0.1, as a bias starts rectified units active.

    Args: value: a finite number, or a list of one for each element of a vector, such as the bias of outputs that mean
        different things.
    Errors: ValueError for other settings.
    Source: Goodfellow et al., Deep Learning, sections 6.3.1 (in the draft: 6.7) and 8.4.
    """

    def __init__(self, value: float | list[float] = 0.0):
        refuse_unless(bool(np.isfinite(value).all()), self, "value", value, "a finite number")
        self.value = value

    def sample(self, shape):
        size = np.shape(self.value)
        refuse_unless(
            size in ((), shape), self, "value", self.value, f"one number, or as many as the shape {shape} has"
        )
        return np.full(shape, self.value, np.float64)


class Uniform(Initializer):
    """Uniform between a and b.

    Args: a, b: finite numbers, a not above b.
    Errors: ValueError for other settings.
    Source: PyTorch's uniform_.
    """

    def __init__(self, a: float = 0.0, b: float = 1.0):
        refuse_unless(-math.inf < a <= b < math.inf, self, "a", a, f"a finite number, at most b = {b}")
        self.a, self.b = a, b

    def sample(self, shape):
        return _stream.uniform(self.a, self.b, shape)


class Normal(Initializer):
    """Normal.

    Args: mean: a finite number; std: the standard deviation, at least 0.
    Errors: ValueError for other settings.
    Source: PyTorch's normal_.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0):
        refuse_unless(math.isfinite(mean), self, "mean", mean, "a finite number")
        refuse_unless(0 <= std < math.inf, self, "std", std, "a finite number, at least 0")
        self.mean, self.std = mean, std + 0.0  # no -0.0, which NumPy refuses

    def sample(self, shape):
        return _stream.normal(self.mean, self.std, shape)


class TruncatedNormal(Initializer):
    """Normal, given that it lies between a and b.

    Args: mean: a finite number; std: the standard deviation before cutting, above 0; a, b: the bounds, a below b.
    Errors: ValueError for other settings.
    Numerics: the inverse of the distribution function, in the lower tail, where no digits are lost.
    Source: PyTorch's trunc_normal_.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0):
        refuse_unless(math.isfinite(mean), self, "mean", mean, "a finite number")
        refuse_unless(0 < std < math.inf, self, "std", std, "a finite number above 0")
        refuse_unless(a < b, self, "a", a, f"a number below b = {b}")
        self.mean, self.std, self.a, self.b = mean, std, a, b
        low, high = ndtr([(a - mean) / std, (b - mean) / std])
        upper = ndtr(-(a - mean) / std) - ndtr(-(b - mean) / std)
        refuse_unless(max(high - low, upper) > 0, self, "a", a, "bounds nearer to the mean: none would be drawn there")

    def sample(self, shape):
        low, high = (self.a - self.mean) / self.std, (self.b - self.mean) / self.std
        sign = 1 if low + high <= 0 else -1  # the mirror image of an upper tail
        low, high = min(sign * low, sign * high), max(sign * low, sign * high)
        z = sign * ndtri(_stream.uniform(ndtr(low), ndtr(high), shape))
        return np.clip(self.mean + self.std * z, self.a, self.b)


class PyTorchUniform(Initializer):
    """Uniform in ±1/√fan_in, PyTorch's default for Linear's weight and bias.

    Args: fan_in: inputs of each unit, at least 1.
    Errors: ValueError for other settings.
    Source: LeCun et al., Efficient BackProp (1998), section 4.6, as PyTorch uses it.
    """

    def __init__(self, fan_in: int):
        refuse_unless(fan_in >= 1, self, "fan_in", fan_in, "at least 1")
        self.fan_in = fan_in

    def sample(self, shape):
        bound = 1 / math.sqrt(self.fan_in)
        return _stream.uniform(-bound, bound, shape)
