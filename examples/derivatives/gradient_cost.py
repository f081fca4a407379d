"""What a gradient costs as models grow: O(W) by bprop, O(W²) by central differences, two losses a parameter.

Bishop and Bishop, Deep Learning, section 8.1.4. Prints a table and the slopes of both, fitted where arithmetic, not the
calls, takes the time; draws gradient_cost.png if matplotlib is there. Widths are multiples of 16, so that each fills
whole SIMD vectors: between two of them the time stands still and then jumps.

python examples/derivatives/gradient_cost.py [largest number of parameters] [seconds for the differences of one model]
    [svg, png, or files to draw]
"""

import sys
import time

import numpy as np
from bprop.modules import Linear, MeanSquaredError, Sequential, Tanh, manual_seed
from bprop.trainers.plots.files import save_plots, split_plot_files

WIDTHS = (16, 32, 64, 96, 128, 160, 256, 512, 1024, 2048)
SAMPLES, STEP = 512, 1e-2
FIT_FROM = 15_000  # parameters
files, numbers = split_plot_files(sys.argv[1:], "gradient_cost.png", others=2)
largest = float(numbers[0]) if numbers else 1e7
budget = float(numbers[1]) if len(numbers) > 1 else 30.0  # differences that take longer are 2 W times one loss
loss = MeanSquaredError()


def seconds_of(function, least=0.1):
    """The median time of a call."""
    function()
    times = []
    while sum(times) < least or len(times) < 5:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def by_differences(evaluate, w):
    """The gradient in w, two evaluations of the loss for each element."""
    gradient = np.empty(w.size)
    for i in range(w.size):
        original, w[i] = w[i], w[i] + STEP
        above = evaluate()
        w[i] = original - STEP
        gradient[i] = (above - evaluate()) / (2 * STEP)
        w[i] = original
    return gradient


def measured(width):
    """W, and the seconds of the gradient by bprop, of one loss, and of all differences, if they were run whole."""
    manual_seed(0)
    model = Sequential(Linear(width, width), Tanh(), Linear(width, width))
    x, target = np.random.default_rng(0).standard_normal((2, SAMPLES, width), np.float32)

    def evaluate():
        return loss.fprop(model.fprop(x), target)

    def backward():
        evaluate()
        model.zero_grad()
        model.bprop(loss.bprop())

    size, one = model.flat_parameters.size, seconds_of(evaluate)
    whole = None
    if 2 * size * one < budget:
        start = time.perf_counter()
        differences = by_differences(evaluate, model.flat_parameters)
        whole = time.perf_counter() - start
        backward()
        assert np.abs(differences - model.flat_gradients).max() < 0.05 * np.abs(model.flat_gradients).max() + 1e-3
    return size, seconds_of(backward), one, whole


def fit_slope(sizes, seconds):
    """The slope of log seconds over log W by least squares, or None for fewer than two models."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]) if len(sizes) > 1 else None


def fit_slopes(sizes, gradient, differences, whole):
    """Fit both slopes, that of differences to those that were measured whole."""
    large = sizes >= FIT_FROM
    return fit_slope(sizes[large], gradient[large]), fit_slope(sizes[large & whole], differences[large & whole])


print("        W       by bprop      one loss  by differences")
rows = []
for width in (width for width in WIDTHS if 2 * width * (width + 1) <= largest):
    size, gradient, one, whole = measured(width)
    rows.append((size, gradient, whole or 2 * size * one, whole is not None))
    how = "measured whole" if whole else "2 W times one loss"
    print(f"{size:9d}  {gradient:11.2e} s  {one:10.2e} s  {rows[-1][2]:12.2e} s  {how}", flush=True)


def draw(sizes, gradient, differences, whole, slopes):
    """Plot both costs, their growth, and familiar times for comparison."""
    figure, axes = plt.subplots(figsize=(7.4, 4.8), dpi=150)
    blue, red = "#2b6cb0", "#b04a2f"
    axes.loglog(sizes, gradient, "o-", color=blue, ms=5)
    axes.loglog(sizes, differences, "-", color=red)
    axes.loglog(sizes[whole], differences[whole], "s", color=red, ms=5.5, label="measured whole")
    axes.loglog(sizes[~whole], differences[~whole], "s", color=red, ms=5.5, mfc="white", label="2W times one loss")
    for line, power, colour in ((gradient, 1, blue), (differences, 2, red)):
        axes.loglog(sizes, line[-1] * (sizes / sizes[-1]) ** power, ":", color=colour, lw=1, zorder=0)
    low, high = gradient.min() / 4, differences.max() * 6
    axes.set_ylim(low, high)
    for name, seconds in (("1 ms", 1e-3), ("1 s", 1), ("1 minute", 60), ("1 hour", 3600), ("1 day", 86400)):
        if low < seconds < high:
            axes.axhline(seconds, color="#ddd", lw=0.8, zorder=-1)
            axes.text(1.01, seconds, name, transform=axes.get_yaxis_transform(), va="center", color="#777", fontsize=8)
    texts = [f", slope {slope:.2f}" if slope else "" for slope in slopes]
    middle = len(sizes) // 2
    place = {"textcoords": "offset points", "fontsize": 10}
    axes.annotate(f"backpropagation, O(W){texts[0]}", (sizes[middle], gradient[middle]), (6, -18), color=blue, **place)
    axes.annotate(
        f"central differences, O(W²){texts[1]}",
        (sizes[middle], differences[middle]),
        (-8, 14),
        ha="right",
        color=red,
        **place,
    )
    axes.set_xlabel("parameters W")
    axes.set_ylabel("seconds for one gradient")
    axes.set_title(
        f"What a gradient costs ({SAMPLES} samples, two layers; slopes from W = {FIT_FROM:,} on; dotted: 1 and 2)",
        fontsize=10,
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", fontsize=9, facecolor="white", edgecolor="none", framealpha=1)
    figure.tight_layout()
    return figure


table = [np.array(column) for column in zip(*rows, strict=True)]
slopes = fit_slopes(*table)
for name, slope in zip(("bprop", "differences, measured whole"), slopes, strict=True):
    if slope is not None:
        print(f"slope of {name}, from W = {FIT_FROM} on: {slope:.2f}")

try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot: matplotlib is not installed")
else:
    print(save_plots(draw(*table, slopes), files))
