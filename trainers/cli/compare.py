"""`bprop compare`: the differences between runs."""

import argparse

from .command import OK, add_json_option, add_parser, parse_path, print_json

DESCRIPTION = """\
Compare runs: a table of the values in which their configs differ, and of their final figures.
"""
MORE = """\
example:
  bprop compare runs/digits_mlp-*
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "compare", run, "show what differs between runs", DESCRIPTION, MORE)
    parser.add_argument("runs", type=parse_path, nargs="+", metavar="RUN", help="run folders")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    from ..runs.compare import compare_runs

    comparison = compare_runs(arguments.runs)
    if arguments.json:
        print_json(comparison.as_dict())
    else:
        print(comparison)
    return OK
