"""Reading by rank 0 alone, while the others wait, and decode images for it.

Rank 0 gives each other rank a few images at a time, decodes some itself, and gets the rest in their order. So an error
is that of one process; what another rank cannot decode, such as files that its host does not have, rank 0 decodes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from ...datasets import Dataset
from ...datasets.files.image_files import ImageSettings, decode_by, decode_here
from .agreement import run_on_all, run_on_first
from .broadcast import broadcast
from .communicator import Ranks
from .messages import decode, encode
from .shared_data import Receive, share_data

T = TypeVar("T")
CHUNK = 8  # images of a request
REQUESTS = 2  # that a rank has at a time
AHEAD = 8  # requests for each rank, so far ahead of what is read


def read_on_first(ranks: Ranks, work: Callable[[], T], what: str) -> T | None:
    """Do work that reads data on rank 0 alone; the others help. Returns its result there, None elsewhere.

    However long it takes, no rank takes rank 0 for dead. Errors: as of `run_on_first`.
    """
    results = []

    def read() -> None:
        helpers = Helpers(ranks, what)
        try:
            with decode_by(helpers.decode):
                results.append(work())
        finally:
            helpers.send_home()

    if not ranks.is_first:
        serve(ranks, what)
    run_on_first(ranks, read, what)
    return results[0] if results else None


def read_for_all(ranks: Ranks, build: Callable[[Receive | None], T], find: Callable[[T], Dataset], what: str) -> T:
    """Build something with a data set on each rank, whose files rank 0 reads for all; returns the own one.

    Args: build: gets what writes the data into the data set, None on rank 0; find: finds the data set in the result.
    Errors: as of `run_on_first`; RankError for ranks that cannot build it.
    """
    result = read_on_first(ranks, lambda: build(None), what)
    receive = share_data(ranks, find(result) if result is not None else None)
    return run_on_all(ranks, lambda: build(receive) if result is None else result, what)


def read_and_send(ranks: Ranks, work: Callable[[], T], what: str) -> T:
    """Do work that reads something on rank 0 alone, and send the result, which a message can hold, to all ranks.

    Errors: as of `run_on_first`.
    """
    result = read_on_first(ranks, work, what)
    message = encode(result) if ranks.is_first else np.empty(0, np.uint8)
    size = ranks.from_first(message.size, what)
    if not ranks.is_first:
        message = np.empty(size, np.uint8)
    broadcast(ranks, message, what)
    return cast(T, result) if ranks.is_first else decode(message)


def share_parts(ranks: Ranks, data: Any, parts: Sequence[str]) -> None:
    """Let rank 0 read parts of a data set for all ranks, unless all have read them, or it is no Dataset."""
    if not isinstance(data, Dataset):
        return
    missing, what = [part for part in parts if part not in vars(data)], "reading the data"
    if not any(ranks.share(missing, what)):
        return
    read_on_first(ranks, lambda: [getattr(data, part) for part in parts], what)
    receive = share_data(ranks, data if ranks.is_first else None)
    run_on_all(ranks, lambda: receive(data) if missing and not ranks.is_first else None, what)


def serve(ranks: Ranks, what: str) -> None:
    """Decode images for rank 0 until it has read its data."""
    with no_limit(ranks):
        while (request := wait_for_note(ranks, [0], what)[1])["paths"]:
            paths, settings = [Path(path) for path in request["paths"]], ImageSettings(**request["settings"])
            ranks.send_note(0, {"number": request["number"], "images": decode_if_possible(paths, settings)})


class Helpers:
    """The other ranks, as rank 0 sees them while it reads."""

    def __init__(self, ranks: Ranks, what: str):
        self.ranks, self.what = ranks, what
        self.able = list(range(1, ranks.size))  # those that can decode
        self._busy: Counter[int] = Counter()
        self._done: dict[int, list[np.ndarray] | None] = {}

    def decode(self, paths: Sequence[Path], settings: ImageSettings) -> Iterator[np.ndarray]:
        """Decode images, in their order."""
        chunks = [paths[first : first + CHUNK] for first in range(0, len(paths), CHUNK)]
        self._done, asked = {}, 0
        for number, chunk in enumerate(chunks):
            end = min(len(chunks), number + AHEAD * self.ranks.size)
            while number not in self._done:
                asked = self._hand_out(chunks, asked, end, settings)
                if self._collect(wait=False):
                    continue
                if asked < end:
                    self._done[asked] = decode_if_possible(chunks[asked], settings)
                    asked += 1
                else:
                    self._collect(wait=True)
            images = self._done.pop(number)
            yield from decode_here(chunk, settings) if images is None else images

    def _hand_out(self, chunks: list[Sequence[Path]], asked: int, end: int, settings: ImageSettings) -> int:
        """Give ranks what to decode; returns the number of the next chunk that nobody has."""
        for rank in self.able * REQUESTS:
            if asked < end and self._busy[rank] < REQUESTS:
                paths = [str(path.absolute()) for path in chunks[asked]]
                self.ranks.send_note(rank, {"number": asked, "paths": paths, "settings": vars(settings)})
                self._busy[rank] += 1
                asked += 1
        return asked

    def _collect(self, wait: bool) -> bool:
        """Get what other ranks have decoded; whether there was anything."""
        busy = [rank for rank, count in self._busy.items() if count]
        found = [(rank, note) for rank in busy if (note := self.ranks.receive_note(rank)) is not None]
        if not found and wait:
            found = [wait_for_note(self.ranks, busy, self.what)]
        for rank, note in found:
            self._busy[rank] -= 1
            self._done[note["number"]] = note["images"]
            if note["images"] is None and rank in self.able:
                self.able.remove(rank)
        return bool(found)

    def send_home(self) -> None:
        """Tell the other ranks that the data are read."""
        for rank in range(1, self.ranks.size):
            self.ranks.send_note(rank, {"paths": []})


def decode_if_possible(paths: Sequence[Path], settings: ImageSettings) -> list[np.ndarray] | None:
    """Decode images; None for an error, which rank 0 finds again when these images are next."""
    try:
        return list(decode_here(paths, settings))
    except Exception:
        return None


def wait_for_note(ranks: Ranks, senders: Sequence[int], what: str) -> tuple[int, Any]:
    """Wait for a note of one of some ranks; returns its rank and the note."""
    found: list[tuple[int, Any]] = []

    def look() -> bool:
        for rank in senders:
            if not found and (note := ranks.receive_note(rank)) is not None:
                found.append((rank, note))
        return bool(found)

    ranks.watchdog.wait(look, lambda: [ranks.peers[rank] for rank in senders], what)
    return found[0]


@contextmanager
def no_limit(ranks: Ranks) -> Iterator[None]:
    """Context in which this rank waits as long as others live."""
    limit, ranks.watchdog.limit = ranks.watchdog.limit, float("inf")
    try:
        yield
    finally:
        ranks.watchdog.limit = limit
