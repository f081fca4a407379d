"""`bprop differences`: how far numerical derivatives are from a net's gradient."""

import argparse

from .command import OK, command, print_json, takes_config, takes_json, takes_picture, write_picture

DESCRIPTION = """\
Show how far differences of a net's loss are from its gradient, for steps from 1 down to 1e-14, in float64 and float32.

Large steps are wrong by the curvature, small ones by rounding (Bishop and Bishop, Deep Learning, figure 8.2). A table
appears, and a picture is written as PNG (with matplotlib: pip install 'bprop[plot]').
"""
MORE = """\
examples:
  bprop differences digits_mlp
  bprop differences iris --run pictures --json
"""


def add_to(commands) -> None:
    """Add the command to the parser's."""
    line = "show how far numerical derivatives are from the gradient"
    parser = command(commands, "differences", run, line, DESCRIPTION, MORE)
    takes_config(parser)
    takes_picture(parser, "differences")
    takes_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare, print the table, draw the picture."""
    from ..configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from ..tools.finite_differences import differences_of, draw_differences
    from ..training.progress import print_if_slow

    with print_if_slow("compiling the net in float64 and in float32", quiet=arguments.quiet):
        found = differences_of(config)
    if arguments.json:
        print_json(found.as_dict())
    else:
        print(found)
    write_picture(arguments, "differences", lambda path: draw_differences(found, path))
    return OK
