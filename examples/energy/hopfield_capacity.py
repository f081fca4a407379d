"""The capacity of Hopfield networks of some sizes: the share of patterns recalled drops at 0.138 patterns a neuron.

Networks store random patterns by Hebb's rule, start at each, and update one neuron at a time until none changes. The
overlap of what infinite networks recall with the pattern falls to 0.967 at the load 0.138, and then jumps (Amit,
Gutfreund and Sompolinsky 1985). Of a finite network the capacity is measured twice: as the load after which its mean
overlap is below these 0.967; and, of several sizes, by the load at which half of the patterns are lost, which is
0.138 + c / √N. Run with a number of patterns a point, by default 1000, and sizes of at least 100:
`hopfield_capacity.py 1000 200 400 800`. Draws hopfield_capacity.png, or what is named, too, such as `svg` or `svg png`.
"""

import sys

import numpy as np
from bprop.modules.layers.energy.hopfield_memory import compute_retrieval, find_load, measure_capacity
from bprop.trainers.plots.files import save_plots, split_plot_files

LOADS = (0.05, 0.08, 0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.2, 0.22, 0.25)
files, numbers = split_plot_files(sys.argv[1:], "hopfield_capacity.png", others=99)
patterns = int(numbers[0]) if numbers else 1000
sizes = [int(size) for size in numbers[1:]] or [200, 400, 800]

theory_loads, theory_overlaps = compute_retrieval()
capacity, least = theory_loads[-1], theory_overlaps[-1]
print(f"in theory {capacity:.4f} patterns a neuron, with an overlap of {least:.3f}\n")

curves, halves = {}, []
for size in sizes:
    curves[size] = measure_capacity(size, LOADS, max(2, round(patterns / (0.14 * size))), seed=size)
    loads, shares, overlaps = curves[size].loads, *(each.mean(axis=1) for each in curves[size][1:])
    halves.append(find_load(loads, shares, 0.5))
    found = find_load(loads, overlaps, least)
    print(f"{size} neurons: mean overlap {least:.3f} at {found:.3f}, half of the patterns at {halves[-1]:.3f}")
    print("load     " + " ".join(f"{load:5.3f}" for load in loads))
    print("recalled " + " ".join(f"{share:5.3f}" for share in shares))
    print("overlap  " + " ".join(f"{overlap:5.3f}" for overlap in overlaps) + "\n", flush=True)

if len(sizes) > 1:
    slope, limit = np.polyfit(1 / np.sqrt(sizes), halves, 1)
    print(f"half of the patterns are lost at {limit:.3f} + {slope:.2f} / √N")

try:
    import matplotlib
except ImportError:
    print("no plot: matplotlib is missing")
else:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharex=True)
    for size, curve in curves.items():
        for axis, values in zip(axes, curve[1:], strict=True):
            error = values.std(axis=1) / np.sqrt(values.shape[1])
            axis.errorbar(curve.loads, values.mean(axis=1), error, marker=".", label=f"{size} neurons")
    axes[1].plot(theory_loads, theory_overlaps, color="black", label="theory, N → ∞")
    for axis, title in zip(axes, ("share of patterns recalled", "mean overlap with the pattern"), strict=True):
        axis.axvline(capacity, color="gray", linestyle=":", label=f"{capacity:.3f}")
        axis.set(title=title, xlabel="patterns a neuron", ylim=(0, 1.03))
        axis.legend()
    print(save_plots(figure, files, dpi=110))
