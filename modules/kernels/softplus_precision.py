"""A precision p = softplus(r) and its logarithm, finite and exact where softplus underflows."""

import numpy as np

from .elementary_functions import sigmoid, softplus

EDGE = 3.059023205018258e-07  # exp(-15)
FLOOR = 1e-6  # of a variance or a standard deviation


def log_softplus(x):
    """log softplus(x): x - exp(x) / 2 to first order below -15, where softplus is exp x."""
    low = np.minimum(x, -15)  # two terms, one of them constant: np.where would make an array of each number
    return np.log(softplus(np.maximum(x, -15))) + (low + 15) - (np.exp(low) - EDGE) / 2


def softplus_ratio(x):
    """softplus'(x) / softplus(x) = σ(x) / softplus(x), the derivative of log_softplus: 1 - exp(x) / 2 below -15."""
    high = np.maximum(x, -15)
    return 1 / ((1 + np.exp(-high)) * softplus(high)) - (np.exp(np.minimum(x, -15)) - EDGE) / 2


def ratio_slope(x):
    """The derivative of softplus_ratio: ratio (1 - σ(x) - ratio)."""
    ratio = softplus_ratio(x)
    return ratio * (sigmoid(-x) - ratio)


def binary_cost(yes, no, score):
    """yes softplus(-score) + no softplus(score), where nothing times infinity is nothing."""
    above = no * max(score, 0) if no != 0 else 0 * no
    below = yes * max(-score, 0) if yes != 0 else 0 * yes
    return above + below + (yes + no) * softplus(-abs(score))


def gaussian_changes(difference, raw, v_mean, v_raw):
    """How d p and (σ d² - σ / p) / 2, the slopes of a Gaussian's -log density in its mean and raw precision r, change.

    With p = softplus(r), σ = σ(r), d the mean less the target; along v_mean and v_raw.
    """
    slope = sigmoid(raw)
    bend = slope * sigmoid(-raw) * difference * difference - ratio_slope(raw)
    of_mean = softplus(raw) * v_mean + slope * difference * v_raw
    return of_mean, slope * difference * v_mean + bend * v_raw / 2


def floored_softplus(x):
    """softplus(x) + 1e-6: a variance or standard deviation by which one may divide."""
    return softplus(x) + FLOOR


def floored_ratio(x):
    """σ(x) / (softplus(x) + 1e-6), the derivative of log floored_softplus."""
    return sigmoid(x) / floored_softplus(x)


def power_changes(difference, raw, power, v_mean, v_raw):
    """How d p and a' (p d² - 1) / 2, the slopes of a Gaussian's -log density in its mean and raw r, change.

    With the precision p = exp(a), a = power log(softplus(r) + 1e-6), d the mean less the target; along v_mean, v_raw.
    """
    ratio = floored_ratio(raw)
    slope, bend = power * ratio, power * ratio * (sigmoid(-raw) - ratio)
    p = np.exp(power * np.log(floored_softplus(raw)))
    square = p * difference * difference
    of_mean = p * v_mean + slope * p * difference * v_raw
    return of_mean, slope * p * difference * v_mean + (bend * (square - 1) + slope * slope * square) / 2 * v_raw
