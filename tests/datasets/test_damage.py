"""Files of every format with bytes changed, cut off or put in, by lot: what is read is a data set, and what is refused
is refused by a ValueError that names the file."""

import gzip
import io

import numpy as np
import pytest
from bprop.datasets import CsvDataset, NpyDataset, NpzDataset, Preprocessing, read_idx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(12, 3)).astype(np.float32), RANDOM.integers(0, 3, 12)
CSV = "a,b,c\n" + "".join(f'{i}.5,"{"xy"[i % 2]}",{i * i}.25\n' for i in range(12))


def idx(compress):
    content = (0x0802).to_bytes(4, "big") + (3).to_bytes(4, "big") + (4).to_bytes(4, "big") + bytes(range(12))
    return gzip.compress(content, mtime=0) if compress else content


def numpy_file(write, **arrays):
    stream = io.BytesIO()
    write(stream, *arrays.pop("positional", ()), **arrays)
    return stream.getvalue()


def fitted(path):
    path.write_text(CSV)
    CsvDataset(path, target="c").preprocessing.save(path)
    return path.read_bytes()


def npy(path):
    y = path.with_name("labels.npy")
    np.save(y, Y)
    return NpyDataset(path, y).train[:]


FORMATS = {
    "csv": (CSV.encode(), lambda path: CsvDataset(path, target=-1, missing="mean", unseen="zeros").train[:]),
    "idx": (idx(False), read_idx),
    "idx.gz": (idx(True), read_idx),
    "npy": (numpy_file(np.save, positional=(X,)), npy),
    "npz": (numpy_file(np.savez, x=X, y=Y), lambda path: NpzDataset(path).train[:]),
    "compressed.npz": (numpy_file(np.savez_compressed, x=X, y=Y), lambda path: NpzDataset(path).train[:]),
    "json": (None, Preprocessing.load),
}
CHANGES = st.lists(
    st.tuples(st.sampled_from(["change", "cut", "insert", "end"]), st.floats(0, 1), st.binary(min_size=1, max_size=4)),
    min_size=1,
    max_size=3,
)


def changed(content, changes):
    """The content after changes, each at a place from 0 (the start) to 1 (the end)."""
    for kind, place, new in changes:
        i = int(place * len(content))
        rest = {"change": content[i + len(new) :], "cut": content[i + len(new) :], "insert": content[i:], "end": b""}
        content = content[:i] + (new if kind in ("change", "insert") else b"") + rest[kind]
    return content


def read_or_refused(read, path):
    """What is read, or None after a ValueError that names the file; anything else is raised."""
    try:
        return read(path)
    except ValueError as error:
        refusal = error
    assert type(refusal) is ValueError
    assert str(path) in str(refusal)
    return None


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_damaged_files(tmp_path, name, changes):
    content, read = FORMATS[name]
    path = tmp_path / f"a.{name}"
    path.write_bytes(changed(fitted(tmp_path / "t") if content is None else content, changes))
    result = read_or_refused(read, path)
    arrays = result if isinstance(result, tuple) else [result] if isinstance(result, np.ndarray) else []
    assert all(np.isfinite(array).all() for array in arrays)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_garbage(tmp_path, name, content):
    path = tmp_path / f"a.{name}"
    for start in (b"", (FORMATS[name][0] or b"{")[:6]):
        path.write_bytes(start + content)
        read_or_refused(FORMATS[name][1], path)


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_file_and_another_format(tmp_path, name):
    path = tmp_path / f"a.{name}"
    others = [content for other, (content, _) in FORMATS.items() if other.split(".")[0] != name.split(".")[0]]
    for content in (b"", *(content for content in others if content is not None)):
        if name.endswith("npz") and content[:2] == b"PK":
            continue
        path.write_bytes(content)
        with pytest.raises(ValueError, match=str(path)):
            FORMATS[name][1](path)
