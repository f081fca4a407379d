"""`bprop report`: a run or several as one page."""

import argparse

from .command import OK, add_imports_option, add_json_option, add_parser, parse_path, print_json

DESCRIPTION = """\
Write a report of a run, or of several side by side: figures, what differs in their configs, learning curves, the plots
that fit, layers, config, where a step's time goes, environment.

It is one HTML file without scripts, which needs no network: for a colleague, or for later.
"""
MORE = """\
examples:
  bprop report runs/x
  bprop report runs/digits_mlp-* --output digits.html --no-profile
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "report", run, "write what runs did as one HTML file", DESCRIPTION, MORE)
    parser.add_argument("runs", type=parse_path, nargs="+", metavar="RUN", help="run folders")
    what = "write it there (default: report.html in the run's folder, here for several)"
    parser.add_argument("--output", type=parse_path, metavar="FILE", help=what)
    parser.add_argument("--part", choices=["train", "valid", "test"], help="of the data (default: test)")
    parser.add_argument("--no-profile", action="store_true", help="do not measure where a step's time goes")
    add_imports_option(parser)
    add_json_option(parser, "print its path and size as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Write the page, and print where it is."""
    from ..report import report_runs

    path = report_runs(arguments.runs, arguments.output, part=arguments.part, profile=not arguments.no_profile)
    if arguments.json:
        print_json({"page": str(path), "bytes": path.stat().st_size})
    else:
        print(path)
    return OK
