"""A positive number as softplus of any number, with its logarithm, finite and exact far down where it underflows."""

import numpy as np

from .elementary import softplus

EDGE = 3.059023205018258e-07  # exp(-15)


def log_softplus(x):
    """log softplus(x): x - exp(x) / 2 to first order below -15, where softplus is exp x."""
    low = np.minimum(x, -15)  # two terms, one of them constant: np.where would make an array of each number
    return np.log(softplus(np.maximum(x, -15))) + (low + 15) - (np.exp(low) - EDGE) / 2


def softplus_ratio(x):
    """softplus'(x) / softplus(x) = σ(x) / softplus(x), the derivative of log_softplus: 1 - exp(x) / 2 below -15."""
    high = np.maximum(x, -15)
    return 1 / ((1 + np.exp(-high)) * softplus(high)) - (np.exp(np.minimum(x, -15)) - EDGE) / 2
