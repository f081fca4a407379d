"""`bprop compare`: what differs between runs."""

import argparse

from .command import OK, command, path_argument, print_json, takes_json

DESCRIPTION = """\
Compare runs: a table of the values in which their configs differ, and of their final figures.
"""
MORE = """\
example:
  bprop compare runs/digits_mlp-*
"""


def add_to(commands) -> None:
    """Add the command to the parser's."""
    parser = command(commands, "compare", run, "show what differs between runs", DESCRIPTION, MORE)
    parser.add_argument("runs", type=path_argument, nargs="+", metavar="RUN", help="run folders")
    takes_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    from ..runs.compare import compare_runs

    found = compare_runs(arguments.runs)
    if arguments.json:
        print_json(found.as_dict())
    else:
        print(found)
    return OK
