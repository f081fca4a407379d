"""Patterns in which a wrong gradient differs from the right one: permuted, flipped, shifted, or without one term.

Each pattern is tried on the numbers; the sentence names the pattern and asks for the mistake that usually causes it.
"""

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np

PLACES = 1e-5  # of the largest element: what two equal arrays may differ by, where one comes from differences


def find_pattern(actual: np.ndarray, right: np.ndarray, y: np.ndarray | None = None) -> str:
    """The first pattern that fits, as the end of a sentence about the gradient; empty if none does.

    Args: actual, right: what bprop gives and what it should; y: the output, for the gradient of an input of its shape.
    """
    for text, other in iterate_rearranged(actual):
        if is_close(other, right):
            return text
    wrong = ~np.isclose(actual, right, 0, PLACES * max_abs(right))
    if wrong.sum() == 1 and wrong.size > 2 and wrong.flat[-1]:
        return "is right but for its last element: does a loop end too early?"
    if y is None:
        return ""
    missing = actual - right
    terms = (text for text, term in iterate_missing_terms(missing, y) if is_close(missing, term, max_abs(missing)))
    return next(terms, "")


def is_close(a: np.ndarray, b: np.ndarray, size: float | None = None) -> bool:
    """Whether two arrays are equal, up to the error of finite differences."""
    return bool(np.allclose(a, b, 0, PLACES * (max_abs(b) if size is None else size)))


def max_abs(array: np.ndarray) -> float:
    """Compute the largest absolute value."""
    return float(np.abs(array).max(initial=0.0))


def iterate_rearranged(actual: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Iterate over transposed, flipped and rolled gradients, each with the sentence for it."""
    axes = range(actual.ndim)
    for order in permutations(axes):
        if order != tuple(axes) and actual.transpose(order).shape == actual.shape:
            exchanged = " and ".join(str(axis) for axis in axes if order[axis] != axis)
            yield f"has its axes {exchanged} exchanged", actual.transpose(order)
    for count in range(1, min(actual.ndim, 3) + 1):
        for chosen in combinations(axes, count):
            if all(actual.shape[axis] > 1 for axis in chosen):
                names = f"its {'axes' if count > 1 else 'axis'} {' and '.join(map(str, chosen))}"
                yield f"is turned round along {names}: is an index k where n - 1 - k belongs?", np.flip(actual, chosen)
    for axis in axes:
        for step in (1, -1) if actual.shape[axis] > 2 else ():
            yield f"is shifted by one along its axis {axis}: is an index off by one?", np.roll(actual, step, axis)


def iterate_missing_terms(missing: np.ndarray, y: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Iterate over simple terms that a gradient of x may lack, fitted to the difference, with their sentences."""
    rest = tuple(range(1, missing.ndim))
    channels = (0, *range(2, missing.ndim))
    if len(missing) > 1:
        text = "lacks a term that is the same for all samples: is the path through a mean over the batch forgotten?"
        for axes in dict.fromkeys(((0,), channels)):
            yield text, np.broadcast_to(missing.mean(axis=axes, keepdims=True), missing.shape)
    if missing[0].size > 1:
        text = "lacks a number that each sample has throughout: is the path through a sum over the sample forgotten?"
        yield text, np.broadcast_to(missing.mean(axis=rest, keepdims=True), missing.shape)
    if y.shape != missing.shape:
        return
    if len(missing) > 2:
        text = "lacks a multiple of y for each feature: is the path through a variance over the batch forgotten?"
        for axes in dict.fromkeys(((0,), channels)):
            yield text, fit_term(missing, y - y.mean(axis=axes, keepdims=True), axes)
    if missing[0].size > 2:
        text = "lacks a multiple of y for each sample: is a term y Σ grad_y y forgotten, as of a softmax or a norm?"
        yield text, fit_term(missing, y, rest)


def fit_term(missing: np.ndarray, term: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Fit multiples of `term` by least squares, one for all elements along `axes`."""
    square = (term * term).sum(axis=axes, keepdims=True)
    return term * ((missing * term).sum(axis=axes, keepdims=True) / np.where(square > 0, square, 1))
