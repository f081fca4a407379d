"""`bprop predict`: a run's predictions for new inputs."""

import argparse
import sys
import threading
from pathlib import Path
from typing import Any

from .command import OK, add_json_option, add_parser, add_run_argument, parse_path, print_json

DESCRIPTION = """\
Predict by a run's model: classes and their probabilities, or numbers at their original scale, as a table in CSV.

The input is an .npy array of samples at the data set's original scale, an .npz file with the arrays that the
run's NpzDataset calls x, lists of numbers in JSON, a table in CSV (encoded as in the training if it was trained on
one, otherwise rows of numbers), or an image (with Pillow: pip install 'bprop[image]'), which is made grey or
coloured as those of the training, and scaled as they were if their data set scales them. Of a run on text or words
it is a text: a row for each token has what the model expects next. Of a run on sequences of unequal lengths it is a
list of steps for each in JSON, an .npz file with x and lengths, a .ts file, or a table with a row for each step.
"""
MORE = """\
examples:
  bprop predict runs/x new.csv
  bprop predict runs/x digit.png
  bprop predict runs/x images/
      a row for each image of a folder
  echo '[[[0.5, 1.2], [0.7, 1.1]], [[0.1, 0.9]]]' | bprop predict runs/x -
      two sequences, of two steps and of one
  bprop predict runs/x x.npy --out y.npy
      the model's outputs as they are
  cat new.csv | bprop predict runs/x - > predictions.csv
"""
NOTICE = 20.0  # seconds after which a line says that the input has not ended


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "predict", run, "predict by a run's model", DESCRIPTION, MORE)
    add_run_argument(parser)
    kinds = "an .npy, .npz, .json, .csv or image file, a folder of images"
    parser.add_argument("input", metavar="INPUT", help=f"{kinds}, or - for what comes in")
    where = parser.add_mutually_exclusive_group()
    add_json_option(where)
    where.add_argument(
        "--out", type=parse_path, metavar="FILE", help="write a .csv, or the outputs as .npy, in place of printing"
    )
    parser.add_argument("--weights", type=parse_path, metavar="FILE", help="other weights than model.safetensors")


def run(arguments: argparse.Namespace) -> int:
    """Predict, and print or write the table."""
    from ...datasets.files.paths import expand_path
    from ..files.atomic_files import encode_text
    from ..parallel.job import find_ranks
    from ..runs.run_folder import find_config_file

    find_config_file(arguments.run)  # before it waits for what comes in
    if arguments.input == "-" and sys.stdin is None:  # closed by whoever started this process
        raise ValueError("predict: the input is -, but nothing can come in")
    ranks = find_ranks()
    source: Any = expand_path(arguments.input) if arguments.input != "-" else None
    predictions = predict(arguments.run, source, arguments.weights, ranks)
    if ranks is not None and not ranks.is_first:
        return OK
    if arguments.json:
        print_json(
            [
                dict(zip(predictions.columns, row, strict=True))
                for row in zip(*predictions.columns.values(), strict=True)
            ]
        )
    elif arguments.out is None:
        print(predictions.csv(), end="")
    elif arguments.out.suffix == ".npy":
        import numpy as np

        np.save(arguments.out, predictions.outputs)
    else:
        arguments.out.write_bytes(encode_text(predictions.csv()))
    return OK


def predict(folder: Path, source: Path | None, weights: Path | None, ranks: Any) -> Any:
    """Predict for a file, or for what comes in; for a text, where the run has a vocabulary: on rank 0 alone."""
    from ..runs.inference import predict_run
    from ..runs.run_folder import VOCABULARY

    def read() -> tuple[Any, Any]:
        content = read_input(ranks is not None) if source is None else source
        is_text = (folder / VOCABULARY).is_file()
        return content, predict_if_text(folder, content, weights) if is_text else None

    if ranks is None:
        content, predictions = read()
        return predict_run(folder, content, weights) if predictions is None else predictions
    from ..parallel.reading import read_on_first

    content, predictions = read_on_first(ranks, read, "reading the input") or (b"", None)
    if ranks.from_first(predictions is not None, "the input"):
        return predictions
    return predict_run(folder, content, weights)


def read_input(forwarded: bool) -> bytes:
    """Read what comes in; a line says for what it waits, if a launcher passes it on, as some do not tell its end."""
    text = "bprop: predict waits for the end of its input; does the launcher pass that on? A file in place of - will do"
    timer = threading.Timer(NOTICE, print, (text,), {"file": sys.stderr, "flush": True})
    timer.daemon = True
    if forwarded:
        timer.start()
    try:
        return sys.stdin.buffer.read()
    finally:
        timer.cancel()


def predict_if_text(folder: Path, source: Any, weights: Path | None) -> Any:
    """Predict along a text; None for a file of arrays."""
    from ...datasets.files.csv_table import decode_text
    from ..generation.predict_text import predict_text
    from ..runs.inference import NPY, ZIP, read_content

    content = source if isinstance(source, bytes) else read_content(source)
    if content.startswith((NPY, ZIP)):
        return None
    text = decode_text("the input" if content is source else str(source), content)
    return predict_text(folder, text, weights)
