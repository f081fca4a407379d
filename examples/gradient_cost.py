"""What a gradient costs as models grow: O(W) by bprop, O(W²) by central differences, two losses a parameter.

Bishop and Bishop, Deep Learning, section 8.1.4. Prints a table, and draws gradient_cost.png if matplotlib is there.

python examples/gradient_cost.py [largest number of parameters]
"""

import sys
import time

import numpy as np
from bprop.modules import Linear, MeanSquaredError, Sequential, Tanh, manual_seed

BUDGET = 6.0  # seconds: finite differences that take longer are estimated as 2 W evaluations of the loss
SAMPLES, STEP = 32, 1e-2
largest = float(sys.argv[1]) if len(sys.argv) > 1 else 1e7
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


def measured(count):
    """W, and the seconds of the gradient by bprop, of one loss, and of all differences, if they were run whole."""
    width = int((count / 2) ** 0.5)
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
    if 2 * size * one < BUDGET:
        start = time.perf_counter()
        differences = by_differences(evaluate, model.flat_parameters)
        whole = time.perf_counter() - start
        backward()
        assert np.abs(differences - model.flat_gradients).max() < 0.05 * np.abs(model.flat_gradients).max() + 1e-3
    return size, seconds_of(backward), one, whole


print("        W       by bprop      one loss  by differences")
rows = []
for count in 10.0 ** np.arange(2, np.log10(largest) + 0.01, 0.5):
    size, gradient, one, whole = measured(count)
    rows.append((size, gradient, whole or 2 * size * one, whole is not None))
    how = "measured whole" if whole else "2 W times one loss"
    print(f"{size:9d}  {gradient:11.2e} s  {one:10.2e} s  {rows[-1][2]:12.2e} s  {how}", flush=True)


def draw(sizes, gradient, differences, whole):
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
    middle = len(sizes) // 2
    place = {"textcoords": "offset points", "fontsize": 10}
    axes.annotate("backpropagation, O(W)", (sizes[middle], gradient[middle]), (6, -18), color=blue, **place)
    axes.annotate(
        "central differences, O(W²)", (sizes[middle], differences[middle]), (-8, 14), ha="right", color=red, **place
    )
    axes.set_xlabel("parameters W")
    axes.set_ylabel("seconds for one gradient")
    axes.set_title(f"What a gradient costs ({SAMPLES} samples, two layers; dotted: slopes 1 and 2)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", fontsize=9, facecolor="white", edgecolor="none", framealpha=1)
    figure.tight_layout()
    figure.savefig("gradient_cost.png")


try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot: matplotlib is not installed")
else:
    draw(*(np.array(column) for column in zip(*rows, strict=True)))
    print("drawn: gradient_cost.png")
