"""`bprop replay`: repeat the step in which a training failed."""

import argparse

from .command import FAILED, OK, add_json_option, add_parser, add_run_argument, print_json

DESCRIPTION = """\
Repeat the step in which a training failed, module by module, on the minibatch that the callback NanGuard has saved.

A table shows how large outputs, gradients and parameters were, and where the first value that is not finite arose.
"""
MORE = """\
example:
  bprop train my.yaml 'callbacks=[NanGuard]' --run runs/x
  bprop replay runs/x
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    what, failed = "repeat the step in which a training failed", "the step does not fail in the same way again"
    parser = add_parser(commands, "replay", run, what, DESCRIPTION, MORE, failed=failed)
    add_run_argument(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table of the step."""
    from ..runs.resume import replay_run

    step, expected = replay_run(arguments.run)
    if arguments.json:
        print_json({**step.as_dict(), "trouble_when_saved": expected})
        return OK if step.problem == expected else FAILED
    print(step)
    if step.problem != expected:
        print(f"when it was saved: {expected or 'all values were finite'}")
    return OK if step.problem == expected else FAILED
