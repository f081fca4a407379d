"""`bprop graph`: a config's model and loss as a drawing."""

import argparse
import sys

from .command import OK, add_config_argument, add_parser, parse_path

DESCRIPTION = """\
Draw the model of a config and its loss, forward and backward, shapes on the arrows: as an SVG, which
browsers show, or in the language of Graphviz or of Mermaid.
"""
MORE = """\
examples:
  bprop graph examples/resnet.yaml --output resnet.svg
  bprop graph digits_mlp --format mermaid
  bprop graph digits_mlp --format dot | dot -Tpdf > net.pdf
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "graph", run, "draw a model, forward and backward", DESCRIPTION, MORE)
    add_config_argument(parser)
    parser.add_argument("--format", choices=["svg", "dot", "mermaid"], default="svg", help="svg if not given")
    parser.add_argument("--output", type=parse_path, metavar="FILE", help="write it there instead of printing it")


def run(arguments: argparse.Namespace) -> int:
    """Print or write the drawing."""
    from ..configs import load_config

    experiment = load_config(arguments.config, arguments.overrides).build()
    dataset = experiment.dataset
    shapes = dataset.minibatch_shape(1), (1, *dataset.target_shape)
    drawing = experiment.model.graph(arguments.format, shapes[0], experiment.loss, shapes[1])
    if arguments.output is None:
        sys.stdout.write(drawing)
    else:
        drawing.save(arguments.output)
    return OK
