"""The ranks of a job, over mpi4py: plain sends and receives, each awaited by the watchdog.

MPI does no arithmetic here, and none of its collective operations are used: a wait on one could not be watched.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .messages import decode, encode
from .watchdog import Peer, RankError, Watchdog

SIZE, BYTES, NUMBERS, NOTE, FAILED, OVER = 1, 2, 3, 80, 90, 91  # tags of messages


class Ranks:
    """The ranks of a training. Every method is called by all of them, in the same order.

    Args: comm: an mpi4py communicator; it is duplicated, so that other messages of the program are apart.
    `rank` is the number of this one, `size` that of all, `peers` say where each of them is. `unfinished` counts the
    exchanges that have begun: with one of these MPI may not end by itself.
    """

    def __init__(self, comm: Any):
        from mpi4py import MPI

        self._mpi, self.comm, self.unfinished = MPI, comm.Dup(), 0
        self.rank, self.size = int(self.comm.rank), int(self.comm.size)
        own = Peer(self.rank, socket.gethostname(), os.getpid())
        self.watchdog = Watchdog(own, self._hear)
        self._sent: list[tuple[np.ndarray, Any]] = []  # notes whose memory is in use
        self.peers = [own] * self.size
        self.peers = [Peer(*each) for each in self.share((own.rank, own.host, own.pid), "the start")]

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, the one that prints and writes."""
        return self.rank == 0

    @property
    def job_size(self) -> int:
        """The number of ranks of the whole job, which may be more."""
        return int(self._mpi.COMM_WORLD.size)

    @property
    def own(self) -> Peer:
        """This rank."""
        return self.peers[self.rank]

    # -- any objects -----------------------------------------------------------------------------------------------

    def share(self, value: Any, what: str) -> list[Any]:
        """The values of all ranks, in their order."""
        data = encode(value)
        sizes = np.zeros((self.size, 1), np.int64)
        sizes[self.rank] = data.size
        others = [rank for rank in range(self.size) if rank != self.rank]
        self.exchange([(sizes[self.rank], r) for r in others], [(sizes[r], r) for r in others], what, SIZE)
        received = {rank: np.empty(int(sizes[rank, 0]), np.uint8) for rank in others}
        self.exchange([(data, r) for r in others], [(received[r], r) for r in others], what, BYTES)
        return [value if rank == self.rank else decode(received[rank]) for rank in range(self.size)]

    def from_first(self, value: Any, what: str) -> Any:
        """The value of rank 0."""
        if self.rank:
            size, data = np.zeros(1, np.int64), np.empty(0, np.uint8)
            self.exchange([], [(size, 0)], what, SIZE)
            data = np.empty(int(size[0]), np.uint8)
            self.exchange([], [(data, 0)], what, BYTES)
            return decode(data)
        data = encode(value)
        size, others = np.array([data.size]), range(1, self.size)
        self.exchange([(size, r) for r in others], [], what, SIZE)
        self.exchange([(data, r) for r in others], [], what, BYTES)
        return value

    def to_first(self, value: Any, what: str) -> list[Any] | None:
        """The values of all ranks at rank 0, in their order; None elsewhere."""
        if self.rank:
            data = encode(value)
            self.exchange([(np.array([data.size]), 0)], [], what, SIZE)
            self.exchange([(data, 0)], [], what, BYTES)
            return None
        sizes = np.zeros((self.size, 1), np.int64)
        others = range(1, self.size)
        self.exchange([], [(sizes[r], r) for r in others], what, SIZE)
        received = [np.empty(int(size[0]), np.uint8) for size in sizes]
        self.exchange([], [(received[r], r) for r in others], what, BYTES)
        return [value, *(decode(each) for each in received[1:])]

    def wait_for_all(self, what: str) -> None:
        """Return when all ranks have called this."""
        self.share(None, what)

    # -- arrays ----------------------------------------------------------------------------------------------------

    def exchange(
        self,
        outgoing: Sequence[tuple[np.ndarray, int]],
        incoming: Sequence[tuple[np.ndarray, int]],
        what: str,
        tag: int = NUMBERS,
    ) -> None:
        """Send arrays to ranks, and receive arrays from ranks, all contiguous; those between two ranks keep order.

        Errors: RankError where one of them has died, has failed, or does not answer.
        """
        self.finish([self.begin(outgoing, incoming, tag)], what)

    def begin(
        self,
        outgoing: Sequence[tuple[np.ndarray, int]],
        incoming: Sequence[tuple[np.ndarray, int]],
        tag: int = NUMBERS,
        piece: int = 0,
    ) -> "Pending":
        """Begin an exchange, which `finish` waits for, in messages of at most `piece` bytes; 0: whole arrays."""
        self.unfinished += 1
        return Pending(self, cut_pieces(outgoing, piece), cut_pieces(incoming, piece), tag)

    def finish(self, exchanges: Sequence["Pending"], what: str) -> None:
        """Wait for exchanges. Errors: those of `exchange`."""

        def list_missing() -> list[Peer]:
            return list(dict.fromkeys(peer for each in exchanges for peer in each.list_missing()))

        self.watchdog.wait(lambda: all(each.is_done() for each in exchanges), list_missing, what)
        self.unfinished -= len(exchanges)

    # -- notes, for which nobody waits ------------------------------------------------------------------------------

    def send_note(self, rank: int, note: Any) -> None:
        """Send a rank a small object, which it finds when it looks."""
        data = encode(note)
        self._sent = [each for each in self._sent if not each[1].Test()]
        self._sent.append((data, self.comm.Isend(view_bytes(data), rank, NOTE)))

    def receive_note(self, rank: int) -> Any:
        """The next note of a rank; None if there is none."""
        status = self._mpi.Status()
        if not self.comm.Iprobe(rank, NOTE, status):
            return None
        data = np.empty(status.Get_count(self._mpi.BYTE), np.uint8)
        self.comm.Recv(view_bytes(data), rank, NOTE)
        return decode(data)

    # -- failures --------------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Raise RankError if another rank has said that it has failed."""
        status = self._mpi.Status()
        if self.comm.Iprobe(self._mpi.ANY_SOURCE, FAILED, status):
            data = np.empty(status.Get_count(self._mpi.BYTE), np.uint8)
            self.comm.Recv(view_bytes(data), status.source, FAILED)
            raise PeerFailure(self.peers[status.source], decode(data))

    def tell_first(self, text: str, seconds: float) -> bool:
        """Tell rank 0 that this one has failed, and wait so long; returns whether all have failed, and may end."""
        data = encode(text)
        self._told = data, [self.comm.Isend(view_bytes(data), 0, FAILED)]  # its memory is in use until the end
        return self._await(lambda: self.comm.Iprobe(0, OVER), seconds)

    def hear_all_failures(self, seconds: float) -> bool:
        """Hear at rank 0, for so long, whether all others have failed as well; if so, they end."""
        left = self.size - 1

        def hear() -> bool:
            nonlocal left
            while left and self.comm.Iprobe(self._mpi.ANY_SOURCE, FAILED, status := self._mpi.Status()):
                data = np.empty(status.Get_count(self._mpi.BYTE), np.uint8)
                self.comm.Recv(view_bytes(data), status.source, FAILED)
                left -= 1
            return left == 0

        if not self._await(hear, seconds):
            return False
        end = np.zeros(1, np.uint8)
        self._told = end, [self.comm.Isend(view_bytes(end), rank, OVER) for rank in range(1, self.size)]
        return True

    @staticmethod
    def _await(is_done: Callable[[], bool], seconds: float) -> bool:
        """Wait until it is done, at most so long; returns whether it is."""
        end = time.monotonic() + seconds
        while not is_done():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def abort(self, status: int) -> None:
        """End all ranks of the job at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._mpi.COMM_WORLD.Abort(status)


class Pending:
    """Messages that are on their way."""

    def __init__(self, ranks: Ranks, outgoing: list[tuple[Any, int]], incoming: list[tuple[Any, int]], tag: int):
        self.ranks = ranks
        self.requests = [ranks.comm.Irecv(piece, rank, tag) for piece, rank in incoming]
        self.requests += [ranks.comm.Isend(piece, rank, tag) for piece, rank in outgoing]
        self.of_ranks = [rank for _, rank in (*incoming, *outgoing)]
        self._test = ranks._mpi.Request.Testall

    def is_done(self) -> bool:
        """Whether all have arrived; lets MPI go on with them."""
        return self._test(self.requests)

    def list_missing(self) -> list[Peer]:
        """List the ranks whose messages are missing, in order."""
        pairs = zip(self.requests, self.of_ranks, strict=True)
        return [self.ranks.peers[rank] for rank in sorted({rank for each, rank in pairs if not each.Get_status()})]


class PeerFailure(RankError):
    """Another rank has failed, and has said why."""

    def __init__(self, peer: Peer, text: str):
        super().__init__(f"{peer}: {text}")
        self.peer, self.text = peer, text


def cut_pieces(arrays: Sequence[tuple[np.ndarray, int]], piece: int) -> list[tuple[Any, int]]:
    """Cut the memory of arrays into pieces of at most so many bytes; 0 leaves them whole."""
    views = [(view_bytes(array), rank) for array, rank in arrays]
    if not piece:
        return views
    return [(view[k : k + piece], rank) for view, rank in views for k in range(0, max(view.size, 1), piece)]


def view_bytes(array: np.ndarray) -> Any:
    """The memory of a contiguous array, as MPI takes it: bytes."""
    return array.reshape(-1).view(np.uint8)
