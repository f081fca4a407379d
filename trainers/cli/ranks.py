"""Commands on several ranks of MPI: all work, the first one prints, and an error of any ends all with one message."""

import argparse
import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from .command import BAD_USAGE, FAILED, INTERRUPTED, OK

SHARED = ("train", "resume", "evaluate", "predict", "sweep", "profile")  # on all ranks; others run on the first alone


Run = Callable[[argparse.Namespace], int]


def run_on_ranks(arguments: argparse.Namespace, run: Run, run_alone: Run, describe: Callable) -> int:
    """Run a command on all ranks, or on the first alone; returns the exit status.

    Args: run_alone: runs it as in a process by itself; describe: makes the message and the exit status of an error.
    """
    from ..parallel.launcher import SWITCH, find_rank

    first = find_rank() == 0
    if arguments.command not in SHARED:
        if not first:
            return OK
        with set_variable(SWITCH, "0"):  # nothing in it waits for ranks that have ended
            return run_alone(arguments)
    try:
        from ..parallel.ending import end_all
        from ..parallel.job import connect

        ranks = connect()
    except (ImportError, RuntimeError, ValueError) as error:
        if first:
            print(f"bprop: error: {error}", file=sys.stderr)
        return BAD_USAGE
    try:
        with contextlib.ExitStack() as stack:
            if not ranks.is_first:
                stack.enter_context(contextlib.redirect_stdout(open(os.devnull, "w")))  # noqa: SIM115
                warnings.showwarning = lambda *_, **__: None
            status = run_checked(arguments, run, ranks)
            ranks.wait_for_all("the end of the command")
        return status
    except BaseException as error:
        return end_all(ranks, error, *describe(error))


@contextlib.contextmanager
def set_variable(name: str, value: str) -> Iterator[None]:
    """Context in which a variable of the environment has this value."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        os.environ.update({} if before is None else {name: before})


def run_checked(arguments: argparse.Namespace, run: Run, ranks: Any) -> int:
    """Run a command on ranks that are alike."""
    from ..parallel.agreement import compare_facts
    from ..parallel.watchdog import RankError
    from ..runs.runs_on_ranks import describe_process

    if difference := compare_facts(ranks, describe_process() | {"the command": " ".join(sys.argv[1:])}):
        raise RankError(difference)
    return run(arguments)


def describe_on_ranks(
    error: BaseException, message: Callable[..., str], status: Callable[[Any], int | None]
) -> tuple[str, int]:
    """Describe an error as the command line does; of one that is a bug, its traceback."""
    from ..parallel.watchdog import RankError

    if isinstance(error, KeyboardInterrupt):
        return "bprop:" + message("interrupted", error), INTERRUPTED
    if isinstance(error, RankError):
        return "bprop: error:" + message(str(error), error), FAILED
    known = status(error) if isinstance(error, Exception) else None
    if known is None or not isinstance(error, Exception):
        return "".join(traceback.format_exception(error)).rstrip(), FAILED
    from ..configs.memory_limit import describe_error

    return "bprop: error:" + message(describe_error(error) or type(error).__name__, error), known
