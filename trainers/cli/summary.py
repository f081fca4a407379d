"""`bprop summary`: the table of a config's model."""

import argparse

from .command import OK, add_config_argument, add_json_option, add_parser, print_json

DESCRIPTION = """\
Show the model of a config as a table: output shapes for a minibatch, parameters, and the memory of a training step.
"""
MORE = """\
example:
  bprop summary mnist_mlp trainer.batch_size=128
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    line = "show a model's layers and their memory"
    parser = add_parser(commands, "summary", run, line, DESCRIPTION, MORE)
    add_config_argument(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    from ..configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from ..tools.warmup import BATCH_SIZE

    experiment = config.build()
    batch_size = experiment.settings.get("batch_size", BATCH_SIZE)
    if batch_size < 1:
        raise ValueError(f"summary: batch_size is {batch_size}, expected at least 1")
    experiment.optimizer.attach(experiment.model)
    shape = experiment.dataset.minibatch_shape(batch_size)
    if arguments.json:
        from ...modules.display.summary import collect_summary

        figures = collect_summary(experiment.model, shape, experiment.optimizer)
        print_json(figures | {"augment": [augment.label() for augment in experiment.augment]})
    else:
        print(experiment.model.summary(shape, experiment.optimizer))
        if experiment.augment:
            print(f"images are augmented by {', '.join(augment.label() for augment in experiment.augment)}")
    return OK
