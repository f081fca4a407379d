"""What rank 0 has read, described and restored in another data set, and images that others decode; without MPI."""

from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import (
    CsvDataset,
    CsvSequences,
    Iris,
    NamesDataset,
    NpyDataset,
    NpzDataset,
    Reconstruction,
    TextDataset,
)
from bprop.datasets.files.image_files import ImageSettings
from bprop.trainers.parallel import reading
from bprop.trainers.parallel.broadcast import find_neighbours
from bprop.trainers.parallel.messages import decode, encode
from bprop.trainers.parallel.shared_data import describe_dataset, restore_dataset

random = np.random.default_rng(0)


def write_csv(folder):
    rows = [f"{n % 7},{n * 0.5},{'uv'[n % 2]},{n // 4},{'xy'[n // 4 % 2]}" for n in range(40)]
    (folder / "table.csv").write_text("\n".join(["a,b,word,key,kind", *rows]))


def write_npy(folder):
    np.save(folder / "x.npy", random.normal(size=(30, 4)).astype(np.float32))
    np.save(folder / "y.npy", random.integers(0, 3, 30))


def write_npz(folder):
    np.savez(folder / "data.npz", x=random.normal(size=(30, 4)), y=random.normal(size=(30, 1)))


def write_text(folder):
    (folder / "text.txt").write_text("".join(random.choice(list("abcd \n"), 300)))


MAPPED = ("npy", "tokens")  # whose files other ranks map
SETS = {
    "csv": (write_csv, lambda folder: CsvDataset(folder / "table.csv", target="kind", sample_weight="b")),
    "regression": (write_csv, lambda folder: CsvDataset(folder / "table.csv", target="b", drop=["key"])),
    "sequences": (
        write_csv,
        lambda folder: CsvSequences(folder / "table.csv", key="key", target="kind", inputs=["a", "b"]),
    ),
    "npy": (write_npy, lambda folder: NpyDataset(folder / "x.npy", folder / "y.npy", valid_size=7, test_size=5)),
    "npz": (write_npz, lambda folder: NpzDataset(folder / "data.npz", valid_size=7)),
    "names": (write_text, lambda folder: NamesDataset(folder / "text.txt")),
    "text": (write_text, lambda folder: TextDataset(folder / "text.txt", context=5)),
    "tokens": (
        write_text,
        lambda folder: TextDataset(folder / "text.txt", context=5, streams=2, tokens=folder / "tokens.npy"),
    ),
    "embedded": (lambda folder: None, lambda folder: Iris()),
    "inner": (write_csv, lambda folder: Reconstruction(CsvDataset(folder / "table.csv", target="kind"))),
}


def use(data):
    """What a training asks of a data set."""
    shapes = data.input_shape, data.target_shape, data.classes, data.class_names, data.has_lengths
    parts = [getattr(data, part) for part in ("train", "valid", "test")]
    return shapes, parts, getattr(data, "preprocessing", None), getattr(data, "vocabulary", None)


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_of_another_rank(name, tmp_path, monkeypatch):
    write, make = SETS[name]
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    data, arrays = make(Path()), []
    expected = use(data)
    message = decode(encode([describe_dataset(data, arrays), arrays]))
    if name not in MAPPED:
        for path in tmp_path.iterdir():
            path.unlink()
    other = make(Path())
    restore_dataset(other, *message)
    shapes, parts, preprocessing, vocabulary = use(other)
    assert (shapes, preprocessing) == (expected[0], expected[2])
    assert (vocabulary is None) == (expected[3] is None)
    assert vocabulary is None or vocabulary.describe() == expected[3].describe()
    for part, before in zip(parts, expected[1], strict=True):
        assert (part is None) == (before is None)
        if part is not None:
            assert part.received
            assert not before.received
            for attribute, value in vars(before).items():
                np.testing.assert_array_equal(getattr(part, attribute), value, err_msg=attribute)
    assert name not in MAPPED or not any(array.ndim > 1 for array in arrays), "what is mapped is not sent"


def test_mapped_files_of_other_content(tmp_path):
    write_npy(tmp_path)
    data = NpyDataset(tmp_path / "x.npy", tmp_path / "y.npy")
    use(data)
    arrays = []
    description = describe_dataset(data, arrays)
    (tmp_path / "x.npy").unlink()  # the file that is mapped stays as it is
    other = NpyDataset(tmp_path / "x.npy", tmp_path / "y.npy")
    restore_dataset(other, description, arrays)
    with pytest.raises(FileNotFoundError, match=r"x\.npy"):  # it would have made the file, if it could
        use(other)
    for x in (np.zeros((30, 4), np.float32), np.zeros((3, 4), np.float32)):
        np.save(tmp_path / "x.npy", x)
        with pytest.raises(ValueError, match=r"x.npy has other content on this host .* expected the same file"):
            restore_dataset(NpyDataset(tmp_path / "x.npy", tmp_path / "y.npy"), description, arrays)


@pytest.mark.parametrize("size", [1, 2, 3, 6, 8, 13])
def test_arrays_reach_all_ranks_once(size):
    neighbours = [find_neighbours(rank, size) for rank in range(size)]
    assert [parent for parent, _ in neighbours].count(None) == 1
    sent = [(rank, child) for rank, (_, children) in enumerate(neighbours) for child in children]
    assert sorted(child for _, child in sent) == list(range(1, size))
    assert all(neighbours[child][0] == rank < child for rank, child in sent)


class Others:
    """Ranks, of which those that are `able` answer requests, the last one first."""

    def __init__(self, size, able):
        self.size, self.able, self.notes, self.decoded = size, able, {rank: [] for rank in range(size)}, 0

    def send_note(self, rank, note):
        if not note["paths"]:
            return
        images = [make_image(Path(path)) for path in note["paths"]] if rank in self.able else None
        self.decoded += 0 if images is None else len(images)
        self.notes[rank].insert(0, {"number": note["number"], "images": images})

    def receive_note(self, rank):
        return self.notes[rank].pop() if self.notes[rank] else None


def make_image(path):
    return np.full((1, 2, 2), int(path.stem), np.uint8)


@pytest.mark.parametrize("able", [(1, 2), (2,), ()])
def test_images_come_in_their_order(able, monkeypatch):
    def decode_here(paths, settings):
        for path in paths:
            if path.stem == "55":
                raise ValueError(f"{path}: damaged")
            yield make_image(path)

    monkeypatch.setattr(reading, "decode_here", decode_here)
    others = Others(3, able)
    helpers = reading.Helpers(others, "reading")
    paths = [Path(f"{n}.png") for n in range(50)]
    images = list(helpers.decode(paths, ImageSettings(1)))
    assert [image[0, 0, 0] for image in images] == list(range(50))
    assert (others.decoded > 0) == bool(able)
    assert helpers.able == list(able), "others are not asked again"
    if not able:
        with pytest.raises(ValueError, match=r"55\.png: damaged"):
            list(helpers.decode([*paths, Path("55.png")], ImageSettings(1)))
