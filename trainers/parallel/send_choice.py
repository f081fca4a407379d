"""How gradients are sent between hosts, chosen by the times of the first steps.

What is best depends on the link: one that is slower than the processors is hidden behind the backward pass, and
carries both ways at once in short messages; where copies are what takes time, these are best made in one go.
"""

import statistics
from dataclasses import dataclass

PIECE = 60_000  # bytes: the least that MPIs send at once over TCP, without asking the receiver first, is 64 KiB
TRIALS = 4  # times of each way
STEPS = 3  # of a time


@dataclass(frozen=True)
class Way:
    """Whether sections are sent as soon as they are ready; the bytes of a message at most, 0 for whole arrays."""

    early: bool
    piece: int


WAYS = (Way(False, 0), Way(False, PIECE), Way(True, PIECE))


class SendChoice:
    """Tries each way in turn, then keeps the one of the least median time.

    Args: size: bytes of the gradients; early: whether there are sections to be sent early.
    """

    def __init__(self, size: int, early: bool):
        ways = [way for way in WAYS if size > way.piece and (early or not way.early)]
        self.times: dict[Way, list[float]] = {way: [] for way in ways or [Way(False, 0)]}

    @property
    def decided(self) -> bool:
        """Whether all ways have been tried."""
        return len(self.times) == 1 or min(map(len, self.times.values())) >= TRIALS

    def propose(self) -> Way:
        """Propose the way of the next steps."""
        if self.decided:
            return min(self.times, key=lambda way: statistics.median(self.times[way] or [0.0]))
        return min(self.times, key=lambda way: len(self.times[way]))

    def note(self, way: Way, seconds: float) -> None:
        """Note the time of a step."""
        if not self.decided:
            self.times[way].append(seconds)
