"""The end of all ranks after an error of any: one message, whoever has it, and no rank that waits for ever."""

import sys
import traceback
from types import TracebackType

from .communicator import FAILED, PeerFailure, Ranks, view_bytes
from .messages import encode
from .watchdog import RankError

TOGETHER = 3.0  # seconds in which ranks that fail alike say so
ANSWER = 20.0  # seconds that a rank which has failed by itself waits for the first to end all
LATE = 5.0  # the same, of a rank that misses another


def end_all(ranks: Ranks, error: BaseException, text: str, status: int) -> int:
    """End all ranks with one message; returns the exit status, if all of them have failed alike.

    The first rank that is alive prints it; another one tells it what has happened, and prints only if that is in vain.
    The first rank tells all others, which wait for it, and end without a word.
    """
    try:
        missing = isinstance(error, RankError) and not isinstance(error, PeerFailure)
        patience = LATE if missing else ANSWER
        if ranks.rank == find_speaker(ranks):
            print(text, file=sys.stderr, flush=True)
            if ranks.is_first:
                data = encode("it has failed, and has said why")
                sent = [ranks.comm.Isend(view_bytes(data), rank, FAILED) for rank in range(1, ranks.size)]
                if ranks.hear_all_failures(TOGETHER) and sent and not ranks.unfinished:
                    return status
        elif ranks.tell_first(str(error) if missing else text.removeprefix("bprop: error: "), patience):
            if not ranks.unfinished:
                return status
        else:
            print(text, file=sys.stderr, flush=True)
    except BaseException:
        traceback.print_exc()
    ranks.abort(status)
    return status


def find_speaker(ranks: Ranks) -> int:
    """Find the first rank that is alive, as far as this host knows."""
    host = ranks.own.host
    return next((peer.rank for peer in ranks.peers if peer.host != host or peer.is_alive()), ranks.rank)


def end_all_by_hook(ranks: Ranks) -> None:
    """Let an error that nobody catches end all ranks, in a program that the launcher has started."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.excepthook = before
        known = isinstance(error, RankError)  # no line of the program is to blame
        text = f"bprop: error: {error}" if known else "".join(traceback.format_exception(kind, error, trace)).rstrip()
        end_all(ranks, error, text, 1)
        if ranks.size < ranks.job_size:  # others of the job would wait at its end for ever
            ranks.abort(1)

    sys.excepthook = hook
