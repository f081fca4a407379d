"""Shares of minibatches in a step that adds up their gradients, so that their mean is that of one large minibatch."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ...modules.losses.label_loss import LabelLoss
from ...modules.losses.loss import Loss

if TYPE_CHECKING:
    from .minibatches import Epoch


def compute_shares(counts: np.ndarray, starts: np.ndarray, steps: np.ndarray, loss: Loss) -> np.ndarray:
    """Compute the share of each minibatch among what counts in its step, and 1 for the last one of a step, else 0.

        share = Σₙ counts[n] over the minibatch / Σₙ counts[n] over the step,   or 1 for a loss that is a sum

    Shapes: counts (N,) of the samples in order; starts (M,): the first place of each minibatch; steps (M,): the number
        of its step; the result (M, 2).
    """
    is_last = np.append(steps[1:] != steps[:-1], True)
    if not averages(loss):
        return np.stack([np.ones(len(starts)), is_last], axis=1)
    sums = np.add.reduceat(counts, starts)
    wholes = np.bincount(steps, sums)[steps]
    return np.stack([np.divide(sums, wholes, out=np.zeros(len(sums)), where=wholes > 0), is_last], axis=1)


def give_shares(epoch: "Epoch", loss: Loss) -> None:
    """Give an epoch whose steps accumulate gradients the shares of its minibatches."""
    counts = count_each(loss, epoch.data.y, epoch.order, epoch.weights)
    epoch.shares = compute_shares(counts, epoch.starts, epoch.step_numbers, loss)


def count_each(loss: Loss, y: np.ndarray, rows: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """What counts of each sample in the mean of a loss (N,); the targets are read only if that depends on them."""
    known = type(loss).count_each in (Loss.count_each, LabelLoss.count_each)
    depends = any(getattr(loss, name, None) is not None for name in ("class_weights", "ignore_index"))
    target = y[rows] if depends or not known else np.broadcast_to(y[:1], (len(rows), *y.shape[1:]))
    return loss.count_each(target, None if weights is None else weights[rows])


def averages(loss: Loss) -> bool:
    """Whether a loss is a mean."""
    return all(part.averages for part in loss.all_modules() if isinstance(part, Loss))


def check_accumulation(loss: Any, accumulate: int, who: str = "Trainer", name: str = "accumulate") -> None:
    """Raise ValueError for a loss whose gradients of minibatches do not add up to that of all their samples."""
    parts = [part for part in loss.all_modules() if isinstance(part, Loss)]
    if accumulate == 1 or len(parts) == 1:
        return
    if len({part.averages for part in parts}) > 1:
        raise ValueError(f"{who}: {name} is {accumulate}, expected 1, as {loss.label()} adds means and sums")
    for part in parts:
        if isinstance(part, LabelLoss) and (part.ignore_index, part.class_weights) != (None, None):
            reason = f"{part.label()}, a part of the loss, is a mean over labels of its own"
            raise ValueError(f"{who}: {name} is {accumulate}, expected 1, as {reason}")
