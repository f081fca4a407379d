"""Three numerical derivatives, and the error of each by its step: figure 8.2 of Bishop and Bishop.

The function is the one of their section 8.2, x1 x2 + exp(x1 x2) - sin(x2) at (1, 2); its derivative by x1 is 2 + 2 e².
Prints a table, and draws numerical_derivatives.png, with enough steps to show the noise of rounding, if matplotlib is
there, or what is named after the script, such as `svg` or `svg png`: an error of truncation, O(h) or O(h²), falls with
the step until one of rounding, about ε/h, takes over.
"""

import sys

import numpy as np
from bprop.modules.autodiff import central_difference, complex_step, derive, difference_errors, forward_difference
from bprop.trainers.plots.files import save_plots, split_plot_files

files, _ = split_plot_files(sys.argv[1:], "numerical_derivatives.png")


def f(x1, x2=2.0):
    return x1 * x2 + np.exp(x1 * x2) - np.sin(x2)


def fit_slope(steps, errors, low, high):
    """The slope of log error over log step between two steps, and the line's error at step 1, by least squares."""
    inside = (steps >= low) & (steps <= high) & (errors > 0)
    slope, height = np.polyfit(np.log10(steps[inside]), np.log10(errors[inside]), 1)
    return slope, 10**height


exact = derive(f, 1.0).bprop()["x1"]  # by the evaluation trace, to the last digit
print(f"forward {forward_difference(f, 1.0):.15f}")
print(f"central {central_difference(f, 1.0):.15f}")
print(f"complex {complex_step(f, 1.0):.15f}")
print(f"exact   {exact:.15f}")

steps = 10.0 ** np.arange(0, -15, -1)
errors = difference_errors(f, 1.0, exact, steps)
print("\nstep    forward  central  complex")
for k, step in enumerate(steps):
    print(f"{step:.0e}  " + "  ".join(f"{errors[name][k]:.1e}" for name in errors))

LABELS = {
    "forward": "forward differences",
    "central": "central differences",
    "complex": "complex step (errors of 0 at the bottom)",
}
FITS = {  # name: the method, and the steps between which its errors are on one line
    "forward, truncation": ("forward", 1e-6, 1e-2),
    "forward, rounding": ("forward", 1e-14, 1e-10),
    "central, truncation": ("central", 1e-4, 1e-1),
    "central, rounding": ("central", 1e-14, 1e-7),
}
fine = 10.0 ** np.linspace(0, -15, 1501)
curves = difference_errors(f, 1.0, exact, fine)
fits = {name: fit_slope(fine, curves[method], low, high) for name, (method, low, high) in FITS.items()}
print("\nslopes of the errors, fitted to 1501 steps:")
for name, (slope, _) in fits.items():
    print(f"{name}: {slope:.2f}")


def draw():
    """Both errors by the step, with the fitted lines and their slopes."""
    colours = {"forward": "#D55E00", "central": "#0072B2", "complex": "#009E73"}
    figure, axes = plt.subplots(figsize=(8, 5.4), dpi=150, layout="constrained")
    for name, colour in colours.items():
        shown = np.maximum(curves[name], 5e-17)  # an error of 0 has no logarithm
        axes.loglog(fine, shown, ".", color=colour, ms=2, alpha=0.5, mew=0)
        axes.loglog([], [], "o", color=colour, ms=5, label=LABELS[name])
    places = {  # where the slope is written: the step, and by how much it is moved up
        "forward, truncation": (3e-4, 6, "right"),
        "forward, rounding": (3e-12, 30, "left"),
        "central, truncation": (1.2e-2, 0.05, "left"),
        "central, rounding": (2e-13, 0.03, "right"),
    }
    for name, (slope, height) in fits.items():
        method, low, high = FITS[name]
        line = np.array([low, high])
        axes.loglog(line, height * line**slope, color=colours[method], lw=1.2)
        step, up, side = places[name]
        at = height * step**slope * up
        axes.text(step, at, f"slope {slope:.2f}", color=colours[method], ha=side, va="center", fontsize=10)
    axes.set_xlabel("step h")
    axes.set_ylabel("relative error of the derivative")
    axes.set_title("Truncation errors fall with the step, rounding errors of differences grow", fontsize=10)
    axes.set_ylim(2e-17, 10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.1), fontsize=9, frameon=False)
    return figure


try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot: matplotlib is not installed")
else:
    print(save_plots(draw(), files))
