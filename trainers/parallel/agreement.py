"""What all ranks must agree on: versions and sources at the start, bits of the weights at the end of each epoch."""

import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .communicator import Ranks
from .watchdog import RankError

T = TypeVar("T")


def check_same_bits(ranks: Ranks, arrays: dict[str, dict[str, np.ndarray]]) -> None:
    """Raise RankError that names a rank and an array which is not that of rank 0."""
    sums = {
        f"{owner}.{name}": zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data) if array.size else 0
        for owner, own in arrays.items()
        for name, array in own.items()
    }
    for peer, theirs in zip(ranks.peers, ranks.share(sums, "the check of the weights"), strict=True):
        wrong = [name for name in sums if theirs.get(name) != sums[name]]
        first = ranks.peers[0]
        if wrong and peer.rank != ranks.rank and ranks.rank == 0:
            raise RankError(
                f"{peer} has other numbers in {wrong[0]} than {first}: a module or a callback computes what depends on "
                "the process, such as random numbers without a seed, a clock, or a file"
            )


def compare_facts(ranks: Ranks, facts: dict[str, str]) -> str | None:
    """Compare what each rank says of itself with what rank 0 says; the first difference in words, None without one."""
    everybody = ranks.share(facts, "the versions")
    for peer, theirs in zip(ranks.peers, everybody, strict=True):
        for name, value in everybody[0].items():
            if theirs.get(name) != value:
                what = f"{theirs.get(name)} there, {value} here"
                return f"{peer} differs from {ranks.peers[0]} in {name} ({what}), expected the same on all ranks"
    return None


def run_on_all(ranks: Ranks, work: Callable[[], T], what: str) -> T:
    """Do the same work on each rank, such as reading a config; returns the own result.

    Where it fails on all ranks alike, its error is raised on each.
    Errors: RankError where it fails on some ranks only, with the first of them, and its error.
    """
    result: Any = None
    error: Exception | None = None
    try:
        result = work()
    except Exception as problem:
        error = problem
    failures = ranks.share(None if error is None else f"{type(error).__name__}: {error}", what)
    failed = [rank for rank, failure in enumerate(failures) if failure is not None]
    if not failed:
        return result
    if len(failed) == ranks.size and error is not None:
        raise error
    others = f"; nor can {len(failed) - 1} more" if len(failed) > 1 else ""
    raise RankError(f"{ranks.peers[failed[0]]} cannot do what the others can ({what}){others}: {failures[failed[0]]}")


def run_on_first(ranks: Ranks, work: Callable[[], T], what: str) -> T:
    """Do work on rank 0 alone, such as making a folder; returns its result on each rank.

    Errors: where it fails, its error is raised on rank 0, and RankError with the same words on the others.
    """
    result: Any = None
    error: BaseException | None = None
    if ranks.is_first:
        try:
            result = work()
        except Exception as problem:
            error = problem
    failure = None if error is None else f"{type(error).__name__}: {error}"
    failure, result = ranks.from_first((failure, result if error is None else None), what)
    if error is not None:
        raise error
    if failure is not None:
        raise RankError(f"{ranks.peers[0]} failed ({what}): {failure}")
    return result
