"""What a gradient costs as nets grow: O(W) by the backward pass, O(W²) by differences, one forward pass a parameter.

Bishop and Bishop, Deep Learning, section 8.1.4. Draws gradient_cost.png, if matplotlib is there.

python examples/gradient_cost.py [largest number of parameters]
"""

import sys
import time

import numpy as np
from bprop.modules import Linear, MeanSquaredError, Sequential, Tanh, manual_seed

BUDGET = 3.0  # seconds: differences that would take longer are extrapolated from single forward passes
largest = float(sys.argv[1]) if len(sys.argv) > 1 else 1e7
loss = MeanSquaredError()


def seconds_of(function, least=0.05):
    """The median time of a call."""
    function()
    times = []
    while sum(times) < least or len(times) < 3:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def by_differences(net, x, target):
    """The gradient, each element from a forward pass of its own."""
    w, before = net.flat_parameters, loss.fprop(net.fprop(x), target)
    gradient = np.empty(w.size)
    for i in range(w.size):
        kept = w[i]
        w[i] = kept + 1e-2
        gradient[i] = (loss.fprop(net.fprop(x), target) - before) / 1e-2
        w[i] = kept
    return gradient


rows = []
for count in 10.0 ** np.arange(2, np.log10(largest) + 0.01, 0.5):
    width = int((count / 2) ** 0.5)
    manual_seed(0)
    net = Sequential(Linear(width, width), Tanh(), Linear(width, width))
    random = np.random.default_rng(0)
    x, target = random.standard_normal((2, 4, width), np.float32)

    def backward(net=net, x=x, target=target):
        loss.fprop(net.fprop(x), target)
        net.zero_grad()
        net.bprop(loss.bprop())

    gradient = seconds_of(backward)
    forward = seconds_of(lambda net=net, x=x, target=target: loss.fprop(net.fprop(x), target))
    size = net.flat_parameters.size
    measured = size * forward < BUDGET
    if measured:
        start = time.perf_counter()
        found = by_differences(net, x, target)
        differences = time.perf_counter() - start
        backward()
        assert np.abs(found - net.flat_gradients).max() < 0.05 * np.abs(net.flat_gradients).max() + 1e-3
    else:
        differences = size * forward
    rows.append((size, gradient, differences, measured))
    note = "" if measured else "  (extrapolated from one forward pass)"
    print(f"W = {size:9d}   bprop {gradient:9.2e} s   differences {differences:9.2e} s{note}")

try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
except ImportError:
    print("no picture: matplotlib is not installed")
else:
    size, gradient, differences, measured = (np.array(column) for column in zip(*rows, strict=True))
    plt.figure(figsize=(6, 4))
    plt.loglog(size, gradient, "o-", label="bprop: O(W)")
    plt.loglog(size, differences, "-", color="C1")
    plt.loglog(size[measured], differences[measured], "s", color="C1", label="differences: O(W²)")
    if not measured.all():
        rest = ~measured
        plt.loglog(size[rest], differences[rest], "s", color="C1", mfc="white", label="the same, extrapolated")
    plt.xlabel("parameters W")
    plt.ylabel("seconds for the gradient")
    plt.legend()
    plt.tight_layout()
    plt.savefig("gradient_cost.png", dpi=120)
    print("drawn: gradient_cost.png")
