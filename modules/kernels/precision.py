"""A positive number as softplus of any number, with its logarithm, finite and exact far down where it underflows."""

import numpy as np

from .elementary import softplus


def log_softplus(x):
    """log softplus(x): x - exp(x) / 2 to first order below -15, where softplus is exp x."""
    low = np.minimum(x, -15)
    return np.where(x < -15, low - np.exp(low) / 2, np.log(softplus(np.maximum(x, -15))))


def softplus_ratio(x):
    """softplus'(x) / softplus(x) = σ(x) / softplus(x), the derivative of log_softplus: 1 - exp(x) / 2 below -15."""
    high = np.maximum(x, -15)
    return np.where(x < -15, 1 - np.exp(np.minimum(x, -15)) / 2, 1 / ((1 + np.exp(-high)) * softplus(high)))
