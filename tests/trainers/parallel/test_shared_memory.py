"""Memory that the ranks of one host share: what is done where it cannot be had."""

import contextlib
import os

import numpy as np
from bprop.trainers.parallel import shared_memory
from bprop.trainers.parallel.shared_memory import make_file, map_files, share_memory
from bprop.trainers.parallel.watchdog import Peer


class TwoRanks:
    """Both ranks of a job in one process: what one says, the other says, too."""

    rank, size = 0, 2

    def __init__(self, *hosts):
        self.peers = [Peer(rank, host, 1) for rank, host in enumerate(hosts)]

    def share(self, value, what):
        return [value, value]


def test_what_one_writes_the_other_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    own, other = share_memory(TwoRanks("a", "a"), [64, 64])
    own[:] = 7
    assert other.tolist() == [7] * 64
    assert list(tmp_path.iterdir()) == []


def test_messages_are_sent_between_hosts_and_where_there_is_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    assert share_memory(TwoRanks("a", "b"), [64, 64]) is None
    with monkeypatch.context() as patch:
        patch.setenv("BPROP_MPI_SHARED_MEMORY", "0")
        assert share_memory(TwoRanks("a", "a"), [64, 64]) is None
    assert share_memory(TwoRanks("a", "a"), [2**60, 2**60]) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_machine_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    with contextlib.ExitStack() as files:
        offer = make_file(16, files)
        (part,) = map_files([offer], [16])
        assert part.tobytes() == bytes(16)
        assert map_files([offer | {"node": offer["node"] + 1}], [16]) is None
        assert map_files([offer | {"name": str(tmp_path / "none")}], [16]) is None
    assert not os.path.exists(offer["name"])
    assert np.frombuffer(part, np.uint8).sum() == 0  # it lives on without its name
