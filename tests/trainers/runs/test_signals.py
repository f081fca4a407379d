"""Signals that stop a training, file systems that refuse to sync and to lock, and names that no encoding has."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.files import atomic_files
from bprop.trainers.files.atomic_files import is_in_use, lock_folder, write_atomically, write_json
from bprop.trainers.runs import run_folder
from bprop.trainers.runs.resume import resume_run
from bprop.trainers.runs.signals import ENDING, StopSignals

ROOT = Path(__file__).parents[3]
MODEL = ["model=[{Linear: {in_features: 4, out_features: 3}}]", "trainer.batch_size=50", "callbacks=[]"]


@pytest.fixture(autouse=True)
def forget_warnings():
    atomic_files._warned.clear()


@pytest.fixture(autouse=True)
def default_handlers():
    """Handlers as a terminal leaves them: under nohup, SIGHUP is ignored."""
    before = [signal.signal(number, signal.SIG_DFL) for number in ENDING]
    yield
    for number, handler in zip(ENDING, before, strict=True):
        signal.signal(number, handler)


def iris(*overrides):
    return load_config("iris", [*MODEL, *overrides])


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_stops_at_the_next_pause_and_resuming_gives_the_same_bits(tmp_path, monkeypatch, number):
    """In the middle: the signal comes while the third epoch is told to the callbacks."""
    expected = run_folder.train_config(iris("trainer.epochs=6"), tmp_path / "wanted", quiet=True)
    tell = run_folder.CsvLog.on_epoch_end

    def kill(self, trainer, row):
        tell(self, trainer, row)
        if row["epoch"] == 3 and not trainer.resumed:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # more of them change nothing

    monkeypatch.setattr(run_folder.CsvLog, "on_epoch_end", kill)
    before = signal.getsignal(number)
    stopped = run_folder.train_config(iris("trainer.epochs=6"), tmp_path / "run", quiet=True)
    assert signal.getsignal(number) is before
    assert stopped["stopped"] == f"stopped by {signal.Signals(number).name}"
    assert (stopped["epochs"], stopped["to_be_resumed"]) == (3, True)
    summary, over = resume_run(tmp_path / "run", quiet=True)
    assert (summary["epochs"], over, "to_be_resumed" in summary) == (6, False, False)
    assert summary["train_loss"] == expected["train_loss"]
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        tmp_path / "wanted" / "model.safetensors"
    ).read_bytes()


def test_a_signal_in_the_last_epoch_lets_it_end(tmp_path, monkeypatch):
    tell = run_folder.CsvLog.on_epoch_end
    monkeypatch.setattr(
        run_folder.CsvLog, "on_epoch_end", lambda *arguments: (tell(*arguments), os.kill(os.getpid(), signal.SIGTERM))
    )
    assert "stopped" not in run_folder.train_config(iris("trainer.epochs=1"), tmp_path / "run", quiet=True)


def wait_for(path, process, patience=120):
    start = time.monotonic()
    while not path.exists() or path.stat().st_size == 0:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - start < patience
        time.sleep(0.05)


@pytest.mark.parametrize("words", [["train"], ["sweep", "sweep={grid: {seed: [0, 1]}}", "--jobs", "1"]])
def test_the_status_says_to_be_resumed(tmp_path, words):
    command = [sys.executable, "-m", "bprop", words[0], "iris", *MODEL, "trainer.epochs=1000000", *words[1:]]
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [*command, "--run", str(folder), "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    run = folder if words == ["train"] else folder / "000"
    wait_for(run / "metrics.csv", process)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=120)
    assert process.returncode == 75, output
    assert json.loads((run / "summary.json").read_text())["stopped"] == "stopped by SIGTERM"
    assert list((run / "checkpoint").glob("*.json"))


def test_signals_that_are_handled_already_are_left_alone():
    def handler(number, frame):
        raise AssertionError

    before = [signal.signal(number, new) for number, new in zip(ENDING, (handler, signal.SIG_IGN), strict=False)]
    try:
        with StopSignals() as signals:
            assert [signal.getsignal(number) for number in ENDING] == [handler, signal.SIG_IGN][: len(ENDING)]
        assert signals.reason is None
    finally:
        for number, old in zip(ENDING, before, strict=True):
            signal.signal(number, old)


def test_a_signal_before_there_is_a_trainer_is_told_then():
    handled = []
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        signals.tell(handled.append)
    assert handled == ["stopped by SIGTERM"]
    failed = []

    def elsewhere():
        try:
            with StopSignals():
                pass
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert failed == []


# -- file systems that refuse ------------------------------------------------------------------------------------------


def refusing(number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    return refuse


def test_a_refused_sync_is_warned_of_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refusing(errno.EINVAL))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_atomically(tmp_path / "a", "1")
        write_atomically(tmp_path / "b", "2")
    assert [str(warning.message) for warning in caught] == [
        f"{tmp_path / 'a'} cannot be synced (Invalid argument); a loss of power may cost it",
        f"the folder {tmp_path} cannot be synced (Invalid argument); a loss of power may cost its last file",
    ]
    assert (tmp_path / "b").read_text() == "2"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_content_that_is_not_on_the_disk_is_no_file(tmp_path, monkeypatch, number):
    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(os, "fsync", refusing(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        write_atomically(tmp_path / "a", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_a_folder_that_cannot_be_locked_has_a_file_that_can(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refusing(errno.EBADF))
    code = (
        "import sys, pathlib; from bprop.trainers.files.atomic_files import fcntl, is_in_use\n"
        "def refuse(*arguments): raise OSError(9, 'x')\n"
        "fcntl.flock = refuse; print(is_in_use(pathlib.Path(sys.argv[1])))"
    )
    other = [sys.executable, "-c", code, str(tmp_path)]  # locks of this kind are a process's
    with lock_folder(tmp_path):
        assert (tmp_path / ".lock").is_file()
        assert subprocess.run(other, capture_output=True, text=True).stdout == "True\n"
        monkeypatch.setattr(fcntl, "lockf", refusing(errno.EAGAIN))
        with pytest.raises(BlockingIOError, match="is in use by another process"), lock_folder(tmp_path):
            pass
    assert subprocess.run(other, capture_output=True, text=True).stdout == "False\n"
    run_folder.refuse_files_in(tmp_path)  # the file alone is nothing


def test_without_any_locks_a_warning_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOTSUP))
    monkeypatch.setattr(fcntl, "lockf", refusing(errno.ENOLCK))
    with pytest.warns(
        UserWarning, match=r"/\.lock cannot be locked \(No locks .*\); let no other process train in that"
    ):
        assert not is_in_use(tmp_path)


# -- names that no encoding has ----------------------------------------------------------------------------------------

ODD = os.fsdecode(b"caf\xe9-\xff")  # Latin 1, and no UTF-8


def test_json_and_csv_take_any_name(tmp_path):
    write_json(tmp_path / "x.json", {ODD: [ODD, "ä"]})
    assert json.loads((tmp_path / "x.json").read_text("utf-8")) == {ODD: [ODD, "ä"]}
    write_atomically(tmp_path / ODD, f"{ODD},ä\n")
    assert (tmp_path / ODD).read_text("utf-8") == "caf\\udce9-\\udcff,ä\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_run_in_a_folder_of_any_name(tmp_path, encoding):
    """Trained, resumed, evaluated, predicted, compared and plotted."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    if encoding == "utf-8":
        environment |= {"PYTHONUTF8": "1"}
    folder = tmp_path / (ODD if encoding == "utf-8" else "Läufe")
    folder.mkdir()
    (folder / "my_lägs.yaml").write_text(iris("trainer.epochs=1").resolved())
    (folder / "x.csv").write_text("1,2,3,4\n")
    run = "raise SystemExit(sum(main(each.split('|')) for each in sys.argv[1:]))"
    code = f"import sys; from bprop.trainers.cli import main; {run}"
    lines = [
        "train|my_lägs.yaml|--run|rün",
        "resume|rün|trainer.epochs=2",
        "evaluate|rün",
        "predict|rün|x.csv",
        "predict|rün|x.csv|--json",
        "compare|rün|rün",
        "plot|rün|curves",
        "train|my_lägs.yaml",
        "train|absent_ä.yaml",
    ]
    done = subprocess.run([sys.executable, "-c", code, *lines], env=environment, cwd=folder, capture_output=True)
    assert done.returncode == 2, done.stderr.decode(errors="replace")  # the last line's
    assert json.loads((folder / "rün" / "summary.json").read_text("utf-8"))["epochs"] == 2


def test_the_schema_in_ascii():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for words in (["schema"], ["--help"], ["train", "--help"], ["graph", "iris"], ["summary", "iris"]):
        done = subprocess.run([sys.executable, "-m", "bprop", *words], env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr
        if words == ["schema"]:
            assert json.loads(done.stdout.decode("ascii"))["title"]


def test_the_command_line_restores_the_streams():
    before = sys.stdout, sys.stderr
    assert main(["schema"]) == 0
    assert (sys.stdout, sys.stderr) == before
