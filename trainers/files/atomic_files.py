"""Atomic file writes, which survive any interruption: a file is whole, old or new; and locks of folders.

Nothing is ever written through a link, since a folder may come from somebody else; and a file system that refuses to
sync or to lock is warned of, not given up.
"""

import contextlib
import errno
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # not on Windows, where a folder cannot be locked
    fcntl = None  # type: ignore[assignment]

ASIDE = ".tmp"  # what a file is called while it is written
LOCK = ".lock"  # the file that is locked where a folder cannot be
DATA_LOSS = (errno.EIO, errno.ENOSPC, errno.EDQUOT)  # of a sync that tells that the content is not on the disk
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
MAX_DEPTH = 100  # levels of a JSON file
_warned: set[tuple[str, str]] = set()  # what was said of which folder


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file atomically: write a temporary file, sync it to the disk, then rename it.

    What has the name of either is replaced; if it is a link, what it points to stays as it is. Characters that UTF-8
    lacks, as in names of files that are not UTF-8, are written as JSON and Python escape them.
    """
    check_file_path(path)
    aside = path.with_name(path.name + ASIDE)
    aside.unlink(missing_ok=True)  # of a process that was killed, or a link
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINKS, 0o666), "wb") as file:
            file.write(encode_text(content))
            file.flush()
            sync(file.fileno(), path)
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def check_file_path(path: Path) -> None:
    """Check that a file may have this path; OSError if it is a folder's, or if its folder is not there."""
    if (path.is_dir() and not path.is_symlink()) or not path.name:
        raise IsADirectoryError(errno.EISDIR, "is a folder, expected the path of a file", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))


def encode_text(content: bytes | str) -> bytes:
    """Encode text in UTF-8."""
    return content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content


def append_text(path: Path, text: str) -> None:
    """Append text to a file; OSError if it is a link."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_LINKS, 0o666), "ab") as file:
        file.write(encode_text(text))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; OSError if there is none, ValueError if it is no JSON or nested beyond DEEPEST."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path))
    try:
        value = json.loads(path.read_bytes())
    except RecursionError:
        value = None
        levels = MAX_DEPTH + 1
    else:
        levels = measure_depth(value)
    if levels > MAX_DEPTH:
        raise ValueError(f"{path}: nested too deeply, expected at most {MAX_DEPTH} levels")
    return value


def measure_depth(value: Any) -> int:
    """Measure the nesting depth of lists and dicts, without recursion."""
    levels, inside = 0, [value]
    while inside and levels <= MAX_DEPTH:
        values = [each.values() if isinstance(each, dict) else each for each in inside if isinstance(each, dict | list)]
        levels, inside = levels + bool(values), [item for each in values for item in each]
        if not values:
            break
    return levels


def find_inner_folder(folder: Path, name: str) -> Path:
    """Find a folder within another, for writing; OSError if it is a link, which may lead anywhere."""
    inner = folder / name
    if inner.is_symlink():
        raise OSError(errno.ELOOP, "is a link, expected a folder: nothing is written through links", str(inner))
    return inner


def sync(handle: int, path: Path) -> None:
    """Sync a file's content to the disk; a warning where the file system refuses."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in DATA_LOSS:
            raise
        warn_once(path.parent, f"{path} cannot be synced ({error.strerror}); a loss of power may cost it")


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk; a warning where the file system refuses."""
    if os.name != "posix":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in DATA_LOSS:
            raise
        warn_once(
            folder, f"the folder {folder} cannot be synced ({error.strerror}); a loss of power may cost its last file"
        )


def warn_once(folder: Path, text: str) -> None:
    """Warn about a folder, once for each kind of warning."""
    key = str(folder), text.partition(" cannot be ")[2]
    if key not in _warned:
        _warned.add(key)
        warnings.warn(text, stacklevel=3)


def is_in_use(folder: Path) -> bool:
    """Whether another process has locked a folder."""
    try:
        with lock_folder(folder):
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Context in which no other process may use the folder; the system unlocks it even if this process is killed.

    The folder itself is locked. Where the file system refuses that, as NFS does, a file `.lock` in it is, by a lock of
    the kind that NFS knows; and where it refuses that, too, a warning says so.
    Errors: BlockingIOError if another process has it.
    """
    if fcntl is None:
        yield
        return
    with contextlib.ExitStack() as handles:
        handle = os.open(folder, os.O_RDONLY)
        handles.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise make_in_use_error(folder) from None
        except OSError:
            lock_file(folder, handles)
        yield


def lock_file(folder: Path, handles: contextlib.ExitStack) -> None:
    """Lock the file `.lock` of a folder that cannot be locked itself; a warning if that cannot be locked either."""
    path, opened = folder / LOCK, False
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o666)
        handles.callback(os.close, handle)
        opened = True
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if opened and error.errno in (errno.EAGAIN, errno.EACCES):
            raise make_in_use_error(folder) from None
        warn_once(folder, f"{path} cannot be locked ({error.strerror}); let no other process train in that folder")


def make_in_use_error(folder: Path) -> BlockingIOError:
    """Make the error for a folder that another process uses."""
    return BlockingIOError(f"the run folder {folder} is in use by another process")
