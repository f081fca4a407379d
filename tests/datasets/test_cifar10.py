"""CIFAR-10 on small files of the same form, and on the real ones where they are."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import CIFAR10

RNG = np.random.default_rng(0)
NAMES = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
IMAGES = {name: RNG.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8) for name in NAMES}
LABELS = {name: RNG.integers(0, 10, 4, dtype=np.uint8) for name in NAMES}
REAL = Path(__file__).parents[3] / "shared" / "data" / "cifar-10"


class Small(CIFAR10):
    """CIFAR-10 with 4 images a batch."""

    batch_count = 4


def content(name):
    return b"".join(bytes([y]) + x.tobytes() for x, y in zip(IMAGES[name], LABELS[name], strict=True))


@pytest.fixture
def write_all(tmp_path):
    """`write_all(suffix, inside)` writes the six files, plain or gzipped, and returns the root."""

    def write(suffix=".bin", inside=""):
        folder = tmp_path / inside
        folder.mkdir(exist_ok=True)
        for name in NAMES:
            data = content(name)
            (folder / f"{name}{suffix}").write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
        return tmp_path

    return write


def test_shapes_are_known_without_files():
    ds = CIFAR10()
    assert (ds.input_shape, ds.target_shape, ds.classes) == ((3, 32, 32), (), 10)
    assert repr(ds) == "CIFAR10((3, 32, 32) -> 10 classes)"


@pytest.mark.parametrize("suffix", [".bin", ".bin.gz"])
@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_reads_batches_under_all_their_names(write_all, suffix, inside):
    ds = Small(str(write_all(suffix, inside)), valid_size=3)
    images = np.concatenate([IMAGES[name] for name in NAMES[:5]])
    labels = np.concatenate([LABELS[name] for name in NAMES[:5]])
    assert (len(ds.train), len(ds.valid), len(ds.test)) == (17, 3, 4)
    assert (ds.train.x.dtype, ds.train.y.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(ds.train.x, images[:17])
    np.testing.assert_array_equal(ds.valid.y, labels[17:])
    np.testing.assert_array_equal(ds.test.x, IMAGES["test_batch"])
    np.testing.assert_allclose(ds.train[:2][0], images[:2] / 255, rtol=1e-6)


def test_some_of_the_batches(write_all):
    root = write_all()
    (root / "data_batch_5.bin").unlink()
    ds = Small(root, batches=[3, 1], valid_size=0)
    np.testing.assert_array_equal(ds.train.y, np.concatenate([LABELS["data_batch_3"], LABELS["data_batch_1"]]))
    assert ds.valid is None
    with pytest.raises(FileNotFoundError, match=r"^CIFAR10: data_batch_5\.bin is not in .*cifar-10-binary\.tar\.gz"):
        Small(root, valid_size=0).train  # noqa: B018


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batches": []}, r"^CIFAR10: batches is \[\], expected some of 1 to 5, each once$"),
        ({"batches": [1, 1]}, r"^CIFAR10: batches is \[1, 1\], expected some of 1 to 5, each once$"),
        ({"batches": [6]}, r"^CIFAR10: batches is 6, expected a whole number from 1 to 5$"),
        ({"batches": [1], "valid_size": 10000}, r"^CIFAR10: valid_size is 10000, expected a fraction"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CIFAR10(**settings)


def test_the_pickled_version_is_refused(write_all):
    root = write_all(suffix="")
    message = f"CIFAR10: {root / 'test_batch'} is of the pickled version, which could run anything when loaded; "
    with pytest.raises(ValueError, match=f"^{re.escape(message)}expected the binary version"):
        Small(root, valid_size=0).test  # noqa: B018


def test_names_a_file_that_is_wrong(write_all):
    root = write_all()
    path = root / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    expected = "holds 12291 bytes, expected 12292: 4 records of 3073"
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}: {expected}')}$"):
        Small(root, valid_size=0).test  # noqa: B018
    first = root / "data_batch_1.bin"
    first.write_bytes(b"\x0b" + first.read_bytes()[1:])
    with pytest.raises(ValueError, match=f"^{re.escape(f'{first}: record 0 has label 11, expected 0 to 9')}$"):
        Small(root, valid_size=0).train  # noqa: B018


@pytest.mark.skipif(not REAL.is_dir(), reason="cifar-10 is not here")
def test_real_files():
    ds = CIFAR10(REAL, batches=[1], valid_size=1000)
    assert (len(ds.train), len(ds.valid), len(ds.test)) == (9000, 1000, 10000)
    assert ds.train.y[:5].tolist() == [6, 9, 9, 4, 1]
    assert ds.test.y[:5].tolist() == [3, 8, 8, 0, 6]
    np.testing.assert_array_equal(np.bincount(ds.test.y), np.full(10, 1000))
    assert ds.test.x[0, :, 0, 0].tolist() == [158, 112, 49]
