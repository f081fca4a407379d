"""Inference with a trained run: its metrics on data, and its predictions for new inputs."""

import contextlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...datasets import Dataset, ImageFolder, Preprocessing, load_vocabulary
from ...datasets.array_files import read_named
from ...datasets.columns import read_numbers as numbers_in
from ...datasets.files.csv_table import MISSING_VALUES, Spelling, decode_text, find_delimiter, parse_csv
from ...datasets.files.image_files import SUFFIXES, find_images, read_image
from ...datasets.files.npy import name_damage
from ...datasets.files.paths import expand_path
from ...datasets.preprocessing import ClassTarget
from ...datasets.sequences.sequence_parts import SequenceDataset
from ...modules.losses.distributions import Bernoulli, Categorical
from ...modules.losses.multi_loss import MultiLoss
from ..callbacks.csv_log import format_csv
from ..configs import Config, Experiment, load_config
from ..files.data_digests import check_same_data
from ..files.weights_file import read_weights
from ..metrics.probabilities import compute_means, find_distribution
from ..optimizers import SGD
from ..parallel.job import find_ranks
from ..parallel.reading import read_and_send, read_for_all
from ..parallel.shared_data import Receive
from ..training.trainer import Trainer
from .json_inputs import is_json, read_json_samples
from .run_folder import VOCABULARY, WEIGHTS, find_config_file
from .sequence_inputs import NPY, ZIP, make_minibatch, open_as_file, read_sequences
from .target_scaling import TargetScaling
from .trust import restrict_to_trusted

OTHER_DATA = "; an override of the data set or --other-data evaluates on what there is now"
Part = Literal["train", "valid", "test"]
INPUTS = "an .npy array, named arrays in .npz, lists in JSON, a table in CSV or an image"
IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")


def evaluate_run(
    folder: Path,
    overrides: Iterable[str] = (),
    part: Part | None = None,
    weights: Path | None = None,
    *,
    other_data: bool = False,
) -> dict[str, Any]:
    """Loss and metrics of a run's weights on a part of its data.

    Args: overrides: of the data set alone; rows of a table are encoded as in the training; part: by default test, or
        valid where there is no test part; weights: another file of weights than the run's; other_data: allow data that
        have changed since the training, as overrides do.
    Errors: FileNotFoundError for a folder without a run or weights; ValueError for other overrides, a part that is not
        there, data that have changed, and weights that do not fit.
    """
    folder, overrides, ranks = expand_path(folder), list(overrides), find_ranks()

    def read(receive: Receive | None) -> tuple[Experiment, str]:
        with restrict_to_trusted(folder):
            experiment = rebuild_run("evaluate", folder, overrides, weights, receive)
        data = experiment.dataset
        with note_moved_data():
            name = choose_part("evaluate", data, part)
        if not (overrides or other_data or getattr(data, name).received):
            check_same_data("evaluate", folder, name, getattr(data, name), OTHER_DATA)
        return experiment, name

    what = "building what the run's config describes, and reading its data"
    found = read(None) if ranks is None else read_for_all(ranks, read, lambda found: found[0].dataset, what)
    (experiment, name), data = found, found[0].dataset
    trainer = Trainer(experiment.model, experiment.loss, SGD(lr=0.0), rule=experiment.rule, quiet=True)
    figures = trainer.evaluate(getattr(data, name), metrics=experiment.settings.get("metrics"))
    return {f"{name}_{figure}": value for figure, value in figures.items()} | {"samples": len(getattr(data, name))}


def rebuild_run(
    who: str,
    folder: Path,
    overrides: Iterable[str] = (),
    weights: Path | None = None,
    receive: Receive | None = None,
) -> Experiment:
    """Build the objects of a run's config, the model with the run's weights; errors as of `evaluate_run`.

    Args: receive: writes into the data set what rank 0 has read.
    """
    folder = expand_path(folder)
    wrong = [override for override in overrides if not override.startswith("dataset")]
    if wrong:
        raise ValueError(f"{who}: {wrong[0]} is not about the data, expected dataset.NAME.key=value alone")
    config = load_config(find_config_file(folder), overrides)
    fitted = folder / "preprocessing.json"
    words = folder / VOCABULARY
    preprocessing = Preprocessing.load(fitted) if fitted.exists() else None
    experiment = config.build(preprocessing, load_vocabulary(words) if words.exists() else None, receive)
    load_weights(experiment.model, folder, weights)
    check_classes(who, experiment.dataset, folder)
    return experiment


