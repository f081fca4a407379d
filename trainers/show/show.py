"""Pages of models: of Python's objects, of configs and of run folders."""

from pathlib import Path
from typing import Any

import numpy as np

from ...modules.core.module import Module
from ...modules.losses.loss import Loss
from ..optimizers import Optimizer
from .arrays import Arrays
from .diagram import describe_diagram
from .frames import record_frames
from .jacobians import record_jacobians
from .learning import record_learning
from .page import Page, make_page
from .play import describe_play
from .quotients import record_quotients
from .subject import Subject, copy_batch, read_subject, take_arrays
from .walk import record_update, record_walk

STEPS = 30  # of the short training that a page of a config shows


def show_net(net: Module, loss: Loss, x: Any, target: Any, optimizer: Optimizer | None = None) -> Page:
    """Make the page of a training step of a model on one minibatch; a notebook shows it.

        show_net(net, SoftmaxCrossEntropy(), x[:1], labels[:1], SGD(lr=0.1)).save("net.html")

    The step is that of copies: model, loss and optimizer stay as they are. Methods run as plain Python, each line of
    `fprop`, `bprop` and `update` with what it makes.

    Shapes: x and target as the model and the loss take them, a minibatch, best of one sample.
    Errors: ValueError for arrays that do not fit, and for a model of several outputs.
    """
    copies = net.copy(), loss.copy(), None if optimizer is None else optimizer.copy()
    subject = Subject(net.outline(), *copies, None, None)
    take_arrays(subject, x, target)
    return show_subject(subject, steps=0)


def show_config(
    source: str | Path,
    overrides: list[str] | tuple[str, ...] = (),
    *,
    sample: int = 0,
    part: str | None = None,
    steps: int = STEPS,
) -> Page:
    """Make the page of a config, or of a run folder with its trained weights, on one sample of its data.

    Args: source: path or name of a config, or a run folder; overrides: `key.path=value` each; sample: row of the part;
        part: train, valid or test, by default train; steps: of a short training from the weights of a config, whose
        norms the page shows: 0 for none.
    Errors: ConfigError, and ValueError for a sample or part that is not there, for a negative number of steps.
    """
    if steps < 0:
        raise ValueError(f"show: steps is {steps}, expected at least 0")
    return show_subject(read_subject(source, list(overrides), sample, part), steps)


def show_subject(subject: Subject, steps: int) -> Page:
    """Record a step on the subject's sample, and all else that its page shows."""
    data, generated = record_subject(subject, steps)
    return make_page(data, generated)


def record_subject(subject: Subject, steps: int) -> tuple[dict[str, Any], str]:
    """Record what a page shows, as values for JSON, and the script of the model's own functions."""
    arrays = Arrays()
    frames = record_frames(subject, steps)
    learning = record_learning(subject, frames, arrays)
    play, generated = describe_play(subject, arrays)
    net, loss = subject.net.copy(), subject.loss.copy()
    own = subject.optimizer or subject.full_batch
    optimizer = None
    if own is not None:
        optimizer = own.copy()
        optimizer.attach(net)
        optimizer.load_state_dict(own.state_dict() if subject.folder is not None else optimizer.state_dict())
    copies, counters = (net.copy(), loss.copy()), net.counters()
    walk = record_walk(net, loss, copy_batch(subject.x), copy_batch(subject.target), arrays)
    record_jacobians(walk, arrays)
    updates = record_update(walk, optimizer, arrays, (copy_batch(subject.x), copy_batch(subject.target), counters))
    quotients = record_quotients(walk, copies, copy_batch(subject.x), copy_batch(subject.target), counters)
    data = {
        "version": 1,
        "title": subject.title,
        "model": net.outline(),
        "notes": subject.notes,
        "config": subject.config,
        "training": bool(net.training),
        "dtype": str(net.dtype),
        "sample": describe_sample(subject),
        "loss": float(np.asarray(walk.values["loss"])),
        "y": walk.numbers[walk.y],
        "target": walk.numbers["target"],
        "modules": walk.modules,
        "steps": walk.steps,
        "parameters": walk.parameters,
        "quotients": quotients,
        "diagram": describe_diagram(subject),
        "frames": frames,
        "learning": learning,
        "play": play,
    }
    return data | arrays.as_dict(), f"{generated}\n{updates}"


def describe_sample(subject: Subject) -> dict[str, Any]:
    """Describe the sample: where it is from, its label, and the names of classes and tokens."""
    target, names = np.asarray(subject.target), subject.class_names
    label = None
    if target.size == 1:
        value = target.ravel()[0]
        label = f"{value:.6g}" if target.dtype.kind == "f" else str(int(value))
        if names and target.dtype.kind in "iu" and 0 <= int(value) < len(names):
            label = names[int(value)]
    return {
        "part": subject.part,
        "row": subject.sample,
        "label": label,
        "classes": names,
        "tokens": subject.token_names,
    }
