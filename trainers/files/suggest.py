"""Suggestions for misspelled words."""

import difflib
import re
from collections.abc import Iterable


def format_suggestion(word: object, known: Iterable[object], *, least: float = 0.6) -> str:
    """Format `; did you mean 'momentum'?`, or "" when no known word is similar; `least`: minimum ratio, 0 to 1."""
    by_lower = {str(name).lower(): str(name) for name in known}
    family = [name for lower, name in by_lower.items() if re.fullmatch(re.escape(str(word).lower()) + r"\dd", lower)]
    if len(family) > 1:  # BatchNorm1d, BatchNorm2d: which one depends on x
        return f"; did you mean {' or '.join(map(repr, sorted(family)))}?"
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=least)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""
