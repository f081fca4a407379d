"""Sigmoidal hidden units and their derivatives: the curves that flatten on both sides, and how soon.

The values are those of each module's fprop, the derivatives those of its bprop for a gradient of 1. Prints the largest
derivative of each unit, and from which x on it is less than a tenth of that: there the unit is saturated, and passes
hardly any gradient on. Draws sigmoids.png if matplotlib is there, or what is named: `sigmoids.py svg png`.

Source: Goodfellow et al., Deep Learning, draft section 6.4.3 (6.3.2 and 6.3.3 of the published book); Bishop and
Bishop, Deep Learning, figure 6.12 (tanh, hard tanh) and section 5.4 (the logistic sigmoid and the probit).
"""

import math
import sys

import numpy as np
from bprop.modules import Elementwise, Hardsigmoid, Hardtanh, Sigmoid, Softsign, Tanh, erf
from bprop.trainers.plots.files import save_plots, split_plot_files


class Erf(Elementwise):
    """The probit, scaled to values from -1 to 1: y = erf(x / √2), dy/dx = √(2/π) exp(-x²/2)."""

    def function(self, x):
        return erf(x * 0.7071067811865476)

    def derivative(self, x, y):
        return 0.7978845608028654 * math.exp(-0.5 * x * x)


class ArcTan(Elementwise):
    """y = 2/π atan(x), dy/dx = 2 / (π (1 + x²)); its tails fall as slowly as those of Softsign."""

    def function(self, x):
        return 0.6366197723675814 * math.atan(x)

    def derivative(self, x, y):
        return 0.6366197723675814 / (1 + x * x)


UNITS = {
    "from 0 to 1": {"logistic sigmoid": Sigmoid(), "hard sigmoid": Hardsigmoid()},
    "from -1 to 1": {
        "tanh": Tanh(),
        "hard tanh": Hardtanh(),
        "erf (probit)": Erf(),
        "softsign": Softsign(),
        "arctan": ArcTan(),
    },
}
RANGE = np.linspace(-6, 6, 2401)  # 0.005 apart


def evaluate(unit, x):
    """The values of a unit and its derivatives, by fprop and bprop."""
    y = unit.fprop(x).copy()
    return y, unit.bprop(np.ones_like(x)).copy()


def find_saturation(unit):
    """The largest derivative, and the x beyond which it is below a tenth of that."""
    x = np.linspace(0, 50, 50_001)
    _, slope = evaluate(unit, x)
    return slope.max(), x[np.flatnonzero(slope >= slope.max() / 10)[-1]]


def draw():
    """Values above, derivatives below; a column for each range of values; returns the figure."""
    colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]
    figure, panels = plt.subplots(2, 2, figsize=(9.4, 6.4), dpi=150, sharex=True, layout="constrained")
    for (title, units), (upper, lower) in zip(UNITS.items(), panels.T, strict=True):
        for (name, unit), colour in zip(units.items(), colours, strict=False):
            y, slope = evaluate(unit, RANGE)
            dashes = "--" if name.startswith("hard") else "-"
            upper.plot(RANGE, y, dashes, color=colour, lw=1.8, label=name)
            lower.plot(RANGE, slope, dashes, color=colour, lw=1.8)
        upper.set_title(f"sigmoidal units {title}", fontsize=10)
        upper.legend(fontsize=9, frameon=False, loc="upper left")
        lower.set_xlabel("x")
        lower.set_ylim(0, 1.05)
    panels[0, 0].set_ylabel("y = f(x)")
    panels[1, 0].set_ylabel("derivative, by bprop")
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, lw=0.6)
    return figure


if __name__ == "__main__":
    files, _ = split_plot_files(sys.argv[1:], "sigmoids.png")
    print("unit              largest derivative  a tenth of it at x =")
    for units in UNITS.values():
        for name, unit in units.items():
            largest, place = find_saturation(unit)
            print(f"{name:16}  {largest:18.4f}  {place:20.2f}")
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        print("no plot: matplotlib is not installed")
    else:
        print(save_plots(draw(), files))
