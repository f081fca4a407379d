"""MNIST and Fashion-MNIST on small files of the same form, and on the real ones where they are."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import MNIST, FashionMNIST, read_idx

RNG = np.random.default_rng(0)
IMAGES = {"train": RNG.integers(0, 256, (12, 28, 28)), "t10k": RNG.integers(0, 256, (5, 28, 28))}
LABELS = {"train": RNG.integers(0, 10, 12), "t10k": RNG.integers(0, 10, 5)}
REAL = Path(__file__).parents[3] / "shared" / "data"


class Small(MNIST):
    """MNIST with 12 training and 5 test images, which no mirror has."""

    train_count = 12
    test_count = 5
    mirrors = ()


@pytest.fixture
def write_all(write_idx, tmp_path):
    """`write_all(separator, suffix)` writes the four files into a folder and returns it."""

    def write(separator="-", suffix=".gz", folder=tmp_path / "files"):
        for part in ("train", "t10k"):
            write_idx(f"{part}-images{separator}idx3-ubyte{suffix}", IMAGES[part], folder=folder)
            write_idx(f"{part}-labels{separator}idx1-ubyte{suffix}", LABELS[part], folder=folder)
        return folder

    return write


@pytest.mark.parametrize("make", [MNIST, FashionMNIST])
def test_shapes_are_known_without_files(make):
    ds = make()
    assert (ds.input_shape, ds.target_shape, ds.classes) == ((1, 28, 28), (), 10)
    assert repr(ds) == f"{make.__name__}((1, 28, 28) -> 10 classes)"
    assert ds.root == Path({"MNIST": "data/mnist", "FashionMNIST": "data/fashion-mnist"}[make.__name__])
    assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in ds.checksums.values())


@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_reads_files_under_all_their_names(write_all, separator, suffix):
    ds = Small(str(write_all(separator, suffix)), valid_size=4)
    for part, images, labels in [
        (ds.train, IMAGES["train"][:8], LABELS["train"][:8]),
        (ds.valid, IMAGES["train"][8:], LABELS["train"][8:]),
        (ds.test, IMAGES["t10k"], LABELS["t10k"]),
    ]:
        assert (part.x.dtype, part.y.dtype, part.classes) == (np.uint8, np.int64, 10)
        np.testing.assert_array_equal(part.x[:, 0], images)
        np.testing.assert_array_equal(part.y, labels)
        x, y = part[:]
        np.testing.assert_array_equal(x[:, 0], images.astype("f4") * np.float32(1 / 255))
        np.testing.assert_array_equal(y, labels)
        assert 0 <= x.min() <= x.max() <= 1


def test_train_and_valid_share_the_memory_of_one_read(write_all):
    ds = Small(write_all(), valid_size=4)
    assert ds.train.x.base is ds.valid.x.base
    assert ds.train is ds.train


@pytest.mark.parametrize(("valid_size", "lengths"), [(0, (12, 0)), (0.25, (9, 3)), (11, (1, 11))])
def test_valid_size(write_all, valid_size, lengths):
    ds = Small(write_all(), valid_size=valid_size)
    assert (len(ds.train), len(ds.valid) if ds.valid else 0) == lengths
    assert (ds.valid is None) == (valid_size == 0)


def test_home_folder_is_expanded(write_all, monkeypatch):
    monkeypatch.setenv("HOME", str(write_all().parent))
    monkeypatch.setenv("USERPROFILE", str(write_all().parent))
    np.testing.assert_array_equal(Small("~/files", valid_size=4).test.y, LABELS["t10k"])


@pytest.mark.parametrize("valid_size", [60000, -1, 1.0])
def test_refuses_a_valid_size(valid_size):
    message = f"MNIST: valid_size is {valid_size}, expected a fraction from 0.0 up to but not including 1.0, "
    with pytest.raises(ValueError, match=f"^{message}or a number of samples below 60000$"):
        MNIST(valid_size=valid_size)


def refused(ds, part, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        getattr(ds, part)
    return caught.value


def test_names_a_file_that_is_wrong(write_all, write_idx):
    root = write_all()
    ds = Small(root, valid_size=4)
    images, labels = root / "train-images-idx3-ubyte.gz", root / "train-labels-idx1-ubyte.gz"

    labels.write_bytes((root / "t10k-labels-idx1-ubyte.gz").read_bytes())
    refused(ds, "train", f"{labels}: holds shape (5,), expected (12,)")
    labels.write_bytes(images.read_bytes())
    refused(ds, "train", f"{labels}: magic number is 2051, expected 2049")
    wrong = LABELS["train"].copy()
    wrong[7] = 11
    write_idx(labels.name, wrong, folder=root)
    error = refused(ds, "valid", "ArrayDataset: row 7 of y has label 11, expected 0 to 9")
    assert error.__notes__ == [f"in {labels}"]

    images.write_bytes((root / "t10k-images-idx3-ubyte.gz").read_bytes())
    refused(ds, "train", f"{images}: holds shape (5, 28, 28), expected (12, 28, 28)")
    write_idx(images.name, IMAGES["train"][:, :27], folder=root)
    refused(ds, "train", f"{images}: holds shape (12, 27, 28), expected (12, 28, 28)")
    images.write_bytes(images.read_bytes()[:500])
    refused(ds, "train", f"{images}: damaged gzip file")
    assert len(ds.test) == 5  # whose files are whole


def test_the_real_counts_are_asked_for(write_all):
    root = write_all()
    refused(MNIST(root), "train", "expected (60000, 28, 28)")
    refused(FashionMNIST(root), "test", "expected (10000, 28, 28)")


def test_names_a_file_that_is_missing(write_all):
    root = write_all()
    (root / "t10k-labels-idx1-ubyte.gz").unlink()
    ds = Small(root, valid_size=4, download=False)
    assert len(ds.train) == 8
    message = (
        f"Small: t10k-labels-idx1-ubyte.gz is not in {root} and download is off; "
        f"put the file there, or pass the folder that holds it as root"
    )
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        ds.test  # noqa: B018


def checksums(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_downloads_what_is_missing_from_the_first_mirror_that_works(write_all, write_idx, tmp_path):
    folder, damaged, root = write_all(), write_all(folder=tmp_path / "damaged"), tmp_path / "new" / "root"
    write_idx("t10k-labels-idx1-ubyte.gz", np.zeros(5), folder=damaged)

    class Mirrored(Small):
        mirrors = tuple(f"{place.as_uri()}/" for place in (tmp_path / "nowhere", damaged, folder))
        checksums = checksums(folder)

    ds = Mirrored(root, valid_size=4)
    np.testing.assert_array_equal(ds.test.y, LABELS["t10k"])
    assert sorted(path.name for path in root.iterdir()) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]
    assert len(ds.train) == 8
    np.testing.assert_array_equal(Small(root, valid_size=4, download=False).valid.y, LABELS["train"][8:])


def test_says_why_nothing_could_be_downloaded(write_all, tmp_path):
    class Unreachable(Small):
        mirrors = (f"{(tmp_path / 'nowhere').as_uri()}/", f"{write_all().as_uri()}/")
        checksums = dict.fromkeys(MNIST.checksums, "0" * 64)

    ds = Unreachable(tmp_path / "root", valid_size=4)
    with pytest.raises(FileNotFoundError) as caught:
        ds.train  # noqa: B018
    message = str(caught.value)
    assert message.startswith(
        f"Unreachable: train-images-idx3-ubyte.gz is not in {tmp_path / 'root'} and could not be downloaded "
    )
    for mirror, why in zip(Unreachable.mirrors, ("No such file", "SHA-256 is"), strict=True):
        assert re.search(rf"{re.escape(mirror)}\S*: {why}", message)
    assert "Errno" not in message
    assert "put the file there, or pass the folder that holds it as root" in message


@pytest.mark.parametrize(
    ("make", "folder", "train_labels", "test_labels", "mean"),
    [
        (MNIST, "mnist", [5, 0, 4, 1, 9], [7, 2, 1, 0, 4], 0.1307),
        (FashionMNIST, "fashion-mnist", [9, 0, 0, 3, 0], [9, 2, 1, 1, 6], 0.2860),
    ],
)
def test_real_files(make, folder, train_labels, test_labels, mean):
    root = REAL / folder
    if not root.is_dir():
        pytest.skip(f"{folder} is not here")
    ds = make(root, download=False)
    assert (len(ds.train), len(ds.valid), len(ds.test)) == (55000, 5000, 10000)
    assert ds.train.y[:5].tolist() == train_labels
    assert ds.test.y[:5].tolist() == test_labels
    images = read_idx(root / "train-images-idx3-ubyte.gz", shape=(60000, 28, 28))
    assert images.mean() / 255 == pytest.approx(mean, abs=5e-5)
    np.testing.assert_array_equal(ds.valid.x[:, 0], images[55000:])
    assert checksums(root) == make.checksums
