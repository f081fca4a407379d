"""Safe output: control characters are escaped, and every character can be encoded.

Names of runs, classes and files may be anybody's. What a stream's encoding lacks, as all beyond ASCII in some
environments, appears as Python escapes it, and ends no command.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # all but tabs, and ends of lines
BIDIRECTIONAL = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # show text in another order than it has
STEERING = re.compile(f"[{CONTROLS}{BIDIRECTIONAL}]")
RETURNS = re.compile(r"\r(?!\n)")  # that would overwrite the line


RED, YELLOW = "31", "33"


def print_marked(start: str, text: str, color: str = "") -> None:
    """Print to stderr; on a terminal its start is bold and in color, unless NO_COLOR is set or the terminal is dumb.

    Source: https://no-color.org.
    """
    stream = sys.stderr
    raw = stream._stream if isinstance(stream, PlainText) else stream
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if color and raw.isatty() and not plain:
        raw.write(f"\x1b[1;{color}m")
        stream.write(start)
        raw.write("\x1b[0m")
    else:
        stream.write(start)
    stream.write(text + "\n")
    stream.flush()


class PlainText:
    """A text stream that escapes what would steer a terminal; `returns`: leave it a progress bar's way back."""

    def __init__(self, stream: Any, *, returns: bool):
        self._stream, self._returns = stream, returns

    def write(self, text: str) -> int:
        """Write the text; returns its length."""
        self._stream.write(escape_controls(text, returns=self._returns))
        return len(text)

    def writelines(self, texts) -> None:
        """Write each text."""
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def escape_controls(text: str, *, returns: bool = False) -> str:
    """Escape control characters, as \x1b."""
    if text.isprintable():
        return text
    text = STEERING.sub(lambda match: ascii(match[0])[1:-1], text)
    return text if returns else RETURNS.sub(r"\\r", text)


@contextlib.contextmanager
def escape_output() -> Iterator[None]:
    """Context in which stdout and stderr escape control characters and never fail to encode."""
    streams = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    before = {name: stream.errors for name, stream in streams.items() if hasattr(stream, "reconfigure")}
    for name, stream in streams.items():
        if before.get(name) == "strict":
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, PlainText(stream, returns=name == "stderr"))
    try:
        yield
    finally:
        for name, stream in streams.items():
            setattr(sys, name, stream)
            if before.get(name) == "strict":
                with contextlib.suppress(ValueError, OSError):  # closed, or nobody reads it
                    stream.reconfigure(errors="strict")
