"""Norms of activations, gradients, weights and updates of each module, at the steps of a short training or of a run.

A frame is one minibatch: what each module makes of it, and, where there is an optimizer, what the update changes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...datasets import epoch_order
from ...modules.core.carried_state import find_streams, reset_state
from ...modules.core.module import Module
from ...modules.display.drawing import get_short_path
from ...modules.display.recorded_passes import RecordedPasses
from ...modules.engine.entry_points import convert_input
from ...modules.engine.tables import shape_of
from ...modules.losses.loss import Loss
from ..callbacks.layerwise_step import LayerwiseStep, find_not_finite, record_backward, record_forward, record_update
from ..callbacks.statistics import compute_norm, root_mean_square
from ..optimizers import Optimizer
from ..training.inputs import reads_whole_numbers
from .subject import Subject, iterate_models

HISTOGRAMS = 8  # frames with histograms
BINS = 24
PROBE = 64  # samples of the minibatch on which the weights of a run are tried


def record_frames(subject: Subject, steps: int) -> list[dict[str, Any]]:
    """Record a frame for each step of a short training from a config's weights, or for each weights file of a run.

    The training is of a copy, which stands in the subject's place afterwards as `trained`; it leaves out schedules and
    augmentation. A minibatch whose values are not finite ends it.
    """
    if subject.data is None:
        return []
    if subject.folder is not None:
        return [*record_run(subject)]
    return [*record_training(subject, steps)] if steps else []


def record_training(subject: Subject, steps: int) -> Iterator[dict[str, Any]]:
    """Train a copy for some steps, a frame for each."""
    net, loss = subject.net.copy(), subject.loss.copy()
    optimizer = None if subject.optimizer is None else subject.optimizer.copy()
    subject.trained = net
    draw = Minibatches(subject)
    passes = RecordedPasses(net, draw(0)[0])
    shown = {round(k) for k in np.linspace(0, steps - 1, HISTOGRAMS)}
    for k in range(steps):
        step = run_step(net, loss, optimizer, passes, *draw(k))
        yield describe_frame(f"step {k + 1}", k + 1, step, net, histograms=k in shown)
        if step.problem is not None:
            subject.notes.append(f"the short training ends at step {k + 1}: {step.problem}")
            return


def record_run(subject: Subject) -> Iterator[dict[str, Any]]:
    """Try the weights of a run on one minibatch: the first ones, those of its best epochs, the last ones."""
    x, target = Minibatches(subject, PROBE)(0)
    for title, epoch, model in iterate_models(subject):
        net, loss = model.copy().train(subject.net.training), subject.loss.copy()
        step = run_step(net, loss, None, RecordedPasses(net, x), x, target)
        yield describe_frame(title, epoch, step, net, histograms=True)


class Minibatches:
    """The minibatches of a training, by the number of the step."""

    def __init__(self, subject: Subject, size: int | None = None):
        assert subject.data is not None
        self.net, self.loss, self.data, self.seed = subject.net, subject.loss, subject.data, subject.seed
        count = size or subject.batch_size
        self.size = min(find_streams(self.net) or count, len(self.data))
        self.whole = reads_whole_numbers(self.net, self.data)
        self.known: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))  # the order of the last pass

    def __call__(self, step: int) -> tuple[Any, Any]:
        """The minibatch (x, target) of a step, as model and loss take them."""
        in_pass = max(1, len(self.data) // self.size)
        epoch, first = step // in_pass, step % in_pass * self.size
        if self.known[0] != epoch:
            self.known = epoch, epoch_order(len(self.data), seed=self.seed, epoch=epoch)
        rows = self.known[1][first : first + self.size]
        x = convert_input(self.net, 0, self.data.inputs(rows, whole=self.whole))
        shape = self.net.one_output_shape(shape_of(x))
        return x, convert_input(self.loss, 1, self.data.y[rows], len(shape))


@np.errstate(all="ignore")
def run_step(
    net: Module, loss: Loss, optimizer: Optimizer | None, passes: RecordedPasses, x: Any, target: Any
) -> LayerwiseStep:
    """Run a compiled step module by module; it ends at what is not finite."""
    step = LayerwiseStep()
    net.zero_grad()
    reset_state(net)
    passes.run("fprop", "x", x)
    for operation in passes.forward:
        if operation.method == "fprop" and record_forward(step, operation.module, passes.values[operation.target]):
            return step
    step.loss = float(loss(passes.values[passes.y], target))
    if find_not_finite(step, np.array(step.loss), "the loss"):
        return step
    passes.run("bprop", "grad_y", loss.bprop())  # type: ignore[call-arg]
    record_backward(step, passes)
    if step.problem is None and optimizer is not None:
        record_update(step, net, optimizer)
    return step


def describe_frame(title: str, number: int, step: LayerwiseStep, net: Module, *, histograms: bool) -> dict[str, Any]:
    """Describe a step by the norms of each module's arrays, by the module's short path."""
    modules = {}
    for stage in step.stages:
        units = stage.y.reshape(len(stage.y), -1)
        weight, change = compute_norm(stage.before), compute_norm(stage.changes)
        modules[get_short_path(stage.module)] = {
            "output": root_mean_square(stage.y),
            "gradient": None if stage.grad_y is None else root_mean_square(stage.grad_y),
            "dead": float(np.mean(units.max(axis=0) == units.min(axis=0))) if len(units) > 1 else None,
            "weight": weight,
            "weight gradient": compute_norm(stage.gradients),
            "update": change / weight if weight and change is not None else None,
        }
    frame = {"title": title, "step": number, "loss": step.loss, "modules": modules}
    if histograms:
        gradients = dict(net.named_gradients())
        frame["histograms"] = {
            name: {"weights": count_bins(array), "gradients": count_bins(gradients[name])}
            for name, array in net.named_parameters()
        }
    return frame


def count_bins(array: np.ndarray) -> dict[str, Any] | None:
    """Count numbers in bins of equal width; None where they are not finite."""
    if not array.size or not np.isfinite(array).all():
        return None
    counts, edges = np.histogram(array, BINS)
    return {"low": float(edges[0]), "high": float(edges[-1]), "counts": counts.tolist()}
