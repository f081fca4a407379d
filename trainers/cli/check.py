"""`bprop check`: every gradient of a config's net against differences."""

import argparse

from .command import FAILED, OK, command, takes_config

DESCRIPTION = """\
Check every gradient of a config's net against differences, and say what is wrong.

Each module gets the input that it has in the net, in float64; those of your own are tried on the whole contract of a
module. A wrong gradient is named with its likely cause: a factor, a sign, a transposed product, a missing sum...
"""
MORE = """\
example:
  bprop check my.yaml

exit status:
  0 all is right, 1 something is wrong, 2 the command, the config or the data is wrong
"""


def add_to(commands) -> None:
    """Add the command to the parser's."""
    takes_config(command(commands, "check", run, "check every gradient, and say what is wrong", DESCRIPTION, MORE))


def run(arguments: argparse.Namespace) -> int:
    """Check."""
    from ..configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from ..check import check_config
    from ..notice import said_if_slow

    with said_if_slow("checking each module in float64; what is compiled for it is kept"):
        report = check_config(config)
    print(report)
    return OK if report.ok else FAILED
