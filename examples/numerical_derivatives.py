"""Three numerical derivatives, and the error of each by its step: figure 8.2 of Bishop and Bishop.

The function is the one of their section 8.2, x1 x2 + exp(x1 x2) - sin(x2) at (1, 2); its derivative by x1 is 2 + 2 e².
"""

import numpy as np
from bprop.modules.autodiff import central_difference, complex_step, derive, difference_errors, forward_difference


def f(x1, x2=2.0):
    return x1 * x2 + np.exp(x1 * x2) - np.sin(x2)


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
