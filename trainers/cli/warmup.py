"""`bprop warmup`: compile beforehand what training a config will need."""

import argparse

from .command import OK, command, takes_config

DESCRIPTION = """\
Compile all that training a config will need, and keep it, so that 'bprop train' starts at once.

Nothing is trained or written but compiled code: in $BPROP_CACHE_DIR, or in the user's cache folder.
"""
MORE = """\
example:
  bprop warmup digits_mlp

exit status:
  0 compiled, 1 the first loss is not finite, 2 the command, the config or the data is wrong
"""


def add_to(commands) -> None:
    """Add the command to the parser's."""
    takes_config(command(commands, "warmup", run, "compile what a training will need", DESCRIPTION, MORE))


def run(arguments: argparse.Namespace) -> int:
    """Compile."""
    from ..configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from ..warmup import warm_up

    print(warm_up(config))
    return OK