@contextlib.contextmanager
def note_moved_data() -> Iterator[None]:
    """Context that adds to the error of a data file that is not there how a command finds it elsewhere."""
    try:
        yield
    except FileNotFoundError as error:
        error.add_note("data that have moved since the training are found by dataset.NAME.key=PATH")
        raise


def check_classes(who: str, data: Dataset, folder: Path) -> None:
    """Raise ValueError for folders of images whose classes are not those of the training, in their order."""
    known = read_target_scaling(folder).class_names if isinstance(data, ImageFolder) else None
    if known is not None and isinstance(data, ImageFolder) and list(data.class_names) != known:
        raise ValueError(
            f"{who}: {data.root} has the classes {', '.join(data.class_names)}, expected {', '.join(known)}"
        )


def choose_part(who: str, data: Dataset, part: Part | None) -> str:
    """Choose a part that a data set has: by default test, or valid where there is no test part."""
    name = part or ("test" if data.test is not None else "valid")
    if getattr(data, name) is None:
        raise ValueError(f"{who}: {type(data).__name__} has no {name} part")
    return name


def read_target_scaling(folder: Path) -> TargetScaling:
    """Read the target scaling of a run's data."""
    return TargetScaling.from_notes(read_weights(folder / WEIGHTS)[1])


def load_weights(model, folder: Path, weights: Path | None = None) -> None:
    """Load a run's weights into a model; FileNotFoundError if there are none yet, ValueError for another model's."""
    path = expand_path(weights or folder / WEIGHTS)
    if not path.is_file():
        hint = "" if weights else f"; 'bprop resume {folder}' ends a training that was stopped"
        raise FileNotFoundError(f"there is no {path}{hint}")
    try:
        arrays, _ = read_weights(path)
    except ValueError as error:
        if weights is None:
            error.add_note(f"'bprop resume {folder}' writes it again from the last checkpoint")
        raise
    try:
        model.load_state_dict(arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@dataclass(frozen=True)
class Predictions:
    """A model's outputs for some inputs, and what they say: named columns, a row a sample."""

    outputs: np.ndarray
    columns: dict[str, list]

    def csv(self) -> str:
        """Format the columns as CSV."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in zip(*self.columns.values(), strict=True)]
        return format_csv(list(self.columns), rows, header=True)


def predict_run(folder: Path, source: Path | bytes, weights: Path | None = None) -> Predictions:
    """What a run's model says of new inputs; its data set is not read.

    Args: source: a file or its content: an .npy array (N, ...) at the data set's original scale, an .npz file with
        the arrays that the run's NpzDataset calls x (else one called x), lists of numbers in JSON, a list for each
        sample, a table in CSV that is encoded by the run's preprocessing (without one: a sample of numbers a row), or
        an image by Pillow; or a folder of images, whose names are then a column. Of a run on sequences: see
        `read_sequences`. On several ranks that of rank 0, which alone reads it.
    Errors: FileNotFoundError, with what was expected; ValueError for inputs that are empty or do not fit.
    """
    folder, ranks = expand_path(folder), find_ranks()
    with restrict_to_trusted(folder):
        config = load_config(find_config_file(folder))
        (model, loss), rule = config.build_net(), config.build_rule()
    load_weights(model, folder, weights)
    fitted = folder / "preprocessing.json"
    preprocessing = Preprocessing.load(fitted) if fitted.exists() else None
    units = read_target_scaling(folder)

    def read() -> tuple[np.ndarray, np.ndarray | None, dict[str, list]]:
        return read_samples(source, config, model, preprocessing, units)

    x, lengths, files = read() if ranks is None else read_and_send(ranks, read, "reading the input")
    outputs = Trainer(model, loss, SGD(lr=0.0), rule=rule, quiet=True).predict(x, lengths)
    columns = make_columns(loss, outputs, preprocessing, units)
    if lengths is not None and outputs.ndim == 3:
        columns = clear_padded(columns, lengths, outputs.shape[1])
    return Predictions(outputs, files | columns)


def read_samples(
    source: Path | bytes, config: Config, model: Any, preprocessing: Preprocessing | None, units: TargetScaling
) -> tuple[np.ndarray, np.ndarray | None, dict[str, list]]:
    """Read what a model gets of new inputs: x (N, ...), the lengths of sequences or None, and columns that name them.

    Args: source: as of `predict_run`.
    """
    if isinstance(source, Path) and source.is_dir():
        paths, background = find_images(source), find_background(config)
        x = np.concatenate([prepare_image(path.read_bytes(), str(path), units, background) for path in paths])
        files = {"file": [path.relative_to(source).as_posix() for path in paths]}
        return x.reshape(find_fitting_shape(model, x)), None, files
    name, content = ("the input", source) if isinstance(source, bytes) else (str(source), read_content(source))
    if not content:
        raise ValueError(f"{name} is empty, expected {INPUTS}")
    dataset = config.specs["dataset"]
    if isinstance(dataset.cls, type) and issubclass(dataset.cls, SequenceDataset):
        sequences, files = read_sequences(content, name, dataset.cls, dataset.arguments, units)
        x, lengths = make_minibatch(sequences, units, model, name)
        return (x.reshape(find_fitting_shape(model, x)) if lengths is None else x), lengths, files
    x = read_inputs(content, name, config, preprocessing, units)
    return x.reshape(find_fitting_shape(model, x)), None, {}


def read_content(path: Path) -> bytes:
    """Read a file of inputs; FileNotFoundError if there is none."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no {path}, expected {INPUTS}, or a folder of images") from None


