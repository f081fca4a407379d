"""`bprop warmup`: compile in advance what training a config will need."""

import argparse

from .command import OK, add_config_argument, add_json_option, add_parser, add_quiet_option, print_json

DESCRIPTION = """\
Compile all that training a config will need, and keep it, so that 'bprop train' starts at once.

Nothing is trained or written but compiled code: in $BPROP_CACHE_DIR, or in the user's cache folder.
"""
MORE = """\
example:
  bprop warmup digits_mlp
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    what, failed = "compile what a training will need", "the first loss is not finite"
    parser = add_parser(commands, "warmup", run, what, DESCRIPTION, MORE, failed=failed)
    add_config_argument(parser)
    add_quiet_option(parser, "print nothing")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compile, and print the report."""
    from ..configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from ..tools.warmup import warm_up

    report = warm_up(config)
    if arguments.json:
        print_json(report.as_dict())
    elif not arguments.quiet:
        print(report)
    return OK
