"""Trust in the code of run folders: this user has trained with it, or it is not run.

Each training leaves a digest of the code in its run folder, and of the folders outside that its callbacks write to, as
an empty file in the user's state folder ($XDG_STATE_HOME/bprop, by default ~/.local/state/bprop), or, where there can
be none, in that of compiled code. A changed line makes another digest; in the very folder of the training its modules
may be edited.
"""

import hashlib
import importlib.machinery
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...datasets.files.paths import expand_path
from ...modules.engine.cache import find_cache_folder
from ..configs import Config
from ..configs.permissions import Action, Rule, enforce_rule, has_rule, is_inside

NAME = "trained_with"  # the folder of digests
ask: Callable[[str], bool] | None = None  # asks the user, where there is one: the command line sets it


class OnlyTrusted(Rule):
    """A rule: a run folder's config may do only what this user has trained with."""

    def __init__(self, run: Path, writing: bool):
        self.run, self.writing = run, writing
        self.allowed: dict[str, bool] = {}  # what the user has said of modules

    def forbids(self, deed: Action, what: str, folder: Path) -> str:
        if deed != "import" and (is_inside(Path(what), self.run) or (deed == "write" and not self.writing)):
            return ""
        if deed != "include" and is_trusted(self.run, deed, what):
            return ""
        if deed == "import" and self.asked(what):
            return ""
        return f"and you have not trained {self.run} as it is: --imports allows that, if you trust whoever sent it"

    def asked(self, module: str) -> bool:
        """Ask the user, once, whether to allow a module."""
        if ask is None:
            return False
        if module not in self.allowed:
            self.allowed[module] = ask(f"{self.run} has the module {module!r}, with which you have not trained")
        return self.allowed[module]


@contextmanager
def restrict_to_trusted(run: Path, *, writing: bool = False) -> Iterator[None]:
    """Context in which the config of a run folder may do only what this user has trained with.

    Another rule that is in force, such as that of `no_imports` and `allow_imports`, stays in force.
    """
    if has_rule():
        yield
        return
    with enforce_rule(OnlyTrusted(run, writing)):
        yield


def remember_run(run: Path, config: Config) -> None:
    """Record that this user trains with the code in a run folder."""
    deeds: list[tuple[Action, str]] = [("import", name) for name in config.imported]
    deeds += [("write", folder) for folder in config.written_folders if not is_inside(Path(folder), run)]
    digests = [digest for deed, what in deeds if (digest := compute_code_digest(run, deed, what))] + [
        compute_folder_digest(run)
    ]
    for folder in list_state_folders():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_private(folder):
                for digest in digests:
                    (folder / digest).touch()
                return
        except OSError:
            continue


def is_trusted(run: Path, deed: Action, what: str) -> bool:
    """Whether this user has trained with what a run folder's config wants to do, or has trained in this very folder."""
    digests = [compute_code_digest(run, deed, what), *([compute_folder_digest(run)] if deed == "import" else [])]
    folders = [folder for folder in list_state_folders() if is_private(folder)]
    return any((folder / digest).is_file() for folder in folders for digest in digests if digest)


def compute_folder_digest(run: Path) -> str:
    """Hash a folder by its identity: whoever trained in it may edit its modules; a copy differs."""
    status = run.stat()
    return hashlib.sha256(f"{run.resolve()} {status.st_dev} {status.st_ino}".encode(errors="replace")).hexdigest()


def compute_code_digest(run: Path, deed: Action, what: str) -> str | None:
    """Hash an action, and all code in the run folder if it is an import; None where a link leads out of it."""
    digest = hashlib.sha256(f"{deed} {what if deed == 'import' else Path(what).resolve()}".encode(errors="replace"))
    if deed == "import":
        files = list_code(run)
        if files is None:
            return None
        for file in files:
            digest.update(b"\0" + os.fsencode(file.relative_to(run)) + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def list_code(run: Path) -> list[Path] | None:
    """List the files in a run folder that could be imported, in order; None where a link leads out of it."""
    suffixes = tuple(importlib.machinery.all_suffixes())
    files: list[Path] = []
    for folder, folders, names in os.walk(run):
        if any(os.path.islink(os.path.join(folder, name)) for name in folders):
            return None
        if os.path.basename(folder) != "__pycache__":  # which is not read
            files += [Path(folder, name) for name in names if name.endswith(suffixes)]
    return sorted(files)


def list_state_folders() -> Iterator[Path]:
    """List the folders for digests: the user's state folder, and that of compiled code."""
    with suppress(ValueError):  # there is no home
        state = expand_path(os.environ.get("XDG_STATE_HOME") or "~/.local/state")
        if state.is_absolute():
            yield state / "bprop" / NAME
    if (folder := find_cache_folder()) is not None:
        yield folder / NAME


def is_private(folder: Path) -> bool:
    """Whether a folder belongs to the user, and nobody else can write to it."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    if os.name != "posix":
        return os.path.isdir(folder)
    return not os.path.islink(folder) and status.st_uid == os.getuid() and not status.st_mode & 0o022
