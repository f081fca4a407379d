"""The base of metrics: functions of all outputs and targets of a set, with a name."""

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np


class Metric:
    """Base of metrics: a leaf defines `value(y, target)`, and `name` if it is not to be that of its class.

    If it is `value(y, target, sample_weight)`, it is given what each sample counts, (N,), or None; a metric that does
    not ask for it counts all samples alike.

    better: max or min; of_probabilities: y are the probabilities that the loss gives to the classes, (N, ..., K), or
    (N,) of class 1 for a loss of yes and no, whose outputs count one by one; of_classes: so they are for such a loss,
    else scores; of_numbers: y are the numbers that the loss expects, the means of its distributions; in_units: y and
    target are at the original scale, before any standardising; whole_samples: y (N, ..., K) and target keep the axis of
    the samples, where labels that the loss ignores are -1, which are else left out; number: false for what fits no
    column of metrics, which is computed only at the end and by `Trainer.evaluate`.
    Outputs that hold NaN give NaN.

    Errors: ValueError for a `value` that gives no number.
    """

    better: Literal["max", "min"] = "min"
    of_probabilities: bool = False
    of_classes: bool = False
    of_numbers: bool = False
    in_units: bool = False
    whole_samples: bool = False
    number: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The name of the metric in tables, after train_, valid_ or test_."""
        return type(self).__name__.lower()

    def value(self, y: np.ndarray, target: np.ndarray) -> Any:
        """The metric; y and target as the attributes say."""
        raise NotImplementedError(f"{type(self).__name__}: value(y, target) is not defined")

    def function_of(self) -> Callable[..., Any]:
        """Get the function that computes the metric, whose signature says whether it takes weights."""
        return self.value

    @cached_property
    def takes_weights(self) -> bool:
        """Whether the function takes the weights of samples."""
        try:
            return "sample_weight" in inspect.signature(self.function_of()).parameters
        except (TypeError, ValueError):  # what is written in C may have no signature
            return False

    def __call__(self, y: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None) -> Any:
        weights = {"sample_weight": sample_weight} if self.takes_weights else {}
        value = self.function_of()(y, target, **weights)  # first of all, so that shapes that do not fit are refused
        if np.isnan(y).any():
            return float("nan")
        if not self.number:
            return value
        if np.ndim(value) != 0 or not np.isreal(value):
            raise ValueError(f"{self.name}: the value is {value!r}, expected a number")
        return float(value)

    def __repr__(self) -> str:
        return self.name


class FunctionMetric(Metric):
    """A function (y, target) or (y, target, sample_weight) as a metric; its attributes such as `better` count."""

    def __init__(self, function: Callable[[np.ndarray, np.ndarray], Any], **attributes: Any):
        self.function = function
        for name in ("better", "of_probabilities", "of_classes", "of_numbers", "in_units", "whole_samples"):
            setattr(self, name, attributes.get(name, getattr(function, name, getattr(Metric, name))))
        if self.better not in ("max", "min"):
            raise ValueError(f"{self.name}: better is {self.better!r}, expected max or min")

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__).strip("<>")

    def function_of(self) -> Callable[..., Any]:
        return self.function


MetricLike = str | Metric | Callable[[np.ndarray, np.ndarray], Any]


def make_metric(**attributes: Any) -> Callable[[Callable], Metric]:
    """Decorate a function as a metric."""
    return lambda function: FunctionMetric(function, **attributes)
