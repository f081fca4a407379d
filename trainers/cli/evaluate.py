"""`bprop evaluate`: the metrics of a run's weights."""

import argparse

from .command import (
    OK,
    add_json_option,
    add_overrides_argument,
    add_parser,
    add_run_argument,
    parse_path,
    print_metrics,
)

DESCRIPTION = """\
Print loss and metrics of a run's weights on the test part of its data, or on other data.

Data that are not those of the training are refused, unless an override or --other-data says so.
"""
MORE = """\
examples:
  bprop evaluate runs/x
  bprop evaluate runs/x --part valid --json
  bprop evaluate runs/x dataset.CsvDataset.test_path=new.csv
      rows of another table, encoded as in the training
  bprop evaluate runs/x --weights runs/x/checkpoint/best/epoch-12.safetensors
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "evaluate", run, "print the figures of a run's weights", DESCRIPTION, MORE)
    add_run_argument(parser)
    add_overrides_argument(parser)
    parser.add_argument("--part", choices=["train", "valid", "test"], help="of the data (default: test)")
    parser.add_argument("--weights", type=parse_path, metavar="FILE", help="other weights than model.safetensors")
    parser.add_argument("--other-data", action="store_true", help="allow data that changed since the training")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate the run, and print the metrics."""
    from ..runs.inference import evaluate_run

    figures = evaluate_run(
        arguments.run, arguments.overrides, arguments.part, arguments.weights, other_data=arguments.other_data
    )
    print_metrics(figures, arguments.json)
    return OK
