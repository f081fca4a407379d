"""`bprop check`: every gradient of a config's model against the derivative of its fprop."""

import argparse

from .command import FAILED, OK, add_config_argument, add_json_option, add_parser, add_quiet_option, print_json

DESCRIPTION = """\
Check every gradient of a config's model against the derivative of its fprop, and say what is wrong.

Each module gets the input that it has in the net, in float64; those of your own are tried on the whole contract of a
module. The derivative is that of the evaluation trace, or differences where there is none. A wrong gradient is named
with its likely cause: a factor, a sign, a transposed product, a missing sum...
"""
MORE = """\
example:
  bprop check my.yaml
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    what = "check every gradient, and say what is wrong"
    parser = add_parser(commands, "check", run, what, DESCRIPTION, MORE, failed="something is wrong")
    add_config_argument(parser)
    parser.add_argument("--every-law", action="store_true", help="go on after the first check that a module fails")
    add_quiet_option(parser, "print what is wrong only")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the gradients, and print the report."""
    from ..configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from ..progress.progress_bar import print_if_slow
    from ..tools.gradient_doctor import check_config

    with print_if_slow("checking each module in float64; what is compiled for it is kept", quiet=arguments.quiet):
        report = check_config(config, every_law=arguments.every_law)
    if arguments.json:
        print_json(report.as_dict())
    else:
        print(
            "\n".join(report.problems) if arguments.quiet else report, end="" if arguments.quiet and report.ok else "\n"
        )
    return OK if report.ok else FAILED
