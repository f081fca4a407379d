"""`bprop resume`: go on with a training that was stopped."""

import argparse
import sys

from .command import (
    STOPPED_FOR_NOW,
    command,
    print_figures,
    status_of,
    takes_json,
    takes_overrides,
    takes_quiet,
    takes_run,
)

DESCRIPTION = f"""\
Go on with a training that was stopped, by Ctrl-C, a full disk or a loss of power, from its last checkpoint.

The weights and figures become, to the last bit, what they would have been without the stop. A training that was
stopped before its first checkpoint starts anew. One that is finished stays as it is, unless it is given more epochs.

{STOPPED_FOR_NOW}
"""
MORE = """\
examples:
  bprop resume runs/digits_mlp-20300102-030405
  bprop resume runs/digits_mlp-20300102-030405 trainer.epochs=50
      go on to 50 epochs; refused if a schedule of the epochs so far would have been another one
"""


def add_to(commands) -> None:
    """Add the command to the parser's."""
    parser = command(
        commands,
        "resume",
        run,
        "go on with a training that was stopped",
        DESCRIPTION,
        MORE,
        failed="the training failed",
    )
    takes_run(parser)
    takes_overrides(parser)
    takes_quiet(parser)
    takes_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Resume a run, or say that it is finished."""
    from ..resumed_runs import resume_run

    summary, over = resume_run(arguments.run, arguments.overrides, quiet=arguments.quiet)
    if over:
        why = summary.get("stopped") or f"all {summary['epochs']} epochs are done; trainer.epochs=N adds more"
        print(f"{arguments.run} is finished: {why}", file=sys.stderr)
    print_figures(summary, arguments.json)
    return status_of(summary)
