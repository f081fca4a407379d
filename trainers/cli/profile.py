"""`bprop profile`: the time of each module in a training step."""

import argparse

from .command import OK, add_config_argument, add_json_option, add_parser, add_plot_options, print_json, write_plot

DESCRIPTION = """\
Show where the time of a training step goes: each module forward and backward, loss, update, gathering.

The training runs for about two seconds and is thrown away. A table appears, and a plot is written, PNG or SVG (with
matplotlib: pip install 'bprop[plot]').
"""
MORE = """\
examples:
  bprop profile digits_mlp
  mpiexec -n 4 bprop profile digits_mlp
      computation, exchange, waiting and update of each rank, as a table alone
  bprop profile digits_mlp trainer.batch_size=128 --run profiles --json
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(
        commands,
        "profile",
        run,
        "show where a training step's time goes",
        DESCRIPTION,
        MORE,
        failed="the loss is not finite, or there is no compiled code to measure",
    )
    add_config_argument(parser)
    add_plot_options(parser, "profile")
    add_json_option(parser, "print the figures as JSON, times in seconds")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, draw the plot."""
    from ..configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from ..parallel.job import find_ranks

    if (ranks := find_ranks()) is not None:
        if arguments.run is not None:
            raise ValueError(
                f"profile: --run {arguments.run} is where a plot goes, on {ranks.size} ranks there is none"
            )
        from ..tools.profile_ranks import profile_on_ranks

        on_ranks = profile_on_ranks(config, ranks)
        print_json(on_ranks.as_dict()) if arguments.json else print(on_ranks)
        return OK
    from ..tools.profile import profile_config
    from ..tools.profile_plot import draw_profile

    profile = profile_config(config)
    if arguments.json:
        print_json(profile.as_dict())
    else:
        print(profile)
    write_plot(arguments, "profile", lambda path: draw_profile(profile, path))
    return OK
