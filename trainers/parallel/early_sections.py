"""Sections of the gradients that are exchanged while those of the layers before them are still being computed.

The backward pass begins with the last layers, whose gradients are the last part of the flat vector. The compiled loop
adds up such a section as soon as it is ready, and writes a byte into a pipe; a thread of Python, which sleeps until
then, begins its exchange, and lets MPI go on with it now and then. Only one thread at a time calls MPI.

Source: Goyal et al., Accurate, large minibatch SGD, arXiv 1706.02677 (2017), section 4: aggregation in parallel with
backprop.
"""

import os
import selectors
import threading
from collections.abc import Sequence

from .communicator import Pending
from .exchange import Exchange

PROGRESS = 0.0005  # seconds between two calls of MPI, while a section is on its way
CLOSE = 0  # the byte that ends the thread


class EarlySections:
    """The thread that exchanges sections early. `pipe` is where compiled code writes the ticket of its step, a byte.

    Errors: those of MPI, raised by `end_step`.
    """

    def __init__(self, exchange: Exchange):
        self.exchange = exchange
        self._source, self.pipe = os.pipe()
        self._lock = threading.Lock()  # of MPI, and of what follows
        self._ticket = 0
        self._covers: Sequence[int] | None = None
        self._begun: list[Pending] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name="bprop-exchange", daemon=True)
        self._thread.start()

    def begin_step(self, covers: Sequence[int]) -> int:
        """Begin a step, with so many sums of each rank; returns its ticket, 1 to 255."""
        with self._lock:
            self._ticket, self._covers = self._ticket % 255 + 1, covers
            return self._ticket

    def end_step(self) -> list[Pending]:
        """End a step: from now on this thread may call MPI; returns the exchanges that have begun, in order."""
        with self._lock:
            begun, self._begun, self._covers = self._begun, [], None
            if self._error is not None:
                raise self._error
            return begun

    def close(self) -> None:
        """End the thread."""
        os.write(self.pipe, bytes([CLOSE]))
        self._thread.join()
        for end in (self._source, self.pipe):
            os.close(end)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._source, selectors.EVENT_READ)
            on_its_way = False
            while True:
                tickets = os.read(self._source, 64) if selector.select(PROGRESS if on_its_way else None) else b""
                if CLOSE in tickets:
                    return
                with self._lock:
                    on_its_way = self._go_on(tickets)

    def _go_on(self, tickets: bytes) -> bool:
        """Begin what is ready, and let MPI go on; returns whether something is on its way."""
        if self._covers is None or self._error is not None:
            return False
        try:
            for _ in range(tickets.count(self._ticket)):
                self._begun.append(self.exchange.begin(len(self._begun), self._covers))
            return not all(each.is_done() for each in self._begun)
        except Exception as error:  # of MPI: the step raises it
            self._error = error
            return False
