"""`bprop differences`: the errors of numerical derivatives, compared with a model's gradient."""

import argparse

from .command import OK, add_config_argument, add_json_option, add_parser, add_plot_options, print_json, write_plot

DESCRIPTION = """\
Show the errors of finite differences of a model's loss, for steps from 1 down to 1e-14, in float64 and float32.

Large steps are wrong by the curvature, small ones by rounding (Bishop and Bishop, Deep Learning, figure 8.2). A table
appears, and a plot is written, PNG or SVG (with matplotlib: pip install 'bprop[plot]').
"""
MORE = """\
examples:
  bprop differences digits_mlp
  bprop differences iris --run plots --json
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    line = "show how far numerical derivatives are from the gradient"
    parser = add_parser(commands, "differences", run, line, DESCRIPTION, MORE)
    add_config_argument(parser)
    add_plot_options(parser, "differences")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare, print the table, draw the plot."""
    from ..configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from ..progress.progress_bar import print_if_slow
    from ..tools.finite_differences import draw_differences, measure_differences

    with print_if_slow("compiling the model in float64 and in float32", quiet=arguments.quiet):
        errors = measure_differences(config)
    if arguments.json:
        print_json(errors.as_dict())
    else:
        print(errors)
    write_plot(arguments, "differences", lambda path: draw_differences(errors, path))
    return OK
