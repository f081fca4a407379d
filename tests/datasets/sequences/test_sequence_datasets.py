"""Sequences with lengths, from .npz files, long tables and .ts files."""

from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import CsvSequences, NpzSequences, TsSequences
from bprop.datasets.sequences.ts_sequences import fill_with_last

UCR = Path(__file__).parents[4] / "shared" / "data" / "ucr"
needs_ucr = pytest.mark.skipif(not UCR.exists(), reason="the series are not here")


def find_lengths(part):
    return part.lengths


# -- .npz --


def save(path, **changes):
    random = np.random.default_rng(0)
    arrays = {
        "x": random.standard_normal((20, 6, 2)),
        "y": np.arange(20) % 3,
        "lengths": np.arange(20) % 6 + 1,
    } | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_npz(tmp_path):
    data = NpzSequences(save(tmp_path / "a.npz"), standardize=True, valid_size=4, test_size=4)
    assert (data.input_shape, data.target_shape, data.classes) == ((6, 2), (), 3)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [12, 4, 4]
    lengths = find_lengths(data.train)
    real = np.arange(6) < lengths[:, None]
    x = data.train[:][0]
    x = x[0] if isinstance(x, tuple) else x
    assert (x[~real] == 0).all()
    np.testing.assert_allclose(x[real].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(x[real].std(axis=0), 1, atol=1e-5)
    assert find_lengths(NpzSequences(tmp_path / "a.npz", with_lengths=False).train) is None


def test_npz_of_tokens_and_labels_of_steps(tmp_path):
    steps = np.where(np.arange(6) < (np.arange(20) % 6 + 1)[:, None], 2, -1)
    path = save(tmp_path / "a.npz", x=np.arange(120).reshape(20, 6), y=steps)
    data = NpzSequences(path, valid_size=0, test_size=0, ignore_index=-1)
    assert (data.input_shape, data.target_shape, data.classes) == ((6,), (6,), 3)
    assert data.train.x.dtype == np.int64
    assert (data.valid, data.test) == (None, None)


def test_npz_files_of_other_parts(tmp_path):
    train, test = save(tmp_path / "a.npz"), save(tmp_path / "b.npz", x=np.ones((20, 8, 2)))
    data = NpzSequences(train, test_path=test)
    assert (data.input_shape, len(data.train), len(data.test)) == ((8, 2), 17, 20)
    assert data.train.x.shape == (17, 8, 2)
    assert (data.train.x[:, 6:] == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": np.zeros(20, int)}, r"a\.npz: row 0 of lengths is 0, expected 1 to 6"),
        ({"lengths": np.full(20, 7)}, "row 0 of lengths is 7, expected 1 to 6"),
        ({"lengths": np.ones(19, int)}, r"lengths is int64 \(19,\), expected whole numbers \(20,\)"),
        ({"lengths": np.ones(20)}, "lengths is float64"),
        ({"lengths": None}, "there is no array 'lengths', expected one of x, y"),
        ({"x": np.ones(20)}, r"x is float64 \(20,\), expected sequences"),
        ({"y": np.arange(19)}, "x has 20 samples and y 19"),
    ],
)
def test_npz_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        NpzSequences(save(tmp_path / "a.npz", **changes)).train  # noqa: B018


def test_npz_files_of_other_features(tmp_path):
    train, test = save(tmp_path / "a.npz"), save(tmp_path / "b.npz", x=np.ones((20, 8, 3)))
    with pytest.raises(ValueError, match=r"steps of the test file have shape \(3,\), expected \(2,\) as in the"):
        NpzSequences(train, test_path=test).test  # noqa: B018


def test_a_part_has_one_source(tmp_path):
    with pytest.raises(ValueError, match="both test_path and test_size are given"):
        NpzSequences(save(tmp_path / "a.npz"), test_path="b.npz", test_size=0.1)


# -- long tables --

