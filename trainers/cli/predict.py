"""`bprop predict`: a run's predictions for new inputs."""

import argparse
import sys
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
    if source is None and (ranks is None or ranks.is_first):
        source = sys.stdin.buffer.read()
    if arguments.input == "-" and ranks is not None:  # which only the first one gets
        source = ranks.from_first(source, "the input")
    predictions = predict(arguments.run, source, arguments.weights)
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


def predict(folder, source, weights):
    """Predict for a file or its content; for a text, where the run has a vocabulary."""
    from ...datasets.files.csv_table import decode_text
    from ..runs.inference import NPY, ZIP, predict_run, read_content
    from ..runs.run_folder import VOCABULARY

    if (folder / VOCABULARY).is_file():
        from ..generation.predict_text import predict_text

        content = source if isinstance(source, bytes) else read_content(source)
        if not content.startswith((NPY, ZIP)):
            return predict_text(
                folder, decode_text(str(source) if content is not source else "the input", content), weights
            )
    return predict_run(folder, source, weights)