def read_inputs(content: bytes, name: str, config: Config, preprocessing, units: TargetScaling) -> np.ndarray:
    """Read the inputs (N, ...) of the model from the content of a file."""
    is_image = content.startswith(IMAGES) or Path(name).suffix.lower() in SUFFIXES
    other = is_image or is_json(content, name) or content.startswith((NPY, ZIP))
    if preprocessing is not None and other:
        columns = ", ".join(column.name for column in preprocessing.columns)
        raise ValueError(f"{name}: the run was trained on a table, expected a CSV file with the columns {columns}")
    if content.startswith(NPY):
        with name_damage(name, ".npy"):
            array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        if array.dtype.kind not in "biuf" or array.ndim < 1:
            raise ValueError(f"{name}: an array of {array.dtype} {array.shape}, expected numbers (N, ...)")
        return units.inputs(array)
    if is_image:
        return prepare_image(content, name, units, find_background(config))
    if preprocessing is None and is_json(content, name):
        return units.inputs(read_json_samples(content, name, units.shape))
    table = config.specs["dataset"].arguments
    if content.startswith(ZIP):
        with open_as_file(content) as path:
            try:
                return units.inputs(read_named(path, table.get("x", "x")))
            except ValueError as error:
                raise ValueError(str(error).replace(str(path), name, 1)) from None
    if preprocessing is not None:
        text = decode_text(name, content, table.get("encoding", "utf-8"))
        options = {key: table[key] for key in ("header", "delimiter") if key in table}
        spelling = Spelling(table.get("decimal", "."), table.get("thousands"))
        return preprocessing.transform(parse_csv(name, text, spelling=spelling, **options))
    return units.inputs(read_plain_table(content, name))


def read_plain_table(content: bytes, name: str) -> np.ndarray:
    """Read rows of numbers (N, features); a first row in which no cell is a number names the columns."""
    try:
        text = decode_text(name, content)
    except ValueError:
        raise ValueError(f"{name}: expected {INPUTS}") from None
    table = parse_csv(name, text, header=None, delimiter=find_delimiter(text))
    return np.stack([numbers_in(table, column, MISSING_VALUES, None) for column in table.names], axis=1)


def find_background(config: Config) -> str:
    """Find the colour that the data set of a run puts behind transparent images."""
    return config.specs["dataset"].arguments.get("background", "white")