TABLE = """\
walk,time,left,right,gait
a,2,1.5,0,slow
a,1,0.5,1,slow
b,1,2,2,fast
a,3,2.5,3,slow
b,2,4,4,fast
c,1,1,7,fast
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    return tmp_path / "t.csv"


def test_a_long_table(table):
    options = {"key": "walk", "target": "gait", "valid_size": 0, "test_size": 0, "standardize": False}
    data = CsvSequences(table, order="time", **options)
    assert (data.input_shape, data.classes, data.class_names) == ((3, 2), 2, ("fast", "slow"))
    expected = [[[0.5, 1], [1.5, 0], [2.5, 3]], [[2, 2], [4, 4], [0, 0]], [[1, 7], [0, 0], [0, 0]]]
    np.testing.assert_array_equal(data.train.x, expected)
    assert find_lengths(data.train).tolist() == [3, 2, 1]
    assert data.train.y.tolist() == [1, 0, 0]
    one = CsvSequences(table, inputs=["left"], **options)
    np.testing.assert_array_equal(one.train.x[0], [[1.5], [0.5], [2.5]])


def test_long_tables_of_other_columns(table, tmp_path):
    (tmp_path / "other.csv").write_text("right,time,gait,walk,left,more\n1,2,slow,z,0.5,9\n")
    options = {"key": "walk", "target": "gait", "order": "time", "standardize": False, "valid_size": 0}
    data = CsvSequences(table, test_path=tmp_path / "other.csv", **options)
    assert data.test.x[0, 0].tolist() == [0.5, 1]  # in the order of the training file
    (tmp_path / "other.csv").write_text("walk,time,left,gait\nz,2,0.5,slow\n")
    with pytest.raises(ValueError, match=r"other\.csv: there is no column 'right'"):
        CsvSequences(table, test_path=tmp_path / "other.csv", **options).test  # noqa: B018


def test_a_long_table_of_numbers_and_of_steps(table):
    options = {"key": "walk", "inputs": ["left"], "valid_size": 0, "test_size": 0}
    table.write_text(TABLE.replace("slow", "0.25").replace("fast", "1.5"))
    data = CsvSequences(table, target="gait", **options)
    assert (data.target_shape, data.classes, data.train.y.tolist()) == ((1,), None, [[0.25], [1.5], [1.5]])
    steps = CsvSequences(table, target="right", each_step=True, **options)
    assert (steps.target_shape, steps.classes) == ((3,), 6)
    assert steps.class_names == ("0", "1", "2", "3", "4", "7")
    assert steps.train.y.tolist() == [[0, 1, 3], [2, 4, -1], [5, -1, -1]]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (("", ""), {"key": "wolk"}, "there is no column 'wolk'; did you mean 'walk'"),
        (("", ""), {"target": "gate"}, "there is no column 'gate'; did you mean 'gait'"),
        (("", ""), {"inputs": ["lift"]}, "there is no column 'lift'"),
        (("", ""), {"inputs": ["gait"]}, "column 'gait' has two uses"),
        (("a,3,2.5,3,slow", "a,3,2.5,3,fast"), {}, r"t\.csv, line 5, column 'gait': another target than in line 2"),
        (("a,3,2.5", "a,3,x"), {"inputs": ["left"]}, r"t\.csv, line 5, column 'left': got 'x'"),
        (("a,3,2.5", "a,3,"), {"inputs": ["left"]}, "which means a missing value"),
        (("b,1", ",1"), {}, r"t\.csv, line 4, column 'walk': got '', expected the key"),
        (("", ""), {"valid_size": 2, "test_size": 1}, "take 3 of 3 samples"),
    ],
)
def test_long_tables_that_do_not_fit(table, change, options, message):
    if change[0]:
        table.write_text(TABLE.replace(*change))
    with pytest.raises(ValueError, match=message):
        CsvSequences(table, **({"key": "walk", "target": "gait"} | options)).train  # noqa: B018


def test_a_long_table_with_missing_values(table):
    table.write_text(TABLE.replace("a,3,2.5", "a,3,"))
    options = {"key": "walk", "target": "gait", "valid_size": 0, "test_size": 0, "standardize": False}
    data = CsvSequences(table, missing=-9.0, inputs=["left"], **options)
    assert data.train.x[0].reshape(-1).tolist() == [1.5, 0.5, -9.0]


# -- .ts files --

HEAD = """\
#a comment
@problemName Waves
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
"""
SERIES = ["1,2,3:4,5,6:up", "1,?:2,3:down", "5:6:up", "1,2:3,4:down"]


def write(folder, series=SERIES, head=HEAD, name="Waves_TRAIN.ts"):
    (folder / name).write_text(head + "\n".join(series) + "\n")
    return folder / name


def test_ts(tmp_path):
    path = write(tmp_path)
    write(tmp_path, ["9,9,9,9:1,1,1,1:down"], name="Waves_TEST.ts")
    data = TsSequences(path, missing="last")
    assert (data.input_shape, data.classes, data.class_names) == ((4, 2), 2, ("up", "down"))
    np.testing.assert_array_equal(data.train.x[0], [[1, 4], [2, 5], [3, 6], [0, 0]])
    np.testing.assert_array_equal(data.train.x[1], [[1, 2], [1, 3], [0, 0], [0, 0]])
    assert find_lengths(data.train).tolist() == [3, 2, 1, 2]
    assert (data.train.y.tolist(), data.test.y.tolist(), data.valid) == ([0, 1, 0, 1], [1], None)
    assert TsSequences(path, missing="zero", valid_size=1).valid is not None


def test_ts_of_equal_lengths_has_none(tmp_path):
    path = write(tmp_path, ["1,2:3,4:up", "5,6:7,8:down"])
    assert find_lengths(TsSequences(path).train) is None
    assert find_lengths(TsSequences(path, with_lengths=True).train).tolist() == [2, 2]


def test_ts_of_a_regression(tmp_path):
    path = write(tmp_path, ["1,2:3,4:0.5", "5,6:7,8:-1"], HEAD.replace("@classLabel true up down", "@targetLabel true"))
    data = TsSequences(path)
    assert (data.classes, data.target_shape, data.train.y.tolist()) == (None, (1,), [[0.5], [-1.0]])


@pytest.mark.parametrize(
    ("series", "head", "message"),
    [
        (SERIES, HEAD, r"TRAIN\.ts, line 11: a value is missing, expected all; 'missing: last'"),
        (["1:2:left"], HEAD, "line 10: the class is 'left', expected one of up, down"),
        (["1:up"], HEAD, "line 10: there are 1 dimensions, expected 2"),
        (["1,2:3:up"], HEAD, "its dimensions have 2, 1 values"),
        (["1,x:3,4:up"], HEAD, "line 10, dimension 1: got 'x', expected a number"),
        (["1,inf:3,4:up"], HEAD, "dimension 1: got inf, expected numbers below 1e\\+30"),
        (["1,-1e300:3,4:up"], HEAD, "dimension 1: got -1e\\+300, expected numbers below"),
        (["1,2"], HEAD, r"line 10: there is no ':', expected a class or target after one"),
        ([], HEAD, "no series follows @data"),
        (SERIES, HEAD.replace("@data\n", ""), "expected @data before the series"),
        ([], "", "there is no @data"),
        (SERIES, HEAD.replace("@timeStamps false", "@timeStamps true"), "line 3: the values have time stamps"),
        (SERIES, HEAD.replace("@dimensions 2", "@dimensions two"), "expected the number of dimensions"),
        (SERIES, HEAD.replace("true up down", "true"), "expected the names of two classes"),
        (["1:2"], HEAD.replace("@classLabel true up down", "@classLabel false"), "the series have no class"),
        (["1:2:a"], HEAD.replace("@classLabel true up down", "@targetLabel true"), "the target is 'a', expected a num"),
    ],
)
def test_ts_that_do_not_fit(tmp_path, series, head, message):
    with pytest.raises(ValueError, match=message):
        TsSequences(write(tmp_path, series, head)).train  # noqa: B018


def test_ts_files_that_differ(tmp_path):
    path = write(tmp_path, ["1:2:up"])
    write(tmp_path, ["1:2:left"], HEAD.replace("up down", "left right"), "Waves_TEST.ts")
    with pytest.raises(ValueError, match=r"TEST\.ts: it has other classes than"):
        TsSequences(path).train  # noqa: B018
    write(tmp_path, ["1:2:3:up"], HEAD.replace("@dimensions 2", "@dimensions 3"), "Waves_TEST.ts")
    with pytest.raises(ValueError, match="there are 3 dimensions, expected 2"):
        TsSequences(path).train  # noqa: B018
    with pytest.raises(ValueError, match="missing is 'mean', expected refuse, last or zero"):
        TsSequences(path, missing="mean")
    with pytest.raises(FileNotFoundError):
        TsSequences(tmp_path / "None_TRAIN.ts").train  # noqa: B018


def test_gaps_are_filled_by_the_last_value():
    series = np.array([[np.nan, np.nan], [1, np.nan], [np.nan, np.nan], [3, np.nan]])
    np.testing.assert_array_equal(fill_with_last(series), [[1, 0], [1, 0], [1, 0], [3, 0]])


@needs_ucr
@pytest.mark.parametrize(
    ("name", "shape", "classes", "counts"),
    [
        ("JapaneseVowels", (29, 12), 9, (270, 370)),
        ("GunPoint", (150, 1), 2, (50, 150)),
        ("ItalyPowerDemand", (24, 1), 2, (67, 1029)),
        ("ArrowHead", (251, 1), 3, (36, 175)),
        ("BasicMotions", (100, 6), 4, (40, 40)),
    ],
)
def test_the_archive(name, shape, classes, counts):
    data = TsSequences(UCR / f"{name}_TRAIN.ts", standardize=True)
    assert (data.input_shape, data.classes, (len(data.train), len(data.test))) == (shape, classes, counts)
    lengths = find_lengths(data.train)
    assert (lengths is not None) == (name == "JapaneseVowels")
    if lengths is not None:
        assert (lengths.min(), lengths.max()) == (7, 26)
