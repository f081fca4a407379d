"""`download`: the whole file with the right checksum, or nothing."""

import hashlib
import http.client
import threading
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from bprop.datasets.files.download import download

CONTENT = bytes(range(256)) * 10000  # several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source" / "file.gz"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new" / "folder" / "file.gz"


def test_fetches_a_file_into_a_new_folder(source, target):
    download(source.as_uri(), target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_fetches_over_http(source, target, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *args: None)
    handler = partial(SimpleHTTPRequestHandler, directory=source.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        download(address + "file.gz", target, sha256=SHA256)
        with pytest.raises(OSError, match="404"):
            download(address + "other.gz", target.with_name("other.gz"), sha256=SHA256)
        server.shutdown()
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_another_checksum_is_refused_and_leaves_the_old_file(source, target):
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")
    source.write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match=rf"file\.gz: SHA-256 is [0-9a-f]{{64}}, expected {SHA256}$"):
        download(source.as_uri(), target, sha256=SHA256)
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_a_missing_source_leaves_nothing(source, target):
    with pytest.raises(OSError, match=r"other\.gz"):
        download(source.with_name("other.gz").as_uri(), target, sha256=SHA256)
    assert list(target.parent.iterdir()) == []


def test_a_connection_that_breaks_off_leaves_nothing(target, monkeypatch):
    class Breaks:
        def __enter__(self):
            return self

        def __exit__(self, *args):
            return None

        def read(self, size):
            raise http.client.IncompleteRead(b"half")

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Breaks())
    with pytest.raises(OSError, match=r"^https://example\.org/f: IncompleteRead.*, expected a whole answer$"):
        download("https://example.org/f", target, sha256=SHA256)
    assert list(target.parent.iterdir()) == []
