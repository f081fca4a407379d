"""Begins a training with the weights of another: to fine-tune a net, or to classify by the features of an RBM."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ..files.suggest import format_suggestion
from ..files.weights_file import read_weights
from .callback import Callback


class InitialWeights(Callback):
    """Copies weights of a file to the model, before the first epoch; a resumed training has its own.

    An RBM's features in a classifier, whose first Linear stands at 1 as the RBM does in its run:

        InitialWeights("runs/rbm/model.safetensors", {"1.weight": "1.weight", "1.bias": "1.hidden_bias"})

    A group of the optimizer, Group(match="1.*", frozen=True), then leaves them as they are.

    Args: file: of weights in safetensors, such as a run's model.safetensors; names: the model's name of each array that
        is copied, and the file's; by default all of the model's arrays, by the same names.
    Errors: FileNotFoundError; ValueError for a file that is damaged, for names that the model or the file lacks, and
        for arrays of other shapes.
    """

    def __init__(self, file: str | Path, names: dict[str, str] | None = None):
        self.file, self.names = file, names

    def on_fit_start(self, trainer) -> None:
        if trainer.resumed or trainer.epoch > 0:
            return
        path = expand_path(self.file)
        if not path.is_file():
            raise FileNotFoundError(f"InitialWeights: there is no file {path}")
        arrays, _ = read_weights(path)
        own = trainer.model.state_dict(once=self.names is None)
        names = dict(zip(own, own, strict=True)) if self.names is None else self.names
        for name, other in names.items():
            check_name(name, own, "the model")
            check_name(other, arrays, str(path))
            if own[name].shape != arrays[other].shape:
                shapes = f"{name} of the model has shape {own[name].shape}, {other} of {path} {arrays[other].shape}"
                raise ValueError(f"InitialWeights: {shapes}")
            own[name] = arrays[other]
        trainer.model.load_state_dict(own)


def check_name(name: str, known: Mapping[str, Any], where: str) -> None:
    """Raise ValueError for a name that is not known."""
    if name not in known:
        listed = ", ".join(known)
        raise ValueError(f"InitialWeights: {where} has no {name!r}{format_suggestion(name, known)}; there are {listed}")
