"""A line for the user who waits: said only where something takes longer than it does as a rule."""

import sys
import threading

from tqdm import tqdm

PATIENCE = 0.5  # seconds; finding a compiled step in the cache takes less than 0.1


class said_if_slow:
    """Within this context, `text` appears on stderr once more than PATIENCE seconds have passed.

    Compiling takes seconds, finding the compiled code in the cache does not; only afterwards is it known which it was.
    """

    def __init__(self, text: str, *, quiet: bool = False):
        self._timer = threading.Timer(PATIENCE, lambda: tqdm.write(text, file=sys.stderr))
        self._timer.daemon = True
        self._quiet = quiet

    def __enter__(self) -> None:
        if not self._quiet:
            self._timer.start()

    def __exit__(self, *exception) -> None:
        self._timer.cancel()
