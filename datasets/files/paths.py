"""Paths of users, in which `~` is expanded."""

from __future__ import annotations

import os
from pathlib import Path


def expand_path(path: str | os.PathLike) -> Path:
    """Expand `~` and `~user` in a path; the folder of compiled code follows the same rule.

    Errors: ValueError where there is no such home: a folder named `~` is never meant (and if it is, it is `./~`).
    """
    text = os.fspath(path)
    if not text.startswith("~"):
        return Path(path)
    user = text[1:].split("/")[0].split(os.sep)[0]
    expanded = os.path.expanduser(text)
    if not user and os.name == "posix" and not os.path.isabs(os.environ.get("HOME", "/")):  # HOME= is no home
        expanded = find_home() + text[1:] if find_home() else text
    if not os.path.isabs(expanded):
        what = f"there is no user {user!r}" if user else "this user has no home; set HOME"
        raise ValueError(f"{text!r} is no path: {what}")
    return Path(expanded)


def find_home() -> str:
    """Find this user's home in the system's list of users; "" if it has none."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""
