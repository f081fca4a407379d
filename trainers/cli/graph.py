"""`bprop graph`: a config's model and loss as a drawing."""

import argparse
import sys
from pathlib import Path

from .command import OK, add_config_argument, add_parser, parse_path

DESCRIPTION = """\
Draw the model of a config and its loss, forward and backward, shapes on the arrows: as an SVG, which
browsers show, as a PNG (with matplotlib: pip install 'bprop[plot]'), or in the language of Graphviz or of Mermaid.
"""
MORE = """\
examples:
  bprop graph examples/resnet.yaml --output resnet.svg
  bprop graph examples/resnet.yaml --output resnet.png
  bprop graph digits_mlp --format mermaid
  bprop graph digits_mlp --format dot | dot -Tpdf > net.pdf
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "graph", run, "draw a model, forward and backward", DESCRIPTION, MORE)
    add_config_argument(parser)
    by_name = "by the end of the output's name if not given, else svg"
    parser.add_argument("--format", choices=["svg", "png", "dot", "mermaid"], help=by_name)
    parser.add_argument("--output", type=parse_path, metavar="FILE", help="write it there instead of printing it")


def run(arguments: argparse.Namespace) -> int:
    """Print or write the drawing."""
    form = arguments.format or choose_format(arguments.output)
    if form == "png" and arguments.output is None:
        arguments.parser.error("--format png is written to a file, expected --output FILE")
    from ..configs import load_config
    from ..files.atomic_files import check_file_path

    if arguments.output is not None:
        check_file_path(arguments.output)
    experiment = load_config(arguments.config, arguments.overrides).build()
    dataset = experiment.dataset
    shapes = dataset.minibatch_shape(1), (1, *dataset.target_shape)
    drawing = experiment.model.graph("svg" if form == "png" else form, shapes[0], experiment.loss, shapes[1])
    if arguments.output is None:
        sys.stdout.write(drawing)
    elif form == "png":
        from ..plots.svg_picture import save_drawing

        save_drawing(drawing, arguments.output)
    else:
        drawing.save(arguments.output)
    return OK


def choose_format(output: Path | None) -> str:
    """Choose the format by the end of a file's name; svg for one that says nothing."""
    ends = {".png": "png", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid"}
    return "svg" if output is None else ends.get(output.suffix.lower(), "svg")
