"""Shared parts of the commands: exit statuses, arguments, and printing of metrics."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

OK, FAILED, BAD_USAGE, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141
TO_BE_RESUMED = 75  # EX_TEMPFAIL of sysexits.h: a temporary failure, to be tried again
STOPPED_FOR_NOW = f"""\
A training that SIGTERM, SIGHUP or a TimeBudget stops is saved at its next pause; its exit status is {TO_BE_RESUMED},
and 'bprop resume' goes on. docs/batch_systems.md has scripts for batch systems."""
EXITS = f"""
exit status:
  {OK} done
  {{}}{BAD_USAGE} the command, a file or the data is wrong
  {INTERRUPTED} interrupted
  {PIPE_CLOSED} nobody reads what is printed
"""


def format_exit_statuses(failed: str) -> str:
    """Format the exit statuses for a help; `failed`: the meaning of 1, if a command has it."""
    return EXITS.format(f"{FAILED} {failed}\n  " if failed else "")


def add_parser(commands, name: str, function: Callable, line: str, description: str, more: str, failed: str = ""):
    """Add a command's parser; `function` gets the arguments and returns the exit status; `failed`: the meaning of 1."""
    more += format_exit_statuses(failed)
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(name, help=line, description=description, epilog=more, formatter_class=raw)
    parser.set_defaults(parser=parser, function=function)
    return parser


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a config and of overrides."""
    parser.add_argument("config", metavar="CONFIG", help="path of a YAML file, or name of a config of bprop")
    add_overrides_argument(parser)
    add_no_imports_option(parser)


def parse_path(text: str) -> Path:
    """Parse a path; `~` is expanded also where the shell does not, as in `--run=~/runs/a`."""
    from ...datasets.files.paths import expand_path  # imported here, as help shall appear at once

    try:
        return expand_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument of a run folder."""
    parser.add_argument("run", type=parse_path, metavar="RUN", help="a run folder, such as runs/NAME-TIME")
    add_imports_option(parser)


def add_no_imports_option(parser: argparse._ActionsContainer) -> None:
    """Add the option to refuse configs that name custom code."""
    what = "refuse a config that names a module of one's own, and what lies outside of its folder"
    parser.add_argument("--no-imports", action="store_true", help=what)


def add_imports_option(parser: argparse.ArgumentParser) -> None:
    """Add the option to run the code of run folders, which may be another user's."""
    either = parser.add_mutually_exclusive_group()
    what = "run the modules in a run folder that you have not trained yourself; without it you are asked"
    either.add_argument("--imports", action="store_true", help=what)
    add_no_imports_option(either)


def add_overrides_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument of overrides of a config's values."""
    parser.add_argument(
        "overrides", metavar="key=value", nargs="*", default=[], help="a value to use in place of the config's"
    )


def add_quiet_option(parser: argparse.ArgumentParser, what: str = "print the final figures only") -> None:
    """Add the option to print less."""
    parser.add_argument("--quiet", action="store_true", help=what)


def add_json_option(parser: argparse._ActionsContainer, what: str = "print all of it as JSON") -> None:
    """Add the option to print JSON."""
    parser.add_argument("--json", action="store_true", help=what)


def add_plot_options(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options of a command that draws a plot of a config, NAME-`name`.png or .svg."""
    what = f"folder for the plot, which is {name}.png there (default: NAME-{name}.png here)"
    parser.add_argument("--run", type=parse_path, metavar="DIR", help=what)
    add_format_option(parser)
    add_quiet_option(parser, "do not say where the plot is")


def add_format_option(parser: argparse.ArgumentParser) -> None:
    """Add the option to draw SVG files."""
    parser.add_argument("--format", choices=["png", "svg"], default="png", help="of the files drawn (default: png)")


def write_plot(arguments: argparse.Namespace, name: str, draw: Callable[[Path], None]) -> None:
    """Write a plot by `draw` to the path that the options name, and print it; without matplotlib, print why not."""
    path = Path(f"{Path(arguments.config).stem}-{name}.{arguments.format}")
    if arguments.run is not None:
        arguments.run.mkdir(parents=True, exist_ok=True)
        path = arguments.run / f"{name}.{arguments.format}"
    try:
        draw(path)
    except ImportError as error:
        print(f"bprop: no plot: {error}", file=sys.stderr)
    else:
        if not arguments.quiet:
            print(f"the plot is {path}", file=sys.stderr)


def can_write_utf8(stream: Any) -> bool:
    """Whether a stream can write every character."""
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def find_exit_status(summary: dict[str, Any]) -> int:
    """Find the exit status of a training that has ended or stopped."""
    if summary.get("stopped") == "stopped by SIGINT":  # on several ranks, where it leaves a checkpoint first
        return INTERRUPTED
    return TO_BE_RESUMED if summary.get("to_be_resumed") else OK


def print_json(value: Any) -> None:
    """Print a value as indented JSON, with words for NaN and infinity."""
    import json

    from ..runs.run_folder import replace_not_finite

    print(json.dumps(replace_not_finite(value), indent=2))


def print_metrics(metrics: dict[str, Any], as_json: bool = False) -> None:
    """Print the metrics, one a line, without records such as versions. Or all of it as JSON."""
    if as_json:
        print_json(metrics)
        return
    figures = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        print(f"{name:<{width}}  {f'{value:.6g}' if isinstance(value, float) else value}")
