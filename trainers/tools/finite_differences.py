"""Errors of finite differences, compared with a model's gradient, by step size.

The loss of a config's model moves along one random direction of all parameters; bprop says how fast, and differences of
its values say so roughly: with a large step for the curvature, with a small one for the rounding of the loss.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...modules.autodiff import difference_errors
from ...modules.core.module import Module
from ...modules.core.text_table import format_table
from ..configs import Config
from ..plots.style import BLUE, NORMAL, VERMILION, escape_name, make_figure, save_figure, simplify_axes
from .config_in_float64 import build_in_float64

METHODS, PRECISIONS = ("forward", "central"), ("float64", "float32")
LARGEST, SMALLEST = 0, -14  # powers of ten


@dataclass(frozen=True)
class DifferenceErrors:
    """Relative errors of differences: `errors[method, dtype][k]` with `steps[k]`."""

    title: str
    slope: float
    steps: np.ndarray
    errors: dict[tuple[str, str], np.ndarray]

    def best(self, method: str, dtype: str) -> tuple[float, float]:
        """The (step, error) of a method's smallest error."""
        errors = self.errors[method, dtype]
        k = int(np.argmin(np.nan_to_num(errors, nan=np.inf)))
        return float(self.steps[k]), float(errors[k])

    def conclusions(self) -> list[str]:
        """Describe the best step of each method."""
        return [
            f"{method} differences in {dtype} come within {error:.1e} of the gradient, with a step of {step:.0e}"
            for method, dtype in self.errors
            for step, error in [self.best(method, dtype)]
        ]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        errors = {f"{method} {dtype}": list(errors) for (method, dtype), errors in self.errors.items()}
        return {"title": self.title, "slope": self.slope, "steps": list(self.steps), "errors": errors}

    def __str__(self) -> str:
        rows = [("step", *(f"{method}, {dtype}" for method, dtype in self.errors))]
        rows += [
            (f"{step:.0e}", *(f"{errors[k]:.1e}" for errors in self.errors.values()))
            for k, step in enumerate(self.steps)
        ]
        lines = [
            f"Errors of differences for {self.title}: a slope of {self.slope:.6g}",
            *(f"  {r}" for r in format_table(rows)),
        ]
        return "\n".join([*lines, *self.conclusions()])


def measure_differences(config: Config) -> DifferenceErrors:
    """Measure the errors of finite differences of a config's loss along a random direction, for all step sizes.

    The model is built anew, on the first samples of its training data; random numbers (dropout) stay the same
    throughout.

    Errors: ValueError for a model without parameters, or whose loss does not depend on them here; those of the config.
    """
    net, loss, arguments, source, samples = build_in_float64(config)
    net.zero_grad()
    value = LossAlongDirection(net, loss, arguments)
    value(0.0)
    net.bprop(loss.bprop())  # type: ignore[call-arg]
    slope = float(net.flat_gradients @ value.direction)
    if slope == 0:
        raise ValueError(
            f"{net.label()}: the loss does not depend on any parameter here, so there is no slope to compare"
        )
    steps = 10.0 ** np.arange(LARGEST, SMALLEST - 1, -1)
    errors: dict[tuple[str, str], np.ndarray] = {}
    net.load_counters(value.counters)  # dropout is to draw the same again
    for dtype in PRECISIONS:
        function = LossAlongDirection(net.copy().to(dtype), loss.copy().to(dtype), arguments, value.direction)
        by_method = difference_errors(function, 0.0, slope, steps, methods=METHODS)
        errors |= {(method, dtype): by_method[method] for method in METHODS}
    return DifferenceErrors(f"{source}, {samples}", slope, steps, errors)


class LossAlongDirection:
    """The loss as a function of how far the parameters are moved along a random unit direction."""

    def __init__(self, net: Module, loss: Module, arguments, direction: np.ndarray | None = None):
        self.net, self.loss, self.arguments = net, loss, arguments
        self.middle = net.flat_parameters.astype(np.float64)
        if direction is None:
            direction = np.random.default_rng(0).standard_normal(self.middle.size)
            direction /= max(float(np.linalg.norm(direction)), 1e-300)
        self.direction, self.counters = direction, net.counters()

    def __call__(self, distance: float) -> float:
        self.net.load_counters(self.counters)
        self.net.flat_parameters[...] = self.middle + distance * self.direction
        return float(self.loss.fprop(self.net.fprop(self.arguments[0]), self.arguments[1]))  # type: ignore[call-arg]


def draw_differences(differences: DifferenceErrors, path: Path) -> None:
    """Draw the curves to a PNG file; ImportError, with a hint, without matplotlib."""
    figure = make_figure(7.2, 4.8, f"Errors of differences: {escape_name(Path(differences.title).name)}")
    axes = figure.subplots()
    for (method, dtype), errors in differences.errors.items():
        positive = np.where(errors > 0, errors, np.nan)
        colour, line = (VERMILION if method == "forward" else BLUE), ("-" if dtype == "float64" else "--")
        axes.loglog(differences.steps, positive, line, marker=".", color=colour, label=f"{method} differences, {dtype}")
    axes.set_xlabel("step", fontsize=NORMAL)
    axes.set_ylabel("relative error of the derivative", fontsize=NORMAL)
    simplify_axes(axes)
    axes.legend(fontsize=NORMAL, frameon=False)
    save_figure(figure, path, 150)
