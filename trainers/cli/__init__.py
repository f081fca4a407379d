"""The command line, `bprop`: trains what a config describes, and shows the results.

One file for each command, which parses and prints; the work is in `runs`, `tools` and `plots`. Everything slow to
import is imported by the command that needs it, so that help appears at once.
"""

import argparse
import contextlib
import os
import re
import sys
import traceback
import warnings
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

from ..files.suggest import format_suggestion
from ..parallel.launcher import count_ranks, find_rank
from .command import BAD_USAGE, FAILED, INTERRUPTED, PIPE_CLOSED, STOPPED_FOR_NOW, format_exit_statuses
from .output import RED, YELLOW, escape_output, print_marked

__all__ = ["main"]

COMMANDS = (
    "train",
    "sweep",
    "resume",
    "evaluate",
    "predict",
    "generate",
    "compare",
    "report",
    "plot",
    "replay",
    "warmup",
    "summary",
    "graph",
    "show",
    "check",
    "differences",
    "profile",
    "new",
    "schema",
    "completion",
)
BEGIN = """\
bprop trains neural networks whose backward pass is written by hand. Begin with

  bprop train digits_mlp          train a small model on handwritten digits, in seconds
  bprop plot runs/digits_mlp-*    draw how it learned, and where it errs
  bprop show digits_mlp --open    walk through a training step, number by number, in a browser
  bprop new module Swish          write a layer of your own, with its gradient test

bprop --help lists all commands, bprop COMMAND --help says more of one.
"""
DESCRIPTION = "Train neural networks whose backward pass is written by hand and compiled."
OVERVIEW = f"""\
example:
  bprop train digits_mlp
      trains a small model on handwritten digits, in seconds and without downloads

'bprop train --help' says more.
{format_exit_statuses("the training failed, a check found something wrong, and the like: see each command's help")}
{STOPPED_FOR_NOW}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (argparse exits by itself after help and wrong usage)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    with escape_output():
        return _run(argv)


@contextlib.contextmanager
def _one_voice() -> Iterator[None]:
    """Context in which, of the ranks that mpiexec has started, the first alone says what is wrong, or prints help."""
    with contextlib.ExitStack() as stack:
        if count_ranks() > 1 and find_rank() > 0:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def _run(argv: Sequence[str] | None) -> int:
    """Parse the arguments and run the command."""
    with _one_voice():
        arguments = _parse(argv)
    if arguments is None:
        return BAD_USAGE
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        if count_ranks() > 1:
            from .ranks import describe_on_ranks, run_on_ranks

            describe = partial(describe_on_ranks, message=_message, status=_status)
            return run_on_ranks(arguments, _run_command, _guarded, describe)
        return _guarded(arguments)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace | None:
    """Parse the arguments; None, after a word on what there is, without a command."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if arguments.command is None:
        print(f"{BEGIN}\n{parser.format_usage()}", end="", file=sys.stderr)
        return None
    unknown = [word for word in rest if word.startswith("-") or not hasattr(arguments, "overrides")]
    if unknown:
        guess = format_suggestion(unknown[0], arguments.parser._option_string_actions)
        if not guess and hasattr(arguments, "config"):
            guess = "; values of the config are given as key=value, such as trainer.epochs=3"
        arguments.parser.error(f"unknown option: {' '.join(unknown)}{guess}")
    if rest:
        arguments.overrides = [*arguments.overrides, *rest]  # argparse leaves the ones that follow an option
    return arguments


def _run_command(arguments: argparse.Namespace) -> int:
    """Run the command, without a word of its errors."""
    with _imports(arguments), _memory(arguments):
        status = arguments.function(arguments)
    sys.stdout.flush()
    return status


def _guarded(arguments: argparse.Namespace) -> int:
    """Run the command; print errors that are no bugs in one line."""
    try:
        return _run_command(arguments)
    except BrokenPipeError:  # the reader has gone, such as `head`: so does this, without a word
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt as error:
        print_marked("bprop:", _message("interrupted", error))
        return INTERRUPTED
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        from ..configs.memory_limit import describe_error

        print_marked("bprop: error:", _message(describe_error(error) or type(error).__name__, error), RED)
        return status


def _imports(arguments: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    """The context in which configs import nothing, or everything, if that is asked for."""
    if getattr(arguments, "no_imports", False):
        from ..configs import no_imports

        return no_imports()
    if getattr(arguments, "imports", False):
        from ..configs import allow_imports

        return allow_imports()
    return _asking() if hasattr(arguments, "imports") else contextlib.nullcontext()


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """Context in which the user at the terminal is asked before a run folder's code is run."""
    from ..runs import trust

    trust.ask = _ask
    try:
        yield
    finally:
        trust.ask = None


def _ask(what: str) -> bool:
    """Ask whether code is to be run; no, without a terminal."""
    if sys.stdin is None or not sys.stdin.isatty() or not sys.stderr.isatty():
        return False
    print(f"bprop: {what}. Run its code? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _memory(arguments: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    """Context with a memory limit, for the commands that build models and read data."""
    if arguments.command in ("new", "schema", "completion"):
        return contextlib.nullcontext()
    from ..configs.memory_limit import limit_memory

    return limit_memory()


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print_marked("bprop: warning:", f" {message}", YELLOW)


def _status(error: Exception) -> int | None:
    """The exit status for a user's mistake, None for a bug, which keeps its traceback."""
    from ..configs import ConfigError

    if isinstance(error, ConfigError | OSError | MemoryError):
        return BAD_USAGE
    if isinstance(error, ValueError | ImportError) and _raised_in(error).startswith(
        ("bprop.datasets", "bprop.trainers")
    ):
        return BAD_USAGE
    from ..training.minibatches import TrainingError

    return FAILED if isinstance(error, TrainingError) else None


def _raised_in(error: Exception) -> str:
    """Find the name of the module whose line raised the error."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", ""))


def _message(text: str, error: BaseException) -> str:
    """Format an error with its notes below; a text of several lines starts on a new line."""
    first = f"\n{text}" if "\n" in text else f" {text}"
    return "\n  ".join([first, *getattr(error, "__notes__", [])])


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("bprop", description=DESCRIPTION, epilog=OVERVIEW, formatter_class=_Help)
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name in COMMANDS:
        import_module(f".{name}", __name__).add_command(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser that suggests which of its choices was meant, and marks errors as all others are."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.color = False  # in Python 3.14: its codes would be escaped like any others

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        self.print_usage(sys.stderr)
        suggestion = format_suggestion(wrong[1], re.findall(r"[\w-]+", wrong[2])) if wrong else ""
        print_marked(f"{self.prog}: error:", f" {message}{suggestion}", RED)
        sys.exit(BAD_USAGE)


class _Help(argparse.RawDescriptionHelpFormatter):
    """A formatter with the commands in one column."""

    def _iter_indented_subactions(self, action: argparse.Action) -> Generator[argparse.Action, None, None]:
        for each in super()._iter_indented_subactions(action):
            self._dedent()
            yield each
            self._indent()


class _Version(argparse.Action):
    """An action that looks up the version when it is needed."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"bprop {version('bprop')}")
        parser.exit()