def prepare_image(content: bytes, name: str, units: TargetScaling, background: str) -> np.ndarray:
    """Convert one image (1, C, H, W) as the data set does: to its bytes, or to 0 to 1 where it has none.

    It is grey or coloured as those of the training, and scaled to their size if they were.
    """
    shape = tuple(units.shape or ())
    channels = shape[0] if len(shape) == 3 and shape[0] in (1, 3) else None
    size = (shape[1], shape[2]) if channels and units.scales_pictures else None
    pixels = read_image(content, name, channels, size, background)
    if units.shape and (pixels.size != np.prod(shape) or (channels and pixels.shape != shape)):
        raise ValueError(f"{name}: an image of shape {pixels.shape}, expected {shape} as in the training")
    if np.any(units.mean) or np.any(np.not_equal(units.std, 1)):
        raise ValueError(f"{name}: an image, but the inputs of this run are standardised, expected an .npy array")
    x = pixels[None].astype(np.float32)
    return units.inputs(x) if units.of_bytes and units.scale == 1 / 255 else x / 255


def find_fitting_shape(model, x: np.ndarray) -> tuple[int, ...]:
    """Find a shape that the model takes: as it is, flat, or one sample without its axis."""
    shapes = [x.shape, (1, *x.shape), (len(x), int(np.prod(x.shape[1:])))]
    problem: ValueError | None = None
    for shape in shapes:
        try:
            model.output_shape(shape)
        except ValueError as error:
            problem = problem or error
        else:
            return shape
    assert problem is not None
    raise ValueError(f"predict: {problem}") from None


def make_columns(loss, outputs: np.ndarray, preprocessing, units: TargetScaling) -> dict[str, list]:
    """Make named columns of outputs: classes and probabilities, or numbers at the original scale.

    Of a MultiLoss whose parts have names, what each part says, its name in front.
    """
    parts = loss.named_parts() if isinstance(loss, MultiLoss) and outputs.ndim == 2 else {}
    if parts:
        by_part = {
            name: make_columns(part.loss, part.select_outputs(outputs), None, TargetScaling())
            for name, part in parts.items()
        }
        return {f"{name}_{column}": values for name, columns in by_part.items() for column, values in columns.items()}
    distribution = find_distribution(loss, outputs)
    if isinstance(distribution, Bernoulli):
        p = distribution.probabilities.reshape(len(outputs), -1)
        classes = np.asarray(distribution.classes()).reshape(p.shape)
        ends = [""] if p.shape[1] == 1 else range(p.shape[1])
        columns = {f"class{end}": classes[:, k].tolist() for k, end in enumerate(ends)}
        return columns | {f"p{end}": format_numbers(p[:, k]) for k, end in enumerate(ends)}
    if isinstance(distribution, Categorical) and outputs.ndim == 2:
        p, target = distribution.probabilities, getattr(preprocessing, "target", None)
        names = list(target.classes) if isinstance(target, ClassTarget) else units.class_names
        names = list(range(p.shape[1])) if names is None or len(names) != p.shape[1] else names
        columns = {"class": [names[k] for k in distribution.classes()]}
        return columns | {f"p_{name}": format_numbers(p[:, k]) for k, name in enumerate(names)}
    if isinstance(distribution, Categorical):  # of each token, or each pixel
        classes, names = np.asarray(distribution.classes()).reshape(len(outputs), -1), units.class_names
        if names is not None and len(names) == distribution.probabilities.shape[-1]:
            classes = np.array(names, object)[classes]
        return {f"class{k}": classes[:, k].tolist() for k in range(classes.shape[1])}
    y = compute_means(loss, outputs).reshape(len(outputs), -1).astype(np.float64)
    y = np.asarray(preprocessing.restore(y)) if preprocessing else y * units.target_std + units.target_mean
    return {f"y{k}" if y.shape[1] > 1 else "y": format_numbers(y[:, k]) for k in range(y.shape[1])}


def clear_padded(columns: dict[str, list], lengths: np.ndarray, steps: int) -> dict[str, list]:
    """Empty the columns of steps beyond a sequence's length; names end with the number of an output, step by step."""
    families: dict[str, list[str]] = {}
    for name in columns:
        families.setdefault(name.rstrip("0123456789"), []).append(name)
    cleared = {}
    for names in families.values():
        for k, name in enumerate(names):
            step = k * steps // len(names)
            cleared[name] = [
                value if step < length else "" for value, length in zip(columns[name], lengths, strict=True)
            ]
    return {name: cleared[name] for name in columns}


def format_numbers(values: np.ndarray) -> list[str]:
    """Format numbers in the digits of float32."""
    return [str(value) for value in values.astype(np.float32)]
