"""What a page shows: a model, its loss and optimizer, and one sample: from a config, a run or Python's objects."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ...modules.checks.minibatch_check import check_minibatch
from ...modules.core.carried_state import find_streams
from ...modules.core.module import Module
from ...modules.engine.entry_points import convert_input
from ...modules.engine.tables import map_table, shape_of
from ...modules.losses.loss import Loss
from ..configs import load_config
from ..files.checkpoints import read_checkpoint
from ..files.suggest import format_suggestion
from ..optimizers import Optimizer
from ..optimizers.full_batch import FullBatch
from ..runs.inference import load_weights, note_moved_data, rebuild_run
from ..runs.run_folder import find_config_file, read_summary
from ..runs.trust import restrict_to_trusted
from ..training.inputs import reads_whole_numbers

PARTS = ("train", "valid", "test")


@dataclass
class Subject:
    """A model, its loss and optimizer, one minibatch (x, target), and where they come from.

    `data` is the part of the data set that the sample is of, None for arrays of the caller's; `folder` that of a run;
    `trained` a copy of the model after a short training; `full_batch` the optimizer of a config that looks at all
    samples at once; `notes` say what is other than in a training.
    """

    title: str
    net: Module
    loss: Loss
    optimizer: Optimizer | None
    x: Any
    target: Any
    data: ArrayDataset | None = None
    part: str = ""
    sample: int | None = None
    dataset: Any = None
    config: str = ""
    seed: int = 0
    batch_size: int = 1
    folder: Path | None = None
    initial: Module | None = None  # of a run: the model before its training
    trained: Module | None = None  # a copy of the model after the short training
    full_batch: FullBatch | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def class_names(self) -> list[str] | None:
        """A name for each class, None where classes are numbers."""
        names = None if self.dataset is None else self.dataset.class_names
        return None if names is None else [str(name) for name in names]

    @property
    def token_names(self) -> list[str] | None:
        """A name for each token, None where the data have no vocabulary."""
        vocabulary = getattr(self.dataset, "vocabulary", None)
        return None if vocabulary is None else [str(name) for name in vocabulary.names]


def read_subject(source: str | Path, overrides: list[str], sample: int, part: str | None) -> Subject:
    """Read what a config or a run folder describes: of a run, the model as it was trained, and its optimizer's state.

    Errors: those of reading a config, a run and the data; ValueError for a sample or a part that is not there, for a
        model that is trained by no gradient of one loss, and for overrides of a run that are not about its data.
    """
    folder = Path(source)
    is_run = folder.is_dir()
    if is_run:
        with restrict_to_trusted(folder):
            config = load_config(find_config_file(folder), overrides)
            experiment = rebuild_run("show", folder, overrides)
    else:
        config = load_config(source, overrides)
        experiment = config.build()
    with note_moved_data() if is_run else contextlib.nullcontext():
        data = choose_data(experiment.dataset, part)
    name = folder.resolve().name if is_run or config.path is None else config.path.name
    subject = Subject(
        name,
        experiment.model,
        experiment.loss,
        None if isinstance(experiment.optimizer, FullBatch) else experiment.optimizer,
        None,
        None,
        data=data[1],
        part=data[0],
        sample=sample,
        dataset=experiment.dataset,
        config=config.resolved(),
        seed=config.seed,
        batch_size=experiment.settings.get("batch_size", 1),
        folder=folder if is_run else None,
    )
    if experiment.rule is not None:
        subject.notes.append(f"gradients are those of bprop, not of {experiment.rule.label()}")
    if isinstance(experiment.optimizer, FullBatch):
        subject.full_batch = experiment.optimizer
        what = "looks at all samples at once: its update is shown on this sample alone"
        subject.notes.append(f"{experiment.optimizer.label()} {what}")
    if is_run:
        load_optimizer(subject)
        with restrict_to_trusted(folder):
            subject.initial = config.build_net()[0]
    take_sample(subject)
    return subject


def choose_data(dataset: Any, part: str | None) -> tuple[str, ArrayDataset]:
    """Choose a part of a data set, by default the training part; ValueError if there is none."""
    name = part or "train"
    if name not in PARTS:
        raise ValueError(f"show: part is {name!r}, expected train, valid or test{format_suggestion(name, PARTS)}")
    data = getattr(dataset, name)
    if data is None:
        raise ValueError(f"show: {type(dataset).__name__} has no {name} part")
    return name, data


def load_optimizer(subject: Subject) -> None:
    """Load the state that the optimizer had at the end of a run, if its last checkpoint has it."""
    assert subject.folder is not None
    optimizer = subject.optimizer or subject.full_batch
    if optimizer is None:
        return
    try:
        state = read_checkpoint(subject.folder / "checkpoint")["optimizer"]
        optimizer.attach(subject.net)
        optimizer.load_state_dict(state)
    except (FileNotFoundError, ValueError, KeyError):
        subject.notes.append("the run has no checkpoint, so the optimizer's averages begin at zero")


def iterate_models(subject: Subject) -> Iterator[tuple[str, int, Module]]:
    """Iterate over (title, epoch, model) of a run: before its training, at the best epochs it has kept, at the end."""
    assert subject.folder is not None
    if subject.initial is not None:
        yield "the beginning", 0, subject.initial
    files = (subject.folder / "checkpoint" / "best").glob("epoch-*.safetensors")
    known = {int(path.stem[6:]): path for path in files if path.stem[6:].isdecimal() and not path.is_symlink()}
    for epoch, path in sorted(known.items()):
        model = subject.net.copy()
        load_weights(model, subject.folder, path)
        yield f"epoch {epoch}", epoch, model
    last = (read_summary(subject.folder) or {}).get("epochs")
    yield "the end", last if isinstance(last, int) else max(known, default=0) + 1, subject.net


def take_sample(subject: Subject) -> None:
    """Read the sample; as many more after it as a model needs that carries state of several streams."""
    data, first = subject.data, subject.sample
    assert data is not None
    assert first is not None
    if not 0 <= first < len(data):
        raise ValueError(f"show: sample is {first}, expected 0 to {len(data) - 1}, a row of the {subject.part} part")
    count = find_streams(subject.net) or 1
    rows = np.arange(first, first + count) % len(data)
    take_arrays(subject, data.inputs(rows, whole=reads_whole_numbers(subject.net, data)), data.y[rows])


def take_arrays(subject: Subject, x: Any, target: Any) -> None:
    """Take a minibatch, in the types that model and loss read, and choose the mode that allows it."""
    net, loss = subject.net, subject.loss
    subject.x = convert_input(net, 0, x)
    shape = net.one_output_shape(shape_of(subject.x))
    subject.target = convert_input(loss, 1, target, len(shape))
    loss.check_arguments(shape, np.shape(subject.target))
    loss.check_reduction("show")
    net.check_tokens(subject.x)
    net.train()
    try:
        check_minibatch(net, loss, shape_of(subject.x), np.asarray(subject.target), trial=False)
    except ValueError:
        net.eval()
        subject.notes.append("in evaluation mode, since in training mode this model needs more than one sample")


def copy_batch(value: Any) -> Any:
    """Copy the arrays of a minibatch."""
    return map_table(np.copy, value)
