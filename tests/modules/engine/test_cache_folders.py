"""Which folder compiled code lies in: one of this user's own, whatever the home, the temporary folder and the disk."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bprop.modules import Module
from bprop.modules.engine import cache, folders

posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes of folders are POSIX")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A home and a temporary folder of the test's own, and no variable that names a cache."""
    for name in ("BPROP_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(folders.tempfile, "tempdir", None)
    monkeypatch.setattr(folders, "PRIVATE", {})
    monkeypatch.setattr(folders, "_warned", set())
    return tmp_path


def own(tmp_path):
    return tmp_path / "tmp" / f"bprop-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def test_the_folder_is_the_one_asked_for(places, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(places / "a" / "b"))
    assert cache.find_cache_folder() == places / "a" / "b"
    assert cache.find_cache_folder().is_dir()
    monkeypatch.setenv("BPROP_CACHE_DIR", "~/x")
    assert cache.find_cache_folder() == places / "home" / "x"
    assert folders.format_folder_warning() == ""


def test_the_folder_is_the_users_cache(places, monkeypatch):
    assert cache.find_cache_folder() == places / "home" / ".cache" / "bprop"
    monkeypatch.setenv("XDG_CACHE_HOME", str(places / "xdg"))
    assert cache.find_cache_folder() == places / "xdg" / "bprop"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.find_cache_folder() == places / "home" / ".cache" / "bprop", "as its standard says"


def test_an_unwritable_home_moves_it_to_the_temporary_folder(places, monkeypatch):
    (places / "file").write_text("a file, so that no folder can be made in it")
    monkeypatch.setenv("HOME", str(places / "file"))
    assert cache.find_cache_folder() == own(places)
    assert folders.format_folder_warning() == (
        f"the cache folder {places}/file/.cache/bprop cannot be made (Not a directory): compiled code is kept in "
        f"{own(places)}; BPROP_CACHE_DIR names another folder"
    )


def test_a_read_only_folder_is_read_and_the_temporary_one_is_written(places, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(places / "read_only"))
    cache.write_code("made_before.nbc", b"code")
    access = os.access
    monkeypatch.setattr(folders.os, "access", lambda path, mode: path.name != "read_only" and access(path, mode))
    assert cache.find_cache_folder() == own(places)
    assert cache.read_code("made_before.nbc") == b"code"
    cache.write_code("made_now.nbc", b"more")
    assert (own(places) / "made_now.nbc").is_file()
    assert cache.read_code("made_now.nbc") == b"more"
    assert "read_only cannot be written: compiled code is kept in" in folders.format_folder_warning()


def no_temporary_folder():
    raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp']")


@pytest.fixture
def nowhere(places, monkeypatch):
    """Neither a cache folder nor a temporary one can be made."""
    (places / "file").write_text("")
    monkeypatch.setenv("BPROP_CACHE_DIR", str(places / "file" / "cache"))
    monkeypatch.setattr(folders.tempfile, "gettempdir", no_temporary_folder)
    return places


def test_without_any_folder_code_is_kept_in_memory(nowhere):
    assert cache.find_cache_folder() is None
    assert cache.list_readable_folders() == []
    assert cache.find_plan("plan_in_memory", {}) is None
    cache.write_plan("plan_in_memory", '"""Doubles."""\n\n\ndef double():\n    return 2 * given\n')
    plan = cache.find_plan("plan_in_memory", {"given": 3})
    assert plan.double() == 6
    del sys.modules["plan_in_memory"], cache._in_memory["plan_in_memory"]
    assert cache.write_file("threads.json", b"{}") is False
    assert "compiled code is not kept" in folders.format_folder_warning()


def test_a_net_runs_without_any_folder(nowhere):
    class Tripled(Module):
        def fprop(self, x):
            return x * 3

        def bprop(self, grad_y):
            return grad_y * 3

    net = Tripled()
    assert net.fprop(np.ones((2, 2))).tolist() == [[3, 3], [3, 3]]
    assert net.bprop(np.ones((2, 2))).tolist() == [[3, 3], [3, 3]]


def test_the_working_folder_is_no_temporary_folder(places, monkeypatch):
    monkeypatch.delenv("TMPDIR")
    monkeypatch.chdir(places)
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(places))  # where no other can be written
    assert folders.find_temporary_folder() is None
    monkeypatch.setenv("TMPDIR", str(places))
    assert folders.find_temporary_folder() == str(places)


# -- other users -------------------------------------------------------------------------------------------------------


@posix
def test_folders_are_made_for_their_owner_alone(places, monkeypatch):
    before = os.umask(0)
    try:
        for name in (str(places / "cache"), "/dev/null/nowhere"):
            monkeypatch.setenv("BPROP_CACHE_DIR", name)
            assert stat.S_IMODE(cache.find_cache_folder().stat().st_mode) == 0o700
            cache.write_file("some.json", b"{}")
            assert stat.S_IMODE((cache.find_cache_folder() / "some.json").stat().st_mode) & 0o022 == 0
    finally:
        os.umask(before)


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_what_others_can_write_is_not_used(mode, places, monkeypatch):
    named = places / "named"
    for folder in (named, own(places)):
        folder.mkdir()
        folder.chmod(mode)
    monkeypatch.setenv("BPROP_CACHE_DIR", str(named))
    message = f"the cache folder {named} can be written by other users ('chmod go-w {named}' ends that): compiled code"
    with pytest.warns(UserWarning, match=re.escape(message)):
        folder = cache.find_cache_folder()
    assert folder.parent == places / "tmp"
    assert folder != own(places), "a private one in its place"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert cache.list_readable_folders() == [folder]
    assert cache.find_cache_folder() == folder, "one for the process, and one warning"
    folders.remove_process_folder(os.getpid())
    assert not folder.exists()


