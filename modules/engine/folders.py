"""Which folders compiled code is read from, and which one it is written to.

What lies there is executed. So a folder is made for its owner alone, and one that exists counts only if it is a folder
of this user's own that nobody else can write. A cache that was made beforehand may belong to the owner of this package
or to the administrator, who could change what is executed in any case; it is read wherever it lies, and never written.
"""

import atexit
import contextlib
import os
import shutil
import stat
import tempfile
import warnings
from pathlib import Path

PRIVATE: dict[int, Path | None] = {}  # by process: a folder that ends with it
UNSAFE = ("belongs to", "can be written by")  # how the reasons begin for which a folder is not trusted
_warned: set[str] = set()  # folders with a warning already


def expand_path(path: str | os.PathLike) -> Path:
    """Replace `~` and `~user` in a path by the home folder.

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


def find_configured_folder() -> Path | None:
    """Find the configured folder: `$BPROP_CACHE_DIR`, else `bprop` in the user's cache folder; None without one."""
    with contextlib.suppress(ValueError):
        if path := os.environ.get("BPROP_CACHE_DIR"):
            return expand_path(path)
        home = os.environ.get("XDG_CACHE_HOME") or ""  # which must be absolute, says its standard
        return (Path(home) if os.path.isabs(home) else expand_path("~/.cache")) / "bprop"
    return None


def find_temporary_folder() -> str | None:
    """Find the system's folder for temporary files; None where none can be written. The working folder is none."""
    try:
        folder = tempfile.gettempdir()
    except OSError:  # a read-only file system
        return None
    named = {os.path.abspath(os.environ[name]) for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)}
    return None if folder == os.getcwd() and folder not in named | {"/tmp", "/var/tmp", "/usr/tmp"} else folder


def find_user_temporary_folder() -> Path | None:
    """Find this user's folder in the temporary folder, which may not exist yet; None without a temporary folder."""
    folder = find_temporary_folder()
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return None if folder is None else Path(folder) / f"bprop-{user}"


def find_cache_folder() -> Path | None:
    """Find the folder that compiled code is written to, made if missing; None where nothing can be written.

    It is `find_configured_folder`, else one of this user's in the temporary folder, else one of this process there.
    """
    configured, temporary = find_configured_folder(), find_user_temporary_folder()
    if configured is not None:
        why = explain_unusable(configured)
        if not why:
            return configured
        if why.startswith(UNSAFE) and explain_untrusted(configured, others=True):
            warn_once(str(configured))
    return temporary if temporary is not None and not explain_unusable(temporary) else make_process_folder()


def list_readable_folders() -> list[Path]:
    """List the folders that compiled code is read from: configured, written to, and this user's temporary one."""
    folders = [find_cache_folder()]
    configured, temporary = find_configured_folder(), find_user_temporary_folder()
    if configured is not None and configured not in folders and not explain_untrusted(configured, others=True):
        folders.insert(0, configured)
    if temporary is not None and temporary not in folders and not explain_untrusted(temporary):
        folders.append(temporary)
    return [folder for folder in folders if folder is not None]


def explain_unusable(folder: Path) -> str:
    """Explain why compiled code cannot be written to a folder, made if missing; "" if it can."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return f"cannot be made ({error.strerror})"
    return explain_untrusted(folder) or ("" if os.access(folder, os.W_OK | os.X_OK) else "cannot be written")


def explain_untrusted(folder: Path, *, others: bool = False) -> str:
    """Explain why code in a folder must not be executed; "" if it may. `others`: trust owners of this package, too.

    A link counts for what it leads to, but not in the temporary folder, where others make links, too.
    """
    temporary = folder == find_user_temporary_folder()
    try:
        status = folder.lstat() if temporary else folder.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not stat.S_ISDIR(status.st_mode):
        return "is no folder"
    if not hasattr(os, "getuid"):
        return ""
    owners = {os.getuid()} | ({0, os.stat(__file__).st_uid} if others else set())
    if status.st_uid not in owners:
        return "belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written by other users ('chmod go-w {folder}' ends that)"
    return ""


def make_process_folder() -> Path | None:
    """Make a folder for this process, removed when it ends; None if none can be made."""
    process = os.getpid()
    if process not in PRIVATE:
        PRIVATE[process] = None
        with contextlib.suppress(OSError):
            if (folder := find_temporary_folder()) is not None:
                PRIVATE[process] = Path(tempfile.mkdtemp(prefix="bprop-", dir=folder))  # with mode 0700
                atexit.register(remove_process_folder, process)
    path = PRIVATE[process]
    return path if path is not None and path.is_dir() else None


def remove_process_folder(process: int) -> None:
    """Remove this process's folder; a forked process leaves it alone."""
    if process == os.getpid() and (folder := PRIVATE.pop(process, None)) is not None:
        shutil.rmtree(folder, ignore_errors=True)


def format_folder_warning() -> str:
    """Format a warning if compiled code is not written to the configured folder; else ""."""
    configured, named = find_configured_folder(), os.environ.get("BPROP_CACHE_DIR")
    if configured is not None:
        _warned.add(str(configured))
        if not (why := explain_unusable(configured)):
            return ""
        why = f"the cache folder {configured} {why}"
    else:
        why = f"BPROP_CACHE_DIR={named} is no path" if named else "there is no home, so no cache folder"
    written = find_cache_folder()
    where = f"compiled code is kept in {written}" if written is not None else "compiled code is not kept"
    until = " until this process ends" if written is not None and written in PRIVATE.values() else ""
    return f"{why}: {where}{until}; BPROP_CACHE_DIR names another folder"


def warn_once(configured: str) -> None:
    """Warn, once for each folder, that it is not used."""
    if configured not in _warned:
        warnings.warn(format_folder_warning(), stacklevel=2)  # which adds it to _warned
