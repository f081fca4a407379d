"""`bprop replay`: repeat the step in which a training failed."""

import argparse

from .command import FAILED, OK, command, takes_run

DESCRIPTION = """\
Repeat the step in which a training failed, module by module, on the minibatch that the callback NanGuard has saved.

A table shows how large outputs, gradients and parameters were, and where the first value that is not finite arose.
"""
MORE = """\
example:
  bprop train my.yaml 'callbacks=[NanGuard]' --run runs/x
  bprop replay runs/x

exit status:
  0 it fails in the same way again, 1 it does not, 2 the command or the folder is wrong
"""


def add_to(commands) -> None:
    """Add the command to the parser's."""
    takes_run(command(commands, "replay", run, "repeat the step in which a training failed", DESCRIPTION, MORE))


def run(arguments: argparse.Namespace) -> int:
    """Print the table of the step."""
    from ..resumed_runs import replay_run

    step, expected = replay_run(arguments.run)
    print(step)
    if step.trouble != expected:
        print(f"when it was saved: {expected or 'all values were finite'}")
    return OK if step.trouble == expected else FAILED
