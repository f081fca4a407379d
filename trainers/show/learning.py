"""How a model learns: curves of a run or of a short training, and what it gets wrong then."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ..plots.classes import compute_confusion, find_mistakes
from ..plots.histories import Curves
from ..plots.trained_run import TrainedRun, UnsuitableRun
from .arrays import Arrays
from .subject import Subject

SAMPLES = 1_000  # of a part that are tried
MISTAKES, POINTS = 12, 400
MOST_CLASSES = 40
LARGEST = 4_096  # numbers of a sample that is shown


class TriedModel(TrainedRun):
    """A model and a part of its data, for the functions of plots: the first samples of the part alone."""

    def __init__(self, subject: Subject, name: str, data: ArrayDataset):
        vars(self)["experiment"] = SimpleNamespace(
            model=subject.trained or subject.net, loss=subject.loss, dataset=subject.dataset, rule=None
        )
        vars(self)["part"] = name
        self.few = data.take(slice(0, SAMPLES))

    @property
    def model(self) -> Any:
        return self.experiment.model.copy().eval()

    @property
    def data(self) -> ArrayDataset:
        return self.few


def record_learning(subject: Subject, frames: list[dict[str, Any]], arrays: Arrays) -> dict[str, Any]:
    """Record curves, the confusion of classes and the worst mistakes, or predictions beside targets."""
    learning: dict[str, Any] = {"curves": record_curves(subject, frames)}
    learning["time"] = "step" if subject.folder is None else "epoch"
    if subject.data is None:
        return learning
    tried = choose_part(subject)
    learning["part"], learning["samples"] = tried.part, len(tried.data)
    learning["trained"] = "the run" if subject.folder is not None else f"{len(frames)} steps"
    if not frames:
        return learning
    try:
        counts = compute_confusion(tried)
        learning["classes"] = [str(name) for name in tried.class_names(len(counts))]
        learning["accuracy"] = float(np.trace(counts) / max(1, counts.sum()))
        learning["confusion"] = counts.tolist() if len(counts) <= MOST_CLASSES else None
        learning["mistakes"] = record_mistakes(tried, arrays)
    except UnsuitableRun:
        y, target = tried.outputs, tried.data.y
        if y.shape == target.shape and y.dtype.kind == target.dtype.kind == "f":
            learning["points"] = {
                "output": arrays.add("predictions", y.ravel()[:POINTS]),
                "target": arrays.add("targets", target.ravel()[:POINTS]),
            }
    return learning


def choose_part(subject: Subject) -> TriedModel:
    """Choose the validation part, the test part where there is none, else the training part."""
    for name in ("valid", "test"):
        part = getattr(subject.dataset, name)
        if part is not None:
            return TriedModel(subject, name, part)
    return TriedModel(subject, "train", subject.dataset.train)


def record_mistakes(tried: TriedModel, arrays: Arrays) -> list[dict[str, Any]]:
    """Record the worst mistakes: the samples, what they are and what the model says."""
    try:
        rows, guesses, texts = find_mistakes(tried)
    except UnsuitableRun:
        return []
    names = tried.class_names(tried.outputs.shape[-1])
    mistakes = []
    for row, guess, text in zip(rows[:MISTAKES], guesses, texts, strict=False):
        x = tried.data.values(np.array([row]))[0]
        shown = arrays.add(f"sample {row}", x) if x.size <= LARGEST else None
        said = f"{names[guess]}{text}"
        mistakes.append({"row": int(row), "x": shown, "says": said, "is": names[int(tried.data.y[row])]})
    return mistakes


def record_curves(subject: Subject, frames: list[dict[str, Any]]) -> dict[str, Any]:
    """The columns of a run's metrics.csv, or the loss by step of the short training."""
    if subject.folder is not None:
        try:
            curves = Curves.read(subject.folder, "")
        except UnsuitableRun as error:
            subject.notes.append(str(error))
            return {}
        columns = {name: values.tolist() for name, values in curves.columns.items() if name not in ("seconds",)}
        return {"time": curves.time, "columns": columns}
    if not frames:
        return {}
    return {"time": "step", "columns": {"step": [f["step"] for f in frames], "train_loss": [f["loss"] for f in frames]}}
