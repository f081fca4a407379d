"""Initial values of parameters, drawn from one seeded stream.

`manual_seed(n)` starts the stream anew: then a net is a function of the seed and of the order in which it is built.
"""

import math

import numpy as np

_stream = np.random.Generator(np.random.Philox(0))


def manual_seed(seed: int) -> None:
    """Start the stream of initial values anew. Args: seed: a whole number, at least 0."""
    global _stream
    _stream = np.random.Generator(np.random.Philox(seed))


def stream() -> np.random.Generator:
    """The stream of initial values."""
    return _stream


def new_key() -> int:
    """A key for a module's random numbers, from the stream."""
    return int(_stream.integers(2**63))


class Initializer:
    """Draws initial values: `sample(shape)` is a float64 array. Fans of a weight (out, in, ...) are PyTorch's."""

    def sample(self, shape: tuple[int, ...]) -> np.ndarray:
        """Initial values (float64) of a parameter of this shape."""
        raise NotImplementedError(f"{type(self).__name__} has no sample: write `def sample(self, shape)`")


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...); ValueError for fewer than two axes."""
    if len(shape) < 2:
        raise ValueError(f"a parameter of shape {shape} has no fan-in and fan-out, expected at least two axes")
    area = math.prod(shape[2:])
    return shape[1] * area, shape[0] * area


def _uniform(bound: float, shape) -> np.ndarray:
    return _stream.uniform(-bound, bound, shape)


class PyTorchUniform(Initializer):
    """Uniform in ±1/√fan_in, PyTorch's default for Linear's weight and bias.

    Args: fan_in: inputs of each unit, at least 1.
    Source: LeCun et al., Efficient BackProp (1998), section 4.6, as PyTorch uses it.
    """

    def __init__(self, fan_in: int):
        self.fan_in = fan_in

    def sample(self, shape):
        return _uniform(1 / math.sqrt(self.fan_in), shape)


class GlorotUniform(Initializer):
    """Uniform in ±gain √(6 / (fan_in + fan_out)). Source: Glorot and Bengio (2010), eq. 16; Deep Learning, eq. 8.23."""

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def sample(self, shape):
        return _uniform(self.gain * math.sqrt(6 / sum(fans(shape))), shape)


class GlorotNormal(Initializer):
    """Normal with deviation gain √(2 / (fan_in + fan_out)). Source: Glorot and Bengio (2010), eq. 12."""

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def sample(self, shape):
        return _stream.normal(0, self.gain * math.sqrt(2 / sum(fans(shape))), shape)


class HeUniform(Initializer):
    """Uniform in ±√(6 / fan_in), for rectified units. Source: He et al. (2015), eq. 10."""

    def sample(self, shape):
        return _uniform(math.sqrt(6 / fans(shape)[0]), shape)


class HeNormal(Initializer):
    """Normal with deviation √(2 / fan_in), for rectified units. Source: He et al. (2015), eq. 10."""

    def sample(self, shape):
        return _stream.normal(0, math.sqrt(2 / fans(shape)[0]), shape)


class Constant(Initializer):
    """The same value everywhere. Args: value: a finite number."""

    def __init__(self, value: float = 0.0):
        self.value = value

    def sample(self, shape):
        return np.full(shape, float(self.value))
