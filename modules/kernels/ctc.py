"""Connectionist temporal classification: the forward-backward algorithm on one sequence, in log space.

A path is a label or the blank for each step; it reads as the target if its repetitions, and then its blanks, are left
out. The states s = 0..2L are the target's labels with a blank before, between and after them. In each step the forward
and the backward variables are divided by the largest of them, so that float32 keeps the digits of sequences of any
length.
"""

import numpy as np

from .softmax import log_mass, log_share
from .sums import as_double

IMPOSSIBLE = -np.inf


def count_labels(target, padding):
    """The number of labels before the first `padding`."""
    count = 0
    while count < target.size and target[count] != padding:
        count += 1
    return count


def check_sequence(labels, count, blank, classes):
    """Raise ValueError for a label that is no class, or is the blank."""
    for k in range(count):
        if labels[k] < 0 or labels[k] >= classes or labels[k] == blank:
            raise ValueError("a label of a CTC target lies outside of 0..K-1, or is the blank")


def label_of(labels, state, blank):
    """The label of a state: blanks are even."""
    return labels[state // 2] if state % 2 else blank


def may_skip(labels, state):
    """Whether a path may reach a state from the last but one: over a blank that does not part two equal labels."""
    return state % 2 == 1 and state > 1 and labels[state // 2] != labels[state // 2 - 1]


def add_logs(a, b, c):
    """log(exp a + exp b + exp c)."""
    largest = max(a, b, c)
    if largest == IMPOSSIBLE:
        return largest
    return largest + np.log(np.exp(a - largest) + np.exp(b - largest) + np.exp(c - largest))


def subtract_largest(row):
    """Subtract the largest number of a row, and return it; -inf where there is none."""
    largest = row[0]
    for s in range(1, row.size):
        largest = max(largest, row[s])
    if largest != IMPOSSIBLE:
        for s in range(row.size):
            row[s] -= largest
    return largest


def write_log_shares(y, log_p):
    """log_p[t, k] = log softmax of the scores y[t]."""
    for t in range(y.shape[0]):
        largest, mass = log_mass(y[t])
        for k in range(y.shape[1]):
            log_p[t, k] = log_share(y[t, k], largest, mass)


def run_forward(log_p, labels, blank, alpha):
    """alpha[t, s]: log of the probability of all paths that are in state s at step t, over that of the likeliest.

    Returns the logarithm of the likeliests' product; -inf where no path is possible.
    """
    total, zero = np.float64(0), log_p.dtype.type(0)
    nothing = zero + log_p.dtype.type(IMPOSSIBLE)
    for s in range(alpha.shape[1]):
        alpha[0, s] = log_p[0, label_of(labels, s, blank)] if s < 2 else nothing
    total += as_double(subtract_largest(alpha[0]))
    for t in range(1, alpha.shape[0]):
        for s in range(alpha.shape[1]):
            before = alpha[t - 1, s - 1] if s > 0 else nothing
            skipped = alpha[t - 1, s - 2] if may_skip(labels, s) else nothing
            alpha[t, s] = log_p[t, label_of(labels, s, blank)] + add_logs(alpha[t - 1, s], before, skipped)
        total += as_double(subtract_largest(alpha[t]))
    return total


def step_back(log_p, labels, blank, beta, earlier):
    """The backward variables of the step before: beta[s] sums all ends of paths from state s on, without step t's own.

    log_p (K,): of step t, whose beta is given; writes earlier[s].
    """
    nothing = log_p.dtype.type(IMPOSSIBLE)
    for s in range(beta.size):
        stay = log_p[label_of(labels, s, blank)] + beta[s]
        move = log_p[label_of(labels, s + 1, blank)] + beta[s + 1] if s + 1 < beta.size else nothing
        skip = nothing
        if s + 2 < beta.size and may_skip(labels, s + 2):
            skip = log_p[label_of(labels, s + 2, blank)] + beta[s + 2]
        earlier[s] = add_logs(stay, move, skip)
    subtract_largest(earlier)


def write_gradient(log_p, labels, blank, alpha, beta, posterior):
    """Turn log_p of one step into the gradient softmax - P(label at this step | target); posterior is scratch."""
    total = log_p.dtype.type(0)
    largest = alpha[0] + beta[0]
    for s in range(beta.size):
        largest = max(largest, alpha[s] + beta[s])
    for s in range(beta.size):
        posterior[s] = np.exp(alpha[s] + beta[s] - largest)
        total += posterior[s]
    for k in range(log_p.size):
        log_p[k] = np.exp(log_p[k])
    for s in range(beta.size):
        log_p[label_of(labels, s, blank)] -= posterior[s] / total


def ctc(y, labels, blank, alpha, betas, grad_y):
    """-log P(labels | y) of scores y (T, K); writes its gradient.

    Args: labels (L,); alpha (T, 2L + 1) and betas (3, 2L + 1): scratch.
    Returns infinity where y has too few steps for the labels; the gradient is zero then.
    """
    steps, states = alpha.shape
    write_log_shares(y, grad_y)
    total = run_forward(grad_y, labels, blank, alpha)
    last = alpha[steps - 1]
    nothing = y.dtype.type(IMPOSSIBLE)
    end = add_logs(last[states - 1], last[states - 2] if states > 1 else nothing, nothing)
    if total == IMPOSSIBLE or end == IMPOSSIBLE:
        grad_y[:] = 0
        return np.float64(np.inf)
    for s in range(states):
        betas[steps % 2, s] = 0 if s >= states - 2 else IMPOSSIBLE
    for t in range(steps - 1, -1, -1):
        beta, earlier = betas[(t + 1) % 2], betas[t % 2]
        if t > 0:
            step_back(grad_y[t], labels, blank, beta, earlier)
        write_gradient(grad_y[t], labels, blank, alpha[t], beta, betas[2])
    return -(total + as_double(end))
