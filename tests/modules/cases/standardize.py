"""Means and standard deviations that are known beforehand."""

from bprop.modules import Standardize

from .case import Case


def standardized(module, x):
    shape = (-1, *[1] * (x.ndim - 2))
    return (x - module.mean.reshape(shape)) / module.std.reshape(shape)


MODULES = [
    Case(
        "Standardize",
        lambda: Standardize([0.5, -1.0, 2.0], [0.25, 2.0, 1.0]),
        (4, 3, 5, 2),
        (4, 2, 5, 2),
        "Standardize(3): x has shape (4, 2, 5, 2), expected (N, 3, ...)",
        reference=standardized,
    ),
    Case("Standardize signal", lambda: Standardize([0.5], [2.0]), (4, 1, 6), reference=standardized),
    Case("Standardize flat", lambda: Standardize([0.5, 3.0], [2.0, 0.1]), (4, 2), reference=standardized),
]