@posix
def test_what_belongs_to_another_user_is_not_used(places, monkeypatch):
    named = places / "named"
    monkeypatch.setenv("BPROP_CACHE_DIR", str(named))
    cache.write_code("code.nbc", b"code")
    own(places).mkdir(mode=0o700)
    lstat, status = os.lstat, os.stat

    def others(status):
        values = list(status)
        values[stat.ST_UID] = os.getuid() + 7
        return os.stat_result(values)

    monkeypatch.setattr(Path, "lstat", lambda path: others(lstat(path)))
    monkeypatch.setattr(Path, "stat", lambda path, **options: (others if path == named else lambda x: x)(status(path)))
    with pytest.warns(UserWarning, match=re.escape(f"the cache folder {named} belongs to another user: compiled code")):
        folder = cache.find_cache_folder()
    assert folder not in (named, own(places))
    assert cache.read_code("code.nbc") is None


@posix
def test_a_link_in_the_temporary_folder_is_not_followed(places, monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null")
    (places / "elsewhere").mkdir(mode=0o700)
    own(places).symlink_to(places / "elsewhere")
    assert cache.find_cache_folder() not in (own(places), places / "elsewhere")
    assert list((places / "elsewhere").iterdir()) == []


@posix
def test_what_the_administrator_made_is_read(places, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(places / "named"))
    cache.write_code("code.nbc", b"code")
    owner = os.getuid()
    monkeypatch.setattr(folders.os, "getuid", lambda: owner + 7)
    assert cache.find_cache_folder() != places / "named"
    assert cache.read_code("code.nbc") == b"code", "who made this package could change it just as well"


def test_code_that_was_changed_is_no_code(places):
    cache.write_code("code.nbc", bytes(range(100)))
    path = cache.find_cache_folder() / "code.nbc"
    sound = path.read_bytes()
    assert cache.read_code("code.nbc") == bytes(range(100))
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        assert cache.read_code("code.nbc") is None, place
    for length in range(len(sound)):
        path.write_bytes(sound[:length])
        assert cache.read_code("code.nbc") is None, length
    path.write_bytes(sound + b"\0")
    assert cache.read_code("code.nbc") is None


# -- homes -------------------------------------------------------------------------------------------------------------


def no_entry(user):
    raise KeyError(f"getpwuid(): uid not found: {user}")


@pytest.fixture
def homeless(places, monkeypatch):
    """A user without HOME and without an entry in the system's list, as in a container."""
    import pwd

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    monkeypatch.chdir(places)
    return places


@posix
@pytest.mark.parametrize("home", [None, "", "~", "relative"])
def test_without_a_home_no_folder_is_named_by_a_tilde(home, homeless, monkeypatch):
    if home is not None:
        monkeypatch.setenv("HOME", home)
    before = sorted(homeless.iterdir())
    assert cache.find_cache_folder() == own(homeless)
    assert folders.format_folder_warning().startswith("there is no home, so no cache folder: compiled code is kept in ")
    monkeypatch.setenv("BPROP_CACHE_DIR", "~/x")
    assert cache.find_cache_folder() == own(homeless)
    assert folders.format_folder_warning().startswith("BPROP_CACHE_DIR=~/x is no path: compiled code is kept in ")
    for text in ("~", "~/x"):
        with pytest.raises(ValueError, match=f"^'{text}' is no path: this user has no home; set HOME$"):
            folders.expand_path(text)
    assert sorted(homeless.iterdir()) == before


def test_paths_are_expanded(places):
    assert folders.expand_path("~") == places / "home"
    assert folders.expand_path(Path("~/data")) == places / "home" / "data"
    assert folders.expand_path("a~/~b") == Path("a~/~b")
    assert folders.expand_path("./~/x") == Path("./~/x")
    with pytest.raises(ValueError, match=r"^'~no_such_user/x' is no path: there is no user 'no_such_user'$"):
        folders.expand_path("~no_such_user/x")


WITHOUT_HOME = """
import os, pwd
def no_entry(user):
    raise KeyError(user)
pwd.getpwuid = no_entry
import numpy as np
from bprop.modules import Linear
print(Linear(4, 3).fprop(np.ones((2, 4))).shape)
"""


FOLDER_VARIABLES = ("HOME", "BPROP_CACHE_DIR", "XDG_CACHE_HOME")


@pytest.mark.slow
@pytest.mark.jit
@posix
def test_a_process_without_home_and_temporary_folder(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in FOLDER_VARIABLES}
    environment["TMPDIR"] = str(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HOME], cwd=tmp_path / "here", env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "(2, 3)\n"), done.stderr
    assert list((tmp_path / "here").iterdir()) == []
    assert list((tmp_path / "tmp").glob("bprop-*/plan_*.py"))
