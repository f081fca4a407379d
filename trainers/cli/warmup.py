"""`bprop warmup`: compile beforehand what training a config will need."""

import argparse

from .command import OK, command, print_json, takes_config, takes_json, takes_quiet

DESCRIPTION = """\
Compile all that training a config will need, and keep it, so that 'bprop train' starts at once.

Nothing is trained or written but compiled code: in $BPROP_CACHE_DIR, or in the user's cache folder.
"""
MORE = """\
example:
  bprop warmup digits_mlp
"""


def add_to(commands) -> None:
    """Add the command to the parser's."""
    what, failed = "compile what a training will need", "the first loss is not finite"
    parser = command(commands, "warmup", run, what, DESCRIPTION, MORE, failed=failed)
    takes_config(parser)
    takes_quiet(parser, "print nothing")
    takes_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compile."""
    from ..configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from ..tools.warmup import warm_up

    found = warm_up(config)
    if arguments.json:
        print_json(found.as_dict())
    elif not arguments.quiet:
        print(found)
    return OK
