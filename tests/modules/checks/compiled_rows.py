"""What compiled code of a row of the table must be; a file test_compiled*.py runs it for some rows, in one process."""

import numpy as np
from bprop.modules.checks.contract_checks import Trial, compare_compiled

IMAGES = ("images", "pooling", "normalisation", "resampling")
ACTIVATIONS = ("activations", "elementwise")


def check_compiled(case, dtype: str) -> None:
    """Compiled code computes what plain Python does."""
    for seed, samples in enumerate((None, 3)):
        assert compare_compiled(Trial(case.make(), (case.x(samples),), seed, 1e-6), dtype) == ""


def check_allocations(case, allocations) -> None:
    """It allocates nothing once it has its buffers; what is compiled is that of `check_compiled` in float32."""
    module, x = case.make(), case.x().astype(np.float32)
    counts = []
    for _ in range(5):
        before = allocations()
        module.bprop(module.fprop(x))
        counts.append(allocations() - before)
    assert counts[2:] == [2] * 3, "x and grad_y"
