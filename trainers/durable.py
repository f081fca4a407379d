"""Files that survive whatever stops the process: each is whole, old or new, never half written; and folders in use."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # not on Windows, where a folder cannot be locked
    fcntl = None  # type: ignore[assignment]

ASIDE = ".tmp"  # what a file is called while it is written


def write_durably(path: Path, content: bytes | str) -> None:
    """Write a file aside, make sure that it is on the disk, and only then give it its name."""
    aside = path.with_name(path.name + ASIDE)
    try:
        with aside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, durably."""
    write_durably(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk, where the system can do that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def in_use(folder: Path) -> bool:
    """Whether another process has a folder."""
    try:
        with locked(folder):
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within this context no other process has the folder; the system frees it even if this one is killed.

    Errors: BlockingIOError if another process has it.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"the run folder {folder} is in use by another process") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)
