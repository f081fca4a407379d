"""`bprop sweep`: train a config with many values of its settings."""

import argparse
from typing import Any

from .command import (
    FAILED,
    OK,
    TO_BE_RESUMED,
    add_config_argument,
    add_json_option,
    add_parser,
    add_quiet_option,
    parse_path,
    print_json,
)

DESCRIPTION = f"""\
Train the runs that the key 'sweep' of a config describes, side by side, and show their figures in one table.

Each run is a process with cores of its own and has a folder in that of the sweep, where results.csv is the table of
all. One that fails is told and stops no other. The same command with the same --run goes on with a sweep that was
stopped: runs that are done stay as they are, others go on where they were. SIGTERM and SIGHUP stop the runs at their
next pause; then, as after the TimeBudget of a run, the exit status is {TO_BE_RESUMED}.
"""
MORE = """\
example:
  bprop sweep my.yaml --run runs/lr --jobs 4
      where my.yaml has, beside all that 'bprop train' needs, some of
        sweep:
          grid: {optimizer.SGD.lr: [0.1, 0.01], seed: [0, 1, 2]}        every combination
          zip: {model.0.Linear.out_features: [8, 16], model.2.Linear.in_features: [8, 16]}
          random:                                                       20 draws
            n: 20
            keys:
              optimizer.SGD.momentum: {uniform: [0.5, 0.99]}
              optimizer.SGD.weight_decay: {log_uniform: [1e-6, 1e-2]}
              trainer.batch_size: {choice: [16, 32, 64]}
              seed: {integers: [0, 1000]}
  bprop sweep my.yaml 'sweep={grid: {seed: [0, 1, 2, 3, 4]}}'
  bprop sweep my.yaml --dry-run
  mpiexec -n 16 bprop sweep my.yaml --run runs/lr
      on several machines, a run at a time on each rank: docs/parallel.md
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(
        commands,
        "sweep",
        run,
        "train a config with many values, side by side",
        DESCRIPTION,
        MORE,
        failed="a run failed",
    )
    add_config_argument(parser)
    parser.add_argument("--run", type=parse_path, metavar="DIR", help="folder of the sweep (default: runs/NAME-TIME)")
    parser.add_argument("--jobs", type=int, metavar="N", help="runs at a time (default: as many as there are cores)")
    parser.add_argument(
        "--sort", metavar="FIGURE", help="the best by this come first (default: valid_loss or train_loss)"
    )
    parser.add_argument("--dry-run", action="store_true", help="check and show the runs, and write nothing")
    add_quiet_option(parser, "print the table, and failures, only")
    add_json_option(parser)


def serve(arguments: argparse.Namespace, ranks: Any) -> int:
    """Train, on another rank than the first, what that hands out."""
    if not arguments.dry_run:
        from ..runs.sweep_on_ranks import serve_runs

        serve_runs(ranks)
    return OK


def run(arguments: argparse.Namespace) -> int:
    """Train all runs, and print the table."""
    from ..parallel.job import find_ranks
    from ..runs.sweep import DONE, STOPPED, WAITING, format_results, load_sweep, rank_runs, train_sweep

    if (ranks := find_ranks()) is not None and not ranks.is_first:
        return serve(arguments, ranks)
    config, runs = load_sweep(arguments.config, arguments.overrides)
    if ranks is not None and not arguments.dry_run:
        from ..runs.sweep_on_ranks import share_out_runs

        with share_out_runs(ranks, config.settings.get("threads") or 1) as sharing:
            train_sweep(config, runs, arguments.run, quiet=arguments.quiet, sharing=sharing)
    elif not arguments.dry_run:
        train_sweep(config, runs, arguments.run, arguments.jobs, quiet=arguments.quiet)
    ranking = rank_runs(runs, arguments.sort)
    if arguments.json:
        print_json([run.row() for run in ranking])
    else:
        print(format_results(ranking))
    if not arguments.dry_run and any(run.status in (STOPPED, WAITING) for run in runs):
        return TO_BE_RESUMED  # by the same command
    return OK if arguments.dry_run or all(run.status == DONE for run in runs) else FAILED
