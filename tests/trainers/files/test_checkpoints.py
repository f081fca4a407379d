"""Checkpoints on disk: what they hold, what damage is noticed, and what a full disk leaves."""

import errno
import json
import math
import os

import numpy as np
import pytest
from bprop.trainers.files import atomic_files
from bprop.trainers.files.atomic_files import lock_folder, write_atomically
from bprop.trainers.files.checkpoints import (
    CheckpointError,
    hash_json,
    read_checkpoint,
    read_newest_checkpoint,
    remove_checkpoints_after,
    write_checkpoint,
)

STATE = {
    "a": [1, 2.5, None, True, "x", -math.inf],
    "b": {"0.w": np.arange(6, dtype=np.float32).reshape(2, 3), "0": {"w": np.array(7)}, "none": np.empty((0, 3))},
    "c": np.float32(0.1),
    "d": 2**63 - 1,
}


def state(n):
    return {"n": n, "w": np.full(3, n, np.float32)}


def test_a_state_comes_back(tmp_path):
    write_checkpoint(tmp_path / "made", STATE)
    back = read_checkpoint(tmp_path / "made")
    assert back["a"] == STATE["a"]
    assert back["d"] == STATE["d"]
    assert repr(back["c"]) == repr(STATE["c"])
    for actual, expected in ((back["b"]["0.w"], STATE["b"]["0.w"]), (back["b"]["0"]["w"], np.array(7))):
        assert actual.dtype == expected.dtype
        assert np.array_equal(actual, expected)
    assert back["b"]["none"].shape == (0, 3)
    assert back["b"]["0.w"].flags.writeable
    assert math.isnan(read_back(tmp_path / "nan", {"x": math.nan})["x"])


def read_back(folder, value):
    write_checkpoint(folder, value)
    return read_checkpoint(folder)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {1, 2}}, {"a": object}, {"$array": "x"}])
def test_what_is_no_value_is_refused(tmp_path, value):
    with pytest.raises(TypeError, match=r"^checkpoint: state.* is .*, expected numbers, strings, arrays, lists, or "):
        write_checkpoint(tmp_path, value)
    assert list(tmp_path.iterdir()) == []


def test_the_one_before_is_kept(tmp_path):
    for n in range(4):
        write_checkpoint(tmp_path, state(n))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["000003.json", "000003.safetensors", "000004.json", "000004.safetensors"]
    assert read_checkpoint(tmp_path)["n"] == 3


def truncated(path):
    path.write_bytes(path.read_bytes()[:-7])


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncated, flipped, emptied, os.unlink])
@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_damaged_one_is_noticed(tmp_path, damage, kind):
    for n in range(2):
        write_checkpoint(tmp_path, state(n))
    damage(tmp_path / f"000002.{kind}")
    if (damage, kind) == (os.unlink, "json"):
        assert read_checkpoint(tmp_path)["n"] == 0  # it does not count without
        return
    with pytest.warns(UserWarning, match=r"000002\.json is damaged \(.*\); the checkpoint before it is used"):
        number, newest = read_newest_checkpoint(tmp_path)
    assert newest["n"] == 0
    assert (tmp_path / f"000002.{kind}").exists() or damage is os.unlink, "reading removes nothing"
    remove_checkpoints_after(tmp_path, number)
    write_checkpoint(tmp_path, state(2))
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["000001.json", "000002.json"]
    damage(tmp_path / f"000001.{kind}")
    flipped(tmp_path / "000002.json")
    with pytest.raises(
        CheckpointError, match=r"^there is no whole checkpoint: .*000002\.json is damaged \(.*; .*000001"
    ):
        read_checkpoint(tmp_path)


def test_every_bit_counts(tmp_path):
    write_checkpoint(tmp_path, state(1))
    path = tmp_path / "000001.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        for bit in (1, 32):
            data = bytearray(whole)
            data[place] ^= bit
            path.write_bytes(data)
            if data[place : place + 1].isspace() and whole[place : place + 1].isspace():
                continue
            with pytest.raises(CheckpointError, match="there is no whole checkpoint"):
                read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, r"000001\.json has version 2 of the format, this bprop reads 1$"),
        ({"format": "sailing ship"}, r"000001\.json is a 'sailing ship', expected a 'bprop checkpoint'$"),
    ],
)
def test_newer_and_foreign_ones_are_refused(tmp_path, change, message):
    write_checkpoint(tmp_path, state(1))
    path = tmp_path / "000001.json"
    content = json.loads(path.read_text()) | change
    del content["sha256"]
    path.write_text(json.dumps(content | {"sha256": hash_json(content)}))
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path)


def test_there_is_none(tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError, match=r"^there is no checkpoint in "):
            read_checkpoint(folder)


@pytest.mark.parametrize("call", range(1, 5))
def test_a_full_disk_leaves_the_last_one(tmp_path, monkeypatch, call):
    """The disk is full at the first, second... time that something is made sure to be on it."""
    write_checkpoint(tmp_path, state(1))
    calls = []

    def full(handle):
        calls.append(handle)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic_files.os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            write_checkpoint(tmp_path, state(2))
    assert read_checkpoint(tmp_path)["n"] == (2 if call == 4 else 1)
    assert not list(tmp_path.glob("*.tmp"))
    write_checkpoint(tmp_path, state(3))
    assert read_checkpoint(tmp_path)["n"] == 3


def test_files_are_old_or_new(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_atomically(path, "old")
    monkeypatch.setattr(atomic_files.os, "replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(atomic_files.fcntl is None, reason="folders cannot be locked here")
def test_a_folder_is_locked_once(tmp_path):
    with (
        lock_folder(tmp_path),
        pytest.raises(BlockingIOError, match=r"^the run folder .* is in use by another process$"),
        lock_folder(tmp_path),
    ):
        pass
    with lock_folder(tmp_path):
        pass
