"""Four ways to a derivative: by hand, by differences, by SymPy, and automatically; and what formulas cost as they grow.

Bishop and Bishop, Deep Learning, section 8.2, and Géron, Hands-On Machine Learning, appendix D. The symbolic lines need
SymPy: pip install 'bprop[symbolic]'. Writes drawings: bishop.svg, geron.svg, and geron_derivative.svg, or PNG
files, or both: `four_derivatives.py svg png`.
"""

import sys
from importlib.util import find_spec

import numpy as np
from bprop.modules.autodiff import Formula, compare_derivatives, derive, hessian_times
from bprop.trainers.plots.files import save_plots, split_plot_files

files, _ = split_plot_files(sys.argv[1:], "bishop.svg")
symbolic = find_spec("sympy") is not None


def bishop(x1, x2):
    v3 = x1 * x2
    return np.exp(v3) + (v3 - np.sin(x2))


def bishop_by_hand(x1, x2):
    e = np.exp(x1 * x2)
    return x2 * (1 + e), x1 * (1 + e) - np.cos(x2)


def geron(x, y):
    return x**2 * y + y + 2


def soft_relu(a):
    return np.log(1 + np.exp(a))


def two_layers(w1, b1, w2, b2, x=0.5):
    return soft_relu(w2 * soft_relu(w1 * x + b1) + b2)


print("x1 x2 + exp(x1 x2) - sin(x2) at (1, 2)")
print(compare_derivatives(bishop, 1.0, 2.0, by_hand=bishop_by_hand, symbolic=symbolic))
print("\nx² y + y + 2 at (3, 4)")
print(compare_derivatives(geron, 3.0, 4.0, by_hand=lambda x, y: (2 * x * y, x**2 + 1), symbolic=symbolic))
print("\ntwo layers of soft ReLU: four inputs, and reverse mode needs one run")
print(compare_derivatives(two_layers, 0.3, 0.1, 0.7, -0.2, symbolic=symbolic))

print("\nReverse over forward, the Hessian times (1, 0):", hessian_times(geron, 3.0, 4.0, directions=(1.0, 0.0)))

trace = derive(bishop, 1.0, 2.0)
trace.tangent(x1=1.0)
trace.bprop()
print(save_plots(trace.graph(), files))
trace = derive(geron, 3.0, 4.0)
trace.bprop()
print(save_plots(trace.graph(constants=True), [path.with_stem("geron") for path in files]))

if symbolic:
    simple = Formula.from_trace(derive(lambda x, y: 5 + x * y, 3.0, 4.0))
    print(f"\nd/dx ({simple}) = {simple.derivative('x', prune=False)} = {simple.derivative('x')}")
    graph = simple.derivative("x", prune=False).graph()
    print(save_plots(graph, [path.with_stem("geron_derivative") for path in files]))
    print("\nd/dw1 of the two layers:", Formula.from_trace(derive(two_layers, 0.3, 0.1, 0.7, -0.2)).derivative("w1"))

    def layers(count):
        def function(x, w1):
            z = soft_relu(w1 * x + 0.1)
            for k in range(1, count):
                z = soft_relu(0.7 * z - 0.2 * k)
            return z

        return function

    print("\nexpression swell: operations of some layers of soft ReLU and of the derivative for the first weight")
    print("layers  function  by the rules  pruned  shared")
    for count in range(1, 7):
        swell = Formula.from_trace(derive(layers(count), 0.5, 0.3)).swell("w1")
        print(f"{count:6}  {swell['function']:8}  {swell['by the rules']:12}  {swell['pruned']:6}  {swell['shared']:6}")
else:
    print("\nno formulas: SymPy is not installed")
