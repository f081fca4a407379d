"""How far the updates of a learning rule are from the gradient: angle and ratio of sizes, layer by layer."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...datasets import epoch_order
from ...modules.core.module import Module
from ...modules.losses.loss import Loss
from ..callbacks.sample_weights import cast_sample_weights
from ..optimizers import SGD
from ..rules import Rule
from .compiled_step import CompiledStep
from .parts import TrainingParts

SAMPLES = 256  # of the training data, on which both are computed


class Alignment:
    """Compares what a rule leaves in the gradients with the gradient, on copies of a training's parts.

    Args: model, loss, rule: of a training, which do not change.
    """

    def __init__(self, model: Module, loss: Loss, rule: Rule):
        self.model, self.loss, self.rule = model, loss, rule
        self._version = -1

    def compare(self, *batch: np.ndarray) -> dict[str, tuple[float, float]]:
        """The angle in degrees and the ratio |update| / |gradient| of each layer with parameters, by its path.

        NaN where one of the two is zero.
        """
        pairs = self.compute_pairs(*batch)
        return {path: (compute_angle(*pair), compute_ratio(*pair)) for path, pair in pairs.items()}

    def compute_pairs(self, *batch: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The update and the gradient of each layer with parameters, as vectors in float64, by its path."""
        if self._version != self.model._version:
            self._net, self._loss, rule = self.model.copy(), self.loss.copy(), self.rule.copy()
            self._step = CompiledStep(self._net, self._loss, SGD(lr=0.0), rule=rule)
            self._version = self.model._version
        net, loss, step = self._net.train(), self._loss, self._step
        net.load_state_dict(self.model.state_dict())
        loss.load_state_dict(self.loss.state_dict())
        step.rule.load_state_dict(self.rule.state_dict())  # type: ignore[union-attr]
        batch = step.arrays(*batch)
        gradients = []
        for run in (lambda: run_backprop(net, loss, *batch), lambda: step(*batch)):
            net.load_counters(self.model.counters())
            loss.load_counters(self.loss.counters())
            run()
            gradients.append([np.concatenate(each) for each in iterate_gradients(net)])
        return dict(zip(list_paths(net), zip(gradients[1], gradients[0], strict=True), strict=True))


def run_backprop(net: Module, loss: Loss, x: np.ndarray, *targets: np.ndarray) -> None:
    """Compute the gradient of the loss."""
    net.zero_grad()
    loss(net.fprop(x), *targets)
    net.bprop(loss.bprop())  # type: ignore[call-arg]


def list_paths(net: Module) -> list[str]:
    """List the paths of the modules with parameters of their own."""
    return [path for path, module in net.named_modules() if module._parameters]


def iterate_gradients(net: Module) -> Iterator[list[np.ndarray]]:
    """Iterate over the gradients of those modules, as vectors in float64."""
    for _, module in net.named_modules():
        if module._parameters:
            yield [vars(module)[f"grad_{name}"].astype(np.float64).ravel() for name in module._parameters]


def compute_angle(a: np.ndarray, b: np.ndarray) -> float:
    """The angle between two vectors in degrees, NaN if one is zero."""
    sizes = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.degrees(np.arccos(np.clip(np.dot(a, b) / sizes, -1, 1)))) if sizes > 0 else float("nan")


def compute_ratio(a: np.ndarray, b: np.ndarray) -> float:
    """|a| / |b|, NaN if b is zero."""
    size = np.linalg.norm(b)
    return float(np.linalg.norm(a) / size) if size > 0 else float("nan")


def measure_alignment(trainer: TrainingParts, data: Any) -> dict[str, float]:
    """Make the columns `angle.PATH` and `ratio.PATH` of an epoch's row; none without a rule."""
    if trainer.alignment is None:
        return {}
    weights = cast_sample_weights(data, trainer.loss)
    rows = epoch_order(len(data), seed=trainer.seed, epoch=0)[:SAMPLES]
    compared = trainer.alignment.compare(*data[rows], *([] if weights is None else [weights[rows]]))
    angles = {f"angle.{path}": angle for path, (angle, _) in compared.items()}
    return angles | {f"ratio.{path}": ratio for path, (_, ratio) in compared.items()}
