"""Initial weights scaled to keep the size of signals or gradients from layer to layer, for a given activation.

A unit's `gain` is what it takes off the standard deviation of its input: `calculate_gain` has PyTorch's, by name.
"""

import math
from typing import Literal

from .initializers import Initializer, count_fans, get_generator, refuse_unless

CONVOLUTIONS = [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]
GAINS = {
    **dict.fromkeys(["linear", "identity", "sigmoid", *CONVOLUTIONS], 1.0),
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 0.75,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The gain of a unit: 1 for linear and sigmoid, 5/3 tanh, √2 relu, √(2 / (1 + a²)) leaky_relu, ¾ selu.

    Args: nonlinearity: PyTorch's name of the unit; param: the slope a of leaky_relu, 0.01 if not given.
    Errors: ValueError for an unknown unit, and for a param of one that takes none.
    Source: He et al. (2015), section 2.2; PyTorch's torch.nn.init.calculate_gain.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in GAINS:
        known = ", ".join([*GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: nonlinearity is {nonlinearity!r}, expected one of {known}")
    if param is not None:
        raise ValueError(f"calculate_gain: {nonlinearity} takes no param, got {param}")
    return GAINS[nonlinearity]


def as_gain(owner: object, gain: float | str) -> float:
    """A gain given as a number or as the name of a unit."""
    if isinstance(gain, str):
        return calculate_gain(gain)
    refuse_unless(0 < gain < math.inf, owner, "gain", gain, "a finite number above 0 or the name of a unit")
    return gain


def draw_uniform(deviation: float, shape):
    """Uniform around 0 with this standard deviation."""
    bound = math.sqrt(3) * deviation
    return get_generator().uniform(-bound, bound, shape)


def draw_normal(deviation: float, shape):
    """Normal around 0 with this standard deviation."""
    return get_generator().normal(0, deviation, shape)


class GlorotUniform(Initializer):
    """Uniform in ±gain √(6 / (fan_in + fan_out)).

    Args: gain: a number above 0, or the name of a unit.
    Source: Glorot and Bengio (2010), eq. 16; Deep Learning, eq. 8.23.
    """

    def __init__(self, gain: float | str = 1.0):
        self.gain = as_gain(self, gain)

    def sample(self, shape):
        return draw_uniform(self.gain * math.sqrt(2 / sum(count_fans(shape))), shape)


class GlorotNormal(Initializer):
    """Normal with standard deviation gain √(2 / (fan_in + fan_out)).

    Args: gain: a number above 0, or the name of a unit. Source: Glorot and Bengio (2010), eq. 12.
    """

    def __init__(self, gain: float | str = 1.0):
        self.gain = as_gain(self, gain)

    def sample(self, shape):
        return draw_normal(self.gain * math.sqrt(2 / sum(count_fans(shape))), shape)


class HeUniform(Initializer):
    """Uniform in ±gain √(3 / fan), the gain that of `nonlinearity`.

    Args: a: the slope of leaky_relu; mode: the fan, "fan_in" keeps the size of signals, "fan_out" that of gradients;
        nonlinearity: the name of the unit, "relu" for √(6 / fan_in).
    Errors: ValueError for other settings.
    Source: He et al. (2015), eq. 10 and 14.
    """

    def __init__(
        self, a: float | None = None, mode: Literal["fan_in", "fan_out"] = "fan_in", nonlinearity: str = "relu"
    ):
        refuse_unless(mode in ("fan_in", "fan_out"), self, "mode", repr(mode), "'fan_in' or 'fan_out'")
        self.mode, self.gain = mode, calculate_gain(nonlinearity, a)

    def sample(self, shape):
        return draw_uniform(self.standard_deviation(shape), shape)

    def standard_deviation(self, shape) -> float:
        return self.gain / math.sqrt(count_fans(shape)[self.mode == "fan_out"])


class HeNormal(HeUniform):
    """Normal with standard deviation gain / √fan, the gain that of `nonlinearity`.

    Args: as of HeUniform; "relu" gives √(2 / fan_in). Source: He et al. (2015), eq. 10 and 14.
    """

    def sample(self, shape):
        return draw_normal(self.standard_deviation(shape), shape)


class LeCunUniform(Initializer):
    """Uniform in ±gain √(3 / fan_in).

    Args: gain: a number above 0, or the name of a unit. Source: LeCun et al., Efficient BackProp (1998), eq. 16.
    """

    def __init__(self, gain: float | str = 1.0):
        self.gain = as_gain(self, gain)

    def sample(self, shape):
        return draw_uniform(self.gain / math.sqrt(count_fans(shape)[0]), shape)


class LeCunNormal(Initializer):
    """Normal with standard deviation gain / √fan_in; self-normalising nets (SELU) start so.

    Args: gain: a number above 0, or the name of a unit.
    Source: LeCun et al., Efficient BackProp (1998), eq. 16; Klambauer et al. (2017).
    """

    def __init__(self, gain: float | str = 1.0):
        self.gain = as_gain(self, gain)

    def sample(self, shape):
        return draw_normal(self.gain / math.sqrt(count_fans(shape)[0]), shape)
