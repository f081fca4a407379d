"""`NpyDataset` and `NpzDataset`: mapped, not copied; trained as from memory; damaged files are refused by name."""

import re
import tracemalloc
import zipfile

import numpy as np
import pytest
from bprop.datasets import ArrayDataset, NpyDataset, NpzDataset, side_by_side
from bprop.modules import Flatten, Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy
from bprop.trainers import SGD, Trainer

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (60, 1, 4, 5), dtype=np.uint8)
LABELS = RANDOM.integers(0, 3, 60).astype(np.uint8)
TARGETS = RANDOM.normal(size=(60, 2))


@pytest.fixture
def save(tmp_path):
    """`save(x=array, y=array)` writes .npy files and returns their paths, in this order."""

    def save(**arrays):
        for name, array in arrays.items():
            np.save(tmp_path / f"{name}.npy", array)
        return [tmp_path / f"{name}.npy" for name in arrays]

    return save


def in_file(array):
    """Whether the array lies in a mapped file."""
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False


def test_arrays_stay_in_their_files(save):
    x, y = save(x=IMAGES, y=LABELS)
    ds = NpyDataset(x, y, valid_size=12, test_size=0.1, scale=1 / 255)
    assert (ds.input_shape, ds.target_shape, ds.classes) == ((1, 4, 5), (), 3)
    assert [len(part) for part in (ds.train, ds.valid, ds.test)] == [42, 12, 6]
    for part, rows in ((ds.train, slice(0, 42)), (ds.valid, slice(42, 54)), (ds.test, slice(54, 60))):
        assert in_file(part.x)
        assert (part.x.dtype, part.classes) == (np.uint8, 3)
        np.testing.assert_array_equal(part[:][0], IMAGES[rows] * np.float32(1 / 255))
        np.testing.assert_array_equal(part.y, LABELS[rows])
    in_memory = NpyDataset(x, y, memory_map=False)
    assert not in_file(in_memory.train.x)
    np.testing.assert_array_equal(in_memory.train.x, IMAGES)


def test_files_of_their_own(save):
    x, y, other_x, other_y = save(x=IMAGES, y=LABELS, other_x=IMAGES[:7], other_y=LABELS[:7] * 0)
    ds = NpyDataset(x, y, valid_x=other_x, valid_y=other_y, test_size=10)
    assert [len(part) for part in (ds.train, ds.valid, ds.test)] == [50, 7, 10]
    assert ds.valid.classes == 3
    assert (NpyDataset(x, y).valid, NpyDataset(x, y).test) == (None, None)


@pytest.mark.parametrize("target", [LABELS, TARGETS])
def test_training_equals_that_from_memory(save, target):
    paths = save(x=IMAGES, y=target)
    weights = []
    for data in (NpyDataset(*paths, scale=1 / 255).train, ArrayDataset(IMAGES, target, scale=1 / 255)):
        net = Sequential(Flatten(), Linear(20, 3 if target.ndim == 1 else 2))
        net.flat_parameters[:] = 0.01
        loss = SoftmaxCrossEntropy() if target.ndim == 1 else MeanSquaredError()
        trainer = Trainer(net, loss, SGD(lr=0.1, momentum=0.9), quiet=True)
        history = trainer.fit(data, data, epochs=2, batch_size=16, metrics=[])
        assert history[-1]["valid_loss"] == trainer.evaluate(data)["loss"]
        weights.append(net.flat_parameters.copy())
    np.testing.assert_array_equal(*weights)
    np.testing.assert_array_equal(np.load(paths[0]), IMAGES)  # the files are as they were


def test_targets_in_a_file_are_not_converted_as_a_whole(save):
    data = NpyDataset(*save(x=IMAGES, y=TARGETS)).train
    assert (data.y.dtype, in_file(data.y)) == (np.float64, True)


def test_npz(tmp_path):
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:5], y_test=LABELS[:5])
        ds = NpzDataset(tmp_path / "a.npz", x="x_train", y="y_train", test_x="x_test", test_y="y_test", valid_size=0.5)
        assert [len(part) for part in (ds.train, ds.valid, ds.test)] == [30, 30, 5]
        assert (ds.input_shape, ds.classes) == ((1, 4, 5), 3)
        np.testing.assert_array_equal(ds.test.x, IMAGES[:5])
    message = r"a\.npz: there is no array 'x', expected one of x_train, y_train, x_test, y_test$"
    with pytest.raises(ValueError, match=message):
        _ = NpzDataset(tmp_path / "a.npz").train


def test_several_arrays_of_an_npz_stand_side_by_side(tmp_path):
    np.savez(tmp_path / "a.npz", picture=IMAGES, told=TARGETS.astype(np.float32), kind=LABELS, size=TARGETS[:, 0])
    ds = NpzDataset(tmp_path / "a.npz", x=["picture", "told"], y=["kind", "size"], valid_x="told", valid_y="kind")
    assert (ds.input_shape, ds.target_shape, ds.classes) == ((22,), (2,), None)
    np.testing.assert_array_equal(ds.train.x[:, :20], IMAGES.reshape(60, 20))
    np.testing.assert_array_equal(ds.train.x[:, 20:], TARGETS.astype(np.float32))
    np.testing.assert_array_equal(ds.train.y, np.stack([LABELS, TARGETS[:, 0]], axis=1))
    assert (ds.train.x.dtype, ds.train.y.dtype, ds.valid.classes) == (np.float32, np.float64, 3)


