"""`bprop profile`: where the time of a training step goes."""

import argparse
import sys
from pathlib import Path

from .command import OK, command, takes_config, takes_quiet

DESCRIPTION = """\
Show where the time of a training step goes: each module forward and backward, loss, update, gathering.

The training runs for about two seconds and is thrown away. A table appears, and a picture is written as PNG (with
matplotlib: pip install 'bprop[plot]').
"""
MORE = """\
examples:
  bprop profile digits_mlp
  bprop profile digits_mlp trainer.batch_size=128 --run profiles --json
"""


def add_to(commands) -> None:
    """Add the command to the parser's."""
    parser = command(
        commands,
        "profile",
        run,
        "show where a training step's time goes",
        DESCRIPTION,
        MORE,
        failed="the loss is not finite, or there is no compiled code to measure",
    )
    takes_config(parser)
    parser.add_argument(
        "--run", type=Path, metavar="DIR", help="folder for the picture (default: NAME-profile.png here)"
    )
    takes_quiet(parser, "do not say where the picture is")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, times in seconds")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, draw the picture."""
    from ..configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from ..profile import profile_config

    found = profile_config(config)
    if arguments.json:
        import json

        print(json.dumps(found.as_dict(), indent=2))
    else:
        print(found)
    from ..profile_picture import draw_profile

    folder = arguments.run or Path(".")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("profile.png" if arguments.run else f"{Path(arguments.config).stem}-profile.png")
    try:
        draw_profile(found, path)
    except ImportError as error:
        print(f"bprop: no picture: {error}", file=sys.stderr)
    else:
        if not arguments.quiet:
            print(f"the picture is {path}", file=sys.stderr)
    return OK
