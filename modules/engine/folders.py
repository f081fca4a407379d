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
_warned: set[str] = set()  # the folders of which that was said


def expand_path(path: str | os.PathLike) -> Path:
    """A path with `~` and `~user` replaced by the home they stand for.

    Errors: ValueError where there is no such home: a folder named `~` is never meant (and if it is, it is `./~`).
    """
    text = os.fspath(path)
    if not text.startswith("~"):
        return Path(path)
    user = text[1:].split("/")[0].split(os.sep)[0]
    expanded = os.path.expanduser(text)
    if not user and os.name == "posix" and not os.path.isabs(os.environ.get("HOME", "/")):  # HOME= is no home
        expanded = own_home() + text[1:] if own_home() else text
    if not os.path.isabs(expanded):
        what = f"there is no user {user!r}" if user else "this user has no home; set HOME"
        raise ValueError(f"{text!r} is no path: {what}")
    return Path(expanded)


def own_home() -> str:
    """This user's home, as the system's list of users has it; "" if it has none."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def wanted_folder() -> Path | None:
    """`$BPROP_CACHE_DIR`, else `bprop` in the user's cache folder; None where there is no such place."""
    with contextlib.suppress(ValueError):
        if path := os.environ.get("BPROP_CACHE_DIR"):
            return expand_path(path)
        home = os.environ.get("XDG_CACHE_HOME") or ""  # which must be absolute, says its standard
        return (Path(home) if os.path.isabs(home) else expand_path("~/.cache")) / "bprop"
    return None


def temporary_folder() -> str | None:
    """The system's folder for temporary files; None where none can be written. The working folder is none."""
    try:
        folder = tempfile.gettempdir()
    except OSError:  # a read-only file system
        return None
    named = {os.path.abspath(os.environ[name]) for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)}
    return None if folder == os.getcwd() and folder not in named | {"/tmp", "/var/tmp", "/usr/tmp"} else folder


def own_temporary_folder() -> Path | None:
    """The folder of this user in the temporary folder, whether it is there or not; None without a temporary folder."""
    folder = temporary_folder()
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return None if folder is None else Path(folder) / f"bprop-{user}"


def cache_folder() -> Path | None:
    """Where compiled code is written, made if missing; None where nothing can be written.

    It is `wanted_folder`, else one of this user's in the temporary folder, else one of this process there.
    """
    wanted, temporary = wanted_folder(), own_temporary_folder()
    if wanted is not None:
        why = refusal(wanted)
        if not why:
            return wanted
        if why.startswith(UNSAFE) and distrust(wanted, others=True):
            warn_once(str(wanted))
    return temporary if temporary is not None and not refusal(temporary) else private_folder()


def readable_folders() -> list[Path]:
    """Where compiled code is looked for: where it was asked for, where it is written, and this user's temporary one."""
    folders = [cache_folder()]
    wanted, temporary = wanted_folder(), own_temporary_folder()
    if wanted is not None and wanted not in folders and not distrust(wanted, others=True):
        folders.insert(0, wanted)
    if temporary is not None and temporary not in folders and not distrust(temporary):
        folders.append(temporary)
    return [folder for folder in folders if folder is not None]


def refusal(folder: Path) -> str:
    """Why a folder cannot take compiled code, made if missing; "" if it can."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return f"cannot be made ({error.strerror})"
    return distrust(folder) or ("" if os.access(folder, os.W_OK | os.X_OK) else "cannot be written")


def distrust(folder: Path, *, others: bool = False) -> str:
    """Why what lies in a folder must not be executed, "" if it may; `others`: those who could change this package, too.

    A link counts for what it leads to, but not in the temporary folder, where others make links, too.
    """
    temporary = folder == own_temporary_folder()
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


def private_folder() -> Path | None:
    """A folder that is made for this process, and removed when it ends; None if there is no room for one."""
    process = os.getpid()
    if process not in PRIVATE:
        PRIVATE[process] = None
        with contextlib.suppress(OSError):
            if (folder := temporary_folder()) is not None:
                PRIVATE[process] = Path(tempfile.mkdtemp(prefix="bprop-", dir=folder))  # with mode 0700
                atexit.register(remove_private_folder, process)
    path = PRIVATE[process]
    return path if path is not None and path.is_dir() else None


def remove_private_folder(process: int) -> None:
    """Remove this process's folder, which its forks leave alone."""
    if process == os.getpid() and (folder := PRIVATE.pop(process, None)) is not None:
        shutil.rmtree(folder, ignore_errors=True)


def folder_notice() -> str:
    """A sentence if compiled code is not written where it should be, else nothing."""
    wanted, named = wanted_folder(), os.environ.get("BPROP_CACHE_DIR")
    if wanted is not None:
        _warned.add(str(wanted))
        if not (why := refusal(wanted)):
            return ""
        why = f"the cache folder {wanted} {why}"
    else:
        why = f"BPROP_CACHE_DIR={named} is no path" if named else "there is no home, so no cache folder"
    written = cache_folder()
    where = f"compiled code is kept in {written}" if written is not None else "compiled code is not kept"
    until = " until this process ends" if written is not None and written in PRIVATE.values() else ""
    return f"{why}: {where}{until}; BPROP_CACHE_DIR names another folder"


def warn_once(wanted: str) -> None:
    """Warn that a folder is not used, unless that was said."""
    if wanted not in _warned:
        warnings.warn(folder_notice(), stacklevel=2)  # which notes that it is said