def test_what_cannot_stand_side_by_side(tmp_path):
    assert side_by_side({"a": [1, 2], "b": [[3.5], [4.5]]}).tolist() == [[1, 3.5], [2, 4.5]]
    assert side_by_side({"a": [2**24 + 1], "b": np.ones(1, np.float32)})[0, 0] == 2**24 + 1  # which float32 has not
    message = "^side_by_side: there are 60 in 'x' and 3 in 'y', expected as many samples in each$"
    with pytest.raises(ValueError, match=message):
        side_by_side({"x": IMAGES, "y": LABELS[:3]})
    with pytest.raises(ValueError, match=r"^side_by_side: got no arrays, expected at least one$"):
        side_by_side({})
    np.savez(tmp_path / "a.npz", x=IMAGES, names=np.array(["a"] * 60), y=LABELS)
    with pytest.raises(
        ValueError, match=r"names has dtype <U1, expected whole or floating point numbers; of .*a\.npz$"
    ):
        _ = NpzDataset(tmp_path / "a.npz", x=["x", "names"]).train


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            IMAGES.astype(np.int32),
            "holds int32, expected uint8, int64, float32 or float64; 'memory_map: false' reads and",
        ),
        (TARGETS.astype(">f8"), "holds >f8, expected uint8, int64, float32 or float64"),
        (TARGETS.astype("f2"), "holds float16, expected uint8, int64, float32 or float64"),
        (np.asfortranarray(TARGETS), "is in Fortran's order, expected C's; 'memory_map: false' reads and reorders it"),
        (np.array([[None], [1]]), "Array can't be memory-mapped: Python objects in dtype., expected a whole .npy file"),
    ],
)
def test_refuses_arrays(save, x, message):
    x, y = save(x=x, y=LABELS[: len(x)])
    with pytest.raises(ValueError, match=f"^{re.escape(f'{x}: {message}')}"):
        _ = NpyDataset(x, y).input_shape
    if "false" in message:
        assert NpyDataset(x, y, memory_map=False).train.dtype in (np.float32, np.float64)


def test_refuses_objects_in_npz(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([None, 1]), y=LABELS[:2])
    with pytest.raises(ValueError, match=r"a\.npz: .*allow_pickle=False.*, expected a whole \.npz file$"):
        _ = NpzDataset(tmp_path / "a.npz").train


def test_names_the_files_of_wrong_values(save, tmp_path):
    poisoned = TARGETS.copy()
    poisoned[3, 1] = np.nan
    x, y = save(x=poisoned, y=LABELS)
    message = f"ArrayDataset: row 3 of x holds NaN or infinity, expected finite numbers; x is {x} and y {y}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        _ = NpyDataset(x, y).train
    np.savez(tmp_path / "a.npz", x=TARGETS, y=LABELS[:5])
    message = f"x has 60 samples and y has 5, expected as many; x is 'x' of {tmp_path / 'a.npz'} and y 'y' of "
    with pytest.raises(ValueError, match=re.escape(message)):
        _ = NpzDataset(tmp_path / "a.npz").train


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"valid_x": "v"}, "one of valid_x and valid_y is given, expected both or none"),
        ({"test_y": "v"}, "one of test_x and test_y is given, expected both or none"),
        ({"valid_x": "v", "valid_y": "w", "valid_size": 3}, "both valid_x and valid_size are given, expected one of"),
    ],
)
def test_refuses_settings(options, message):
    with pytest.raises(ValueError, match=f"^NpyDataset: {re.escape(message)}"):
        NpyDataset("x", "y", **options)
    with pytest.raises(ValueError, match=f"^NpzDataset: {re.escape(message)}"):
        NpzDataset("x", **options)


def test_sizes_that_leave_nothing(save):
    ds = NpyDataset(*save(x=IMAGES, y=LABELS), valid_size=40, test_size=20)
    with pytest.raises(ValueError, match=r"^NpyDataset: valid_size 40 and test_size 20 take 60 of 60 samples"):
        _ = ds.train


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.npy"):
        _ = NpyDataset(tmp_path / "x.npy", tmp_path / "y.npy").input_shape
    with pytest.raises(FileNotFoundError, match=r"x\.npz"):
        _ = NpzDataset(tmp_path / "x.npz").input_shape


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:9], lambda b: b"", lambda b: b + b"!"])
def test_damaged_npy(save, change):
    x, y = save(x=IMAGES, y=LABELS)
    x.write_bytes(change(x.read_bytes()))
    with pytest.raises(ValueError, match=rf"^{re.escape(str(x))}: .*, expected a whole \.npy file$"):
        _ = NpyDataset(x, y).train


def test_damaged_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=IMAGES, y=LABELS)
    whole = path.read_bytes()
    place = whole.index(IMAGES.tobytes()) + 100
    for content in (b"", whole[:-30], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: .*, expected a whole \.npz file$"):
            _ = NpzDataset(path).train
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00 no header")
    with pytest.raises(ValueError, match=r", expected a whole \.npz file$"):
        _ = NpzDataset(path).train


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_large_file_is_never_read_as_a_whole(tmp_path, dtype):
    """A file of 128 MB, most of it holes, against what NumPy reserves at any time."""
    shape, path = (128 * 2**20 // np.dtype(dtype).itemsize // 1024, 1024), tmp_path / "x.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).flush()
    np.save(tmp_path / "y.npy", np.zeros((shape[0], 1), np.float32))
    trainer = Trainer(Sequential(Linear(1024, 1)), MeanSquaredError(), SGD(lr=0.1, momentum=0.9), quiet=True)
    trainer.evaluate((np.zeros((2, 1024)), np.zeros((2, 1))))  # compiles
    tracemalloc.start()
    data = NpyDataset(path, tmp_path / "y.npy", valid_size=0.5)
    figures = trainer.evaluate(data.valid, metrics=[])
    for _ in zip(range(3), data.train.minibatches(32, shuffle=True), strict=False):
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert figures["loss"] == pytest.approx(float(trainer.model[0].bias[0]) ** 2, rel=1e-4)
    assert most < 32 * 2**20
