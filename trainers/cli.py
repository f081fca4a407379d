"""The command line, `bprop`: trains what a config describes.

Everything slow to import is imported by the command that needs it, so that help appears at once.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["main"]

OK, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

DESCRIPTION = "Train neural nets whose backward pass is written by hand and compiled."
OVERVIEW = """\
example:
  bprop train digits_mlp
      trains a small net on handwritten digits, in seconds and without downloads

'bprop train --help' says more.
"""
TRAIN = """\
Train the net that a config describes.

A config is a YAML file that names a data set, a model, a loss and an optimizer. The run is written
to a folder: the config with every default, figures per epoch, the final figures, and the weights.
"""
TRAIN_MORE = """\
examples:
  bprop train digits_mlp
      a config that comes with bprop
  bprop train my.yaml optimizer.SGD.lr=0.01 trainer.epochs=5
      a file of your own, with two values changed; a path is written as it stands in the file:
        optimizer:
          SGD: {lr: 0.1, momentum: 0.9}
        trainer: {epochs: 30}
  bprop train my.yaml model.0.Linear.out_features=32 --run runs/small
      positions in a list count from 0

exit status:
  0 trained, 1 training failed, 2 the command, the config or the data is wrong, 130 interrupted
"""
WARMUP = """\
Compile all that training a config will need, and keep it, so that 'bprop train' starts at once.

Nothing is trained or written but compiled code: in $BPROP_CACHE_DIR, or in the user's cache folder.
"""
WARMUP_MORE = """\
example:
  bprop warmup digits_mlp

exit status:
  0 compiled, 1 the first loss is not finite, 2 the command, the config or the data is wrong
"""
SUMMARY = """\
Show the net of a config as a table: output shapes for a minibatch, parameters, and the memory of a training step.
"""
SUMMARY_MORE = """\
example:
  bprop summary mnist_mlp trainer.batch_size=128
"""
CHECK = """\
Check every gradient of a config's net against differences, and say what is wrong.

Each module gets the input that it has in the net, in float64; those of your own are tried on the whole contract of a
module. A wrong gradient is named with its likely cause: a factor, a sign, a transposed product, a missing sum...
"""
CHECK_MORE = """\
example:
  bprop check my.yaml

exit status:
  0 all is right, 1 something is wrong, 2 the command, the config or the data is wrong
"""
PROFILE = """\
Show where the time of a training step goes: each module forward and backward, loss, update, gathering.

The training runs for about two seconds and is thrown away. A table appears, and a picture is written as PNG (with
matplotlib: pip install 'bprop[plot]').
"""
PROFILE_MORE = """\
examples:
  bprop profile digits_mlp
  bprop profile digits_mlp trainer.batch_size=128 --run profiles --json

exit status:
  0 measured, 1 the loss is not finite, or there is no compiled code to measure,
  2 the command, the config or the data is wrong
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (argparse exits by itself after help and wrong usage)."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return BAD_USAGE
    unknown = [word for word in rest if word.startswith("-")]
    if unknown:
        arguments.parser.error(f"unknown option: {' '.join(unknown)}")
    arguments.overrides += rest  # argparse leaves the ones that follow an option
    try:
        return arguments.function(arguments)
    except KeyboardInterrupt as error:
        print(_message("bprop:", "interrupted", error), file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        print(_message("bprop: error:", str(error) or type(error).__name__, error), file=sys.stderr)
        return status


def _train(arguments: argparse.Namespace) -> int:
    from .configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from .runs import train_config

    summary = train_config(config, run=arguments.run, quiet=arguments.quiet)
    _print_summary(summary)
    return OK


def _warmup(arguments: argparse.Namespace) -> int:
    from .configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from .warmup import warm_up

    print(warm_up(config))
    return OK


def _summary(arguments: argparse.Namespace) -> int:
    from .configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from .warmup import BATCH_SIZE

    experiment = config.build()
    batch_size = experiment.settings.get("batch_size", BATCH_SIZE)
    experiment.optimizer.attach(experiment.model)
    print(experiment.model.summary((batch_size, *experiment.dataset.input_shape), experiment.optimizer))
    return OK


def _check(arguments: argparse.Namespace) -> int:
    from .configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from .check import check_config

    report = check_config(config)
    print(report)
    return OK if report.ok else FAILED


def _profile(arguments: argparse.Namespace) -> int:
    from .configs import load_config

    config = load_config(arguments.config, arguments.overrides)
    from .profile import profile_config

    found = profile_config(config)
    if arguments.json:
        import json

        print(json.dumps(found.as_dict(), indent=2))
    else:
        print(found)
    from .profile_picture import draw_profile

    folder = arguments.run or Path(".")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("profile.png" if arguments.run else f"{Path(arguments.config).stem}-profile.png")
    try:
        draw_profile(found, path)
    except ImportError as error:
        print(f"bprop: no picture: {error}", file=sys.stderr)
    else:
        print(f"the picture is {path}", file=sys.stderr)
    return OK


def _print_summary(summary: dict[str, Any]) -> None:
    """The final figures, one a line; records such as versions stay in the run folder."""
    figures = {
        name: value
        for name, value in summary.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        print(f"{name:<{width}}  {f'{value:.6g}' if isinstance(value, float) else value}")


def _status(error: Exception) -> int | None:
    """The exit status for a mistake of the user's, None for a bug, which should keep its traceback."""
    from .configs import ConfigError

    if isinstance(error, ConfigError | OSError):
        return BAD_USAGE
    if isinstance(error, ValueError) and _raised_in(error).startswith(("bprop.datasets", "bprop.trainers")):
        return BAD_USAGE
    from .trainer import TrainingError

    return FAILED if isinstance(error, TrainingError) else None


def _raised_in(error: Exception) -> str:
    """Name of the module whose line raised the error."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", ""))


def _message(start: str, text: str, error: BaseException) -> str:
    """The text and below it the notes; a text of several lines starts on a line of its own."""
    first = f"{start}\n{text}" if "\n" in text else f"{start} {text}"
    return "\n  ".join([first, *getattr(error, "__notes__", [])])


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bprop", description=DESCRIPTION, epilog=OVERVIEW, formatter_class=raw)
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    train = _command(commands, "train", _train, "train what a config describes", TRAIN, TRAIN_MORE)
    train.add_argument("--run", type=Path, metavar="DIR", help="folder to write to (default: runs/NAME-TIME)")
    train.add_argument("--quiet", action="store_true", help="print the final figures only")
    _command(commands, "warmup", _warmup, "compile what a training will need", WARMUP, WARMUP_MORE)
    _command(commands, "summary", _summary, "show a net's layers and what they hold in memory", SUMMARY, SUMMARY_MORE)
    _command(commands, "check", _check, "check every gradient, and say what is wrong", CHECK, CHECK_MORE)
    profile = _command(commands, "profile", _profile, "show where a training step's time goes", PROFILE, PROFILE_MORE)
    profile.add_argument(
        "--run", type=Path, metavar="DIR", help="folder for the picture (default: NAME-profile.png here)"
    )
    profile.add_argument("--json", action="store_true", help="print the figures as JSON, times in seconds")
    return parser


def _command(commands, name: str, function, line: str, description: str, more: str) -> argparse.ArgumentParser:
    """A command that takes a config and overrides of its values."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(name, help=line, description=description, epilog=more, formatter_class=raw)
    parser.add_argument("config", metavar="CONFIG", help="path of a YAML file, or name of a config of bprop")
    parser.add_argument("overrides", metavar="key=value", nargs="*", help="a value to use in place of the config's")
    parser.set_defaults(parser=parser, function=function)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"bprop {version('bprop')}")
        parser.exit()
