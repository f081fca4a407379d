"""The state of a fit and of its epoch, which checkpoints contain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ..files.data_digests import compute_data_digests

Weights = dict[str, np.ndarray]  # by the paths of parameters and buffers


@dataclass
class EpochState:
    """The progress of an epoch, between two minibatches.

    done: the number of samples done; total: the sum of their losses; outputs: the model's outputs for them, (done, ...)
    or (0, ...) if no metric reads them; before: the weights at the start of the epoch; seconds: its time so far.
    """

    done: int
    total: float
    outputs: np.ndarray
    before: Weights
    seconds: float = 0.0


@dataclass
class FitState:
    """A `fit` that runs, or that a checkpoint was saved in.

    begun: the number of epochs done before it; epochs: the number done at its end; settings: those that a resumed
    training must keep; stopped: why it ends early; good: weights that are known to give a finite loss; place: the state
    of the epoch that runs, None between epochs; chunk: how many steps an epoch begins with at once; callbacks: the
    states of the callbacks of a fit that was loaded; data: the data set of each part. steps: how many it takes, None if
    it counts epochs; done: how many of them are done at the end of the last row of metrics; begun_step, begun_pass: the
    number of steps, and of passes over the data, before it; last_order: the order of the last pass, and which one.
    """

    begun: int
    epochs: int
    settings: dict[str, Any]
    stopped: str | None = None
    good: Weights | None = None
    place: EpochState | None = None
    chunk: int = 1
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    data: Mapping[str, ArrayDataset | None] = field(default_factory=dict)
    steps: int | None = None
    done: int = 0
    begun_step: int = 0
    begun_pass: int = 0
    last_order: tuple[Any, np.ndarray] | None = field(default=None, repr=False)

    @cached_property
    def digests(self) -> dict[str, Any]:
        """The digests of the data of each part, computed when first needed."""
        return {part: compute_data_digests(each) for part, each in self.data.items()}

    def state_dict(self, stopped: str | None, callbacks: list[dict[str, Any]]) -> dict[str, Any]:
        """The state for a checkpoint; the order of the samples is a function of seed and epoch."""
        return {
            "begun": self.begun,
            "epochs": self.epochs,
            "settings": self.settings | self.digests,
            "stopped": stopped,
            "good": self.good,
            "place": None if self.place is None else dict(vars(self.place)),
            "callbacks": callbacks,
            "steps": self.steps,
            "done": self.done,
            "begun_step": self.begun_step,
            "begun_pass": self.begun_pass,
        }


def read_fit_state(state: dict[str, Any] | None) -> FitState | None:
    """Restore a fit from `FitState.state_dict`; None for a checkpoint that was saved outside one."""
    if state is None:
        return None
    state = {"begun_pass": state["begun"]} | state  # older checkpoints count epochs alone
    return FitState(**state | {"place": None if state["place"] is None else EpochState(**state["place"])})
