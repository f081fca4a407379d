"""`bprop resume`: continue a training that was stopped."""

import argparse
import os
import sys

from .command import (
    STOPPED_FOR_NOW,
    add_json_option,
    add_overrides_argument,
    add_parser,
    add_quiet_option,
    add_run_argument,
    find_exit_status,
    print_metrics,
)

DESCRIPTION = f"""\
Go on with a training that was stopped, by Ctrl-C, a full disk or a loss of power, from its last checkpoint.

The weights and figures become, to the last bit, what they would have been without the stop. That holds on machines of
one instruction set; on another one a line says that the bits differ; --same-bits keeps them where the processor can.
A training that was stopped before its first checkpoint starts anew. One that is finished stays as it is, unless it is
given more epochs, or steps.

{STOPPED_FOR_NOW}
"""
MORE = """\
examples:
  bprop resume runs/digits_mlp-20300102-030405
  bprop resume runs/digits_mlp-20300102-030405 trainer.epochs=50
      go on to 50 epochs; refused if a schedule of the epochs so far would have been another one
  mpiexec -n 4 bprop resume runs/x
      on several processes, as many as fit the shards of the training: docs/parallel.md
  bprop resume runs/x dataset.CsvDataset.path=/new/place.csv
      where the data have moved; refused if they are not the same
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(
        commands,
        "resume",
        run,
        "go on with a training that was stopped",
        DESCRIPTION,
        MORE,
        failed="the training failed",
    )
    add_run_argument(parser)
    add_overrides_argument(parser)
    add_quiet_option(parser)
    add_json_option(parser)
    what = "compute for the instruction set of the last checkpoint, so that the bits stay those of that machine"
    parser.add_argument("--same-bits", action="store_true", help=what)


def run(arguments: argparse.Namespace) -> int:
    """Resume a run, or say that it is finished."""
    if arguments.same_bits:
        resume_with_same_bits(arguments)
    from ..parallel.job import find_ranks

    if (ranks := find_ranks()) is not None:
        from ..runs.runs_on_ranks import resume_on_ranks

        summary, over = resume_on_ranks(ranks, arguments.run, arguments.overrides, arguments.quiet)
    else:
        from ..runs.resume import resume_run

        summary, over = resume_run(arguments.run, arguments.overrides, quiet=arguments.quiet)
    if over and (ranks is None or ranks.is_first):
        counted = "steps" if "steps" in summary else "epochs"
        why = summary.get("stopped") or f"all {summary[counted]} {counted} are done; trainer.{counted}=N adds more"
        print(f"{arguments.run} is finished: {why}", file=sys.stderr)
    print_metrics(summary, arguments.json)
    return find_exit_status(summary)


def resume_with_same_bits(arguments: argparse.Namespace) -> None:
    """Start this command anew with the run's instruction set, which is chosen once a process; return if it is this one.

    Errors: ValueError where this processor lacks some of it.
    """
    from ..files.versions import compare_instruction_sets, describe_instruction_set, make_environment
    from ..runs.resume import read_instruction_set

    recorded = read_instruction_set(arguments.run)
    if recorded is None or not compare_instruction_sets(recorded, describe_instruction_set()):
        return
    try:
        variables = make_environment(recorded)
    except ValueError as error:
        raise ValueError(f"resume --same-bits: {error}; without it the bits differ from here on") from None
    flags = [f"--{name.replace('_', '-')}" for name, value in vars(arguments).items() if value is True]
    flags.remove("--same-bits")
    command = [sys.executable, "-P", "-m", "bprop.trainers.cli", "resume", *flags, "--", str(arguments.run)]
    sys.stdout.flush()
    os.execve(sys.executable, [*command, *arguments.overrides], os.environ | variables)
