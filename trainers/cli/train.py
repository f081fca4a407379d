"""`bprop train`: train the model that a config describes."""

import argparse

from .command import (
    OK,
    STOPPED_FOR_NOW,
    add_config_argument,
    add_json_option,
    add_parser,
    add_quiet_option,
    find_exit_status,
    parse_path,
    print_metrics,
)

DESCRIPTION = f"""\
Train the model that a config describes.

A config is a YAML file that names a data set, a model, a loss and an optimizer. The run is written
to a folder: the config with every default, figures per epoch, the final figures, and the weights.
A training that was stopped goes on by 'bprop resume'.

{STOPPED_FOR_NOW}
"""
MORE = """\
examples:
  bprop train digits_mlp
      a config that comes with bprop
  bprop train my.yaml optimizer.SGD.lr=0.01 trainer.epochs=5
      a file of your own, with two values changed; a path is written as it stands in the file:
        optimizer:
          SGD: {lr: 0.1, momentum: 0.9}
        trainer: {epochs: 30}
  bprop train my.yaml --dry-run
      builds the net, reads the data, says what would be trained, and writes nothing
  mpiexec -n 8 bprop train my.yaml
      on 8 processes of one machine or of several, with the same bits for any number of them: docs/parallel.md
      (pip install 'bprop[mpi]'); a minibatch is cut into trainer.shards=8 parts
  bprop train my.yaml model.0.Linear.out_features=32 --run runs/small
      positions in a list count from 0
  bprop train my.yaml 'schedules."optimizer.lr"={CosineSchedule: {per: step}}'
      a new key that holds dots stands in quotes, and the whole in the shell's
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(
        commands, "train", run, "train what a config describes", DESCRIPTION, MORE, failed="the training failed"
    )
    add_config_argument(parser)
    parser.add_argument("--run", type=parse_path, metavar="DIR", help="folder to write to (default: runs/NAME-TIME)")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--print-config", action="store_true", help="print the config with every default, and no more")
    only.add_argument("--dry-run", action="store_true", help="build and check all, read the data, and write nothing")
    add_quiet_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, and print the metrics."""
    from ..configs import Config, load_config
    from ..parallel.job import find_ranks

    ranks = find_ranks()

    def load() -> Config:
        return load_config(arguments.config, arguments.overrides)

    if ranks is None:
        config = load()
    else:
        from ..parallel.agreement import run_on_all

        config = run_on_all(ranks, load, "reading the config")
    if arguments.print_config:
        print(config.resolved(), end="")
        if config.sweep is not None:
            from ..configs.yaml_writer import dump_yaml

            print(dump_yaml({"sweep": config.sweep.written}), end="")
        return OK
    if arguments.dry_run:
        from ..runs.dry_run import dry_run

        print_metrics(dry_run(config, arguments.run), arguments.json)
        return OK
    if ranks is not None:
        from ..runs.runs_on_ranks import train_on_ranks

        summary = train_on_ranks(ranks, config, arguments.run, arguments.quiet)
    else:
        from ..runs.run_folder import train_config

        summary = train_config(config, run=arguments.run, quiet=arguments.quiet)
    print_metrics(summary, arguments.json)
    return find_exit_status(summary)
