"""Automatic differentiation in the open: the evaluation trace of Bishop and Bishop, section 8.2, and dual numbers.

Writes the trace as a graph, as their figures 8.4 and 8.5 have it, to evaluation_trace.svg, or to what is
named: svg, png, or files.
"""

import sys

import numpy as np
from bprop.modules import Linear
from bprop.modules.autodiff import derive, trace_duals
from bprop.trainers.plots.files import save_plots, split_plot_files

files, _ = split_plot_files(sys.argv[1:], "evaluation_trace.svg")


def f(x1, x2):
    v3 = x1 * x2
    v4 = np.sin(x2)
    v5 = np.exp(v3)
    v6 = v3 - v4
    return v5 + v6


trace = derive(f, 1.0, 2.0)
trace.tangent(x1=1.0)  # forward: from the first line to the last
trace.bprop()  # backward: from the last line to the first
print(trace)
print(save_plots(trace.graph(), files))

run = trace_duals(f, 1.0, 2.0, directions=(1.0, 0.0))  # f(Dual(1.0, 1.0), Dual(2.0)), written down
print("\nby dual numbers, the derivative for x1:", run.dy)
print(run)

layer, x, grad_y = Linear(3, 2).to("float64"), np.ones((4, 3)), np.ones((4, 2))
layer.fprop(x)
layer.bprop(grad_y)
expected = derive(layer, x).bprop(grad_y)["weight"]
print("bprop of Linear by hand, less that of its trace:", abs(layer.grad_weight - expected).max())
