"""`CsvDataset`: what a table becomes, by hand and beside scikit-learn; and what it refuses, by file and line."""

import gzip
import re

import numpy as np
import pytest
from bprop.datasets import CsvDataset, Preprocessing
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROWS = [f"{i},{i * i % 17}.5,{['red', 'green', 'blue'][i % 3]},{100 + 3 * i}.5" for i in range(40)]
TABLE = ["size,weight,colour,price", *ROWS]


@pytest.fixture
def write(tmp_path):
    """`write(lines)` makes a file and returns its path."""

    def write(lines, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(lines if isinstance(lines, bytes) else "\n".join(lines).encode())
        return path

    return write


@pytest.fixture
def path(write):
    return write(TABLE)


def cells(path, rows):
    """Cells of rows of the table, whose numbers are counted from 0."""
    lines = path.read_text().splitlines()[1:]
    return np.array([lines[n].split(",") for n in rows])


def test_parts_equal_those_of_scikit_learn(path):
    ds = CsvDataset(path, target="price", seed=4)
    assert (ds.input_shape, ds.target_shape, ds.classes) == ((5,), (1,), None)
    assert ds.preprocessing.features == ["size", "weight", "colour=blue", "colour=green", "colour=red"]
    train = cells(path, ds._rows[0])
    scaler, one_hot = StandardScaler().fit(train[:, :2].astype(float)), OneHotEncoder().fit(train[:, 2:3])
    for part, rows in zip((ds.train, ds.valid, ds.test), ds._rows, strict=True):
        raw = cells(path, rows)
        x = np.hstack([scaler.transform(raw[:, :2].astype(float)), one_hot.transform(raw[:, 2:3]).toarray()])
        np.testing.assert_allclose(part.x, x, rtol=1e-5, atol=1e-6)
        price = raw[:, 3].astype(float)[:, None]
        np.testing.assert_allclose(part.y * part.target_std + part.target_mean, price, rtol=1e-5)
        assert (part.x.dtype, part.y.dtype) == (np.float32, np.float32)
    assert [len(rows) for rows in ds._rows] == [26, 6, 8]
    assert ds.train.y.mean() == pytest.approx(0, abs=1e-6)
    assert ds.train.y.std() == pytest.approx(1, abs=1e-6)


def test_classes(path):
    ds = CsvDataset(path, target="colour", valid_size=9, test_size=0)
    assert (ds.target_shape, ds.classes, ds.preprocessing.target.classes) == ((), 3, ("blue", "green", "red"))
    assert ds.test is None
    words = [ds.preprocessing.target.classes[label] for label in ds.valid.y]
    assert words == cells(path, ds._rows[1])[:, 2].tolist()
    assert sorted(words) == ["blue"] * 3 + ["green"] * 3 + ["red"] * 3  # the split is stratified
    assert ds.preprocessing.restore(np.eye(3)[ds.valid.y]) == words


def test_without_standardising(path):
    ds = CsvDataset(path, target=-1, standardize=False, standardize_target=False, inputs=["weight", "size"])
    raw = cells(path, ds._rows[0])
    np.testing.assert_array_equal(ds.train.x, raw[:, [1, 0]].astype("f4"))
    np.testing.assert_array_equal(ds.train.y, raw[:, 3:].astype("f4"))
    assert (ds.train.target_mean, ds.train.target_std) == (0, 1)


def test_files_of_their_own(path, write):
    valid = write(["colour,weight,price,size", "red,2.5,50,7"], "valid.csv")  # the order of columns is its own
    ds = CsvDataset(path, target="price", valid_path=valid, test_path=path, standardize=False)
    assert [len(part) for part in (ds.train, ds.valid, ds.test)] == [40, 1, 40]
    np.testing.assert_array_equal(ds.valid.x, [[7, 2.5, 0, 0, 1]])
    assert ds.preprocessing.restore(ds.valid.y)[0, 0] == pytest.approx(50, rel=1e-6)
    write(["colour,weight,price", "red,2.5,50"], "valid.csv")
    with pytest.raises(ValueError, match=r"valid\.csv: there is no column 'size'; there are colour, weight, price$"):
        _ = CsvDataset(path, target="price", valid_path=valid).valid


@pytest.mark.parametrize(("header", "target"), [(False, "column4"), (["a", "b", "c", "d"], "d")])
def test_a_file_without_header(write, header, target):
    ds = CsvDataset(write(ROWS), target=target, header=header, drop=["column3"] if header is False else ["c"])
    assert (ds.input_shape, len(ds.train)) == ((2,), 26)


def test_quotes_blanks_byte_order_mark_and_semicolons(write):
    text = '﻿name; "the; price"\r\n "a ""b""\nc"; 1.5\r\n\r\n d ;2.5\r\n'
    ds = CsvDataset(write(text.encode()), target="the; price", delimiter=";", valid_size=0, test_size=0)
    assert ds.preprocessing.features == ['name=a "b"\nc', "name=d"]


def test_numbers_that_mean_categories(write):
    path = write(["a,b,t", "1,3,x", "01,4,y", "1.0,5,x", "2,6,y"])
    ds = CsvDataset(path, target="t", categorical=["a"], valid_size=0, test_size=0)
    assert ds.preprocessing.features == ["a=1", "a=2", "b"]


MISSING = ["a,b,t", "1,x,1.5", "2,x,2.5", ",x,3.5", "6,?,4.5", "9,y,5.5"]


@pytest.mark.parametrize(("missing", "fill"), [("mean", 4.5), ("median", 4.0)])
def test_missing_values_are_filled(write, missing, fill):
    options = {"missing": missing, "standardize": False, "valid_size": 0, "test_size": 0}
    ds = CsvDataset(write(MISSING), target="t", **options)
    order = np.argsort(ds.train.y[:, 0])
    np.testing.assert_array_equal(ds.train.x[order], [[1, 1, 0], [2, 1, 0], [fill, 1, 0], [6, 1, 0], [9, 0, 1]])
    np.testing.assert_array_equal(ds.preprocessing.transform([{"a": None, "b": "y"}]), [[fill, 0, 1]])


def test_rows_with_missing_values_are_dropped(write):
    ds = CsvDataset(write(MISSING), target="t", missing="drop", valid_size=0, test_size=0, standardize=False)
    assert sorted(ds.train.x[:, 0]) == [1, 2, 9]
    ds = CsvDataset(write(MISSING), target="t", missing="drop", drop=["a"], valid_size=0, test_size=0)
    assert len(ds.train) == 4  # what is not used may be missing


def test_constant_in_the_training_part_only(write):
    path = write(["a,b,t"] + ["5,1,1.5", "5,2,2.5"] * 3)
    other = write(["a,b,t", "6,1,1.5"], "other.csv")
    ds = CsvDataset(write(path.read_bytes() + b"\n7,1,2.5"), target="t", valid_path=other, test_size=0)
    assert np.isfinite(ds.valid.x).all()
    with pytest.raises(ValueError, match=r"column 'a' has one value only, which says nothing; drop it$"):
        _ = CsvDataset(write(["a,b,t"] + ["5,1,1.5", "5,2,2.5"] * 3), target="t").train


def test_unseen_categories(path, write):
    other = write([TABLE[0], "1,2,red,3", "1,2,pink,3"], "other.csv")
    message = r"other\.csv, line 3, column 'colour': 'pink' is not a category of the training rows; 'unseen: zeros' enc"
    with pytest.raises(ValueError, match=message):
        _ = CsvDataset(path, target="price", test_path=other).test
    test = CsvDataset(path, target="price", test_path=other, unseen="zeros").test
    np.testing.assert_array_equal(test.x[1, 2:], [0, 0, 0])
    with pytest.raises(ValueError, match=r"line 3, column 'colour': 'pink' is not a class of the training rows$"):
        _ = CsvDataset(path, target="colour", test_path=other).test


@pytest.mark.parametrize(
    ("line", "cell", "options", "message"),
    [
        (7, "7,x,red,9", {}, ", line 8, column 'weight': got 'x', expected a number below 1e30 as in other rows; or"),
        (7, "7,1e30,red,9", {}, ", line 8, column 'weight': got '1e30', expected a number below 1e30 as in other rows"),
        (7, "7,inf,red,9", {}, ", line 8, column 'weight': got 'inf', expected a number below 1e30 as in other rows"),
        (7, "7,1_0,red,9", {}, ", line 8, column 'weight': got '1_0', expected a number below 1e30 as in other rows"),
        (7, "7,,red,9", {"valid_size": 0, "test_size": 0}, ", line 8, column 'weight': got '', which means a missing"),
        (7, "7,1,?,9", {"valid_size": 0, "test_size": 0}, ", line 8, column 'colour': got '?', which means a miss"),
        (7, "7,1,3,9", {}, ", line 2, column 'colour': got 'red', expected a number below 1e30 as in other rows; or"),
        (7, "7,1,red,", {"missing": "mean"}, ", line 8, column 'price': got '', which means a missing value, expected"),
        (7, "7,1,red", {}, ", line 8: there are 3 cells, expected 4 as in the first row"),
        (7, "7,1,red,1,1", {}, ", line 8: there are 5 cells, expected 4 as in the first row"),
        (7, '7,1,"red,1', {}, ", line 41: unexpected end of data, expected comma-separated values"),
        (7, "7,1,r\0d,1", {}, ", line 8: a null byte, expected text"),
        (0, "size,price,size,price", {}, ": two columns have the name 'size', expected different names"),
        (0, "size,,colour,price", {}, ", line 1: column 2 has no name, expected one"),
        (0, "1,2,3,price", {}, ", line 1 holds numbers, expected names; 'header: false' says there are none"),
        (0, TABLE[0], {"target": "prize"}, ": there is no column 'prize'; did you mean 'price'?"),
        (0, TABLE[0], {"target": "xyz"}, ": there is no column 'xyz'; there are size, weight, colour, price"),
        (0, TABLE[0], {"target": 4}, ": target is 4, expected a position among 4"),
        (0, TABLE[0], {"drop": ["sise"]}, ": there is no column 'sise'; did you mean 'size'?"),
        (0, TABLE[0], {"inputs": ["sise"]}, ": there is no column 'sise'; did you mean 'size'?"),
        (0, TABLE[0], {"categorical": ["sise"]}, ": there is no column 'sise'; did you mean 'size'?"),
        (0, TABLE[0], {"inputs": ["price"]}, ": column 'price' is the target, expected no input of that name"),
        (0, TABLE[0], {"inputs": []}, ": no column is left as input, expected at least one"),
        (0, TABLE[0], {"target": "size"}, ": column 'size' holds whole numbers, which may be classes or amounts"),
        (0, TABLE[0], {"header": ["a"]}, ": header has 1 names, expected 4, one for each column"),
        (0, TABLE[0], {"delimiter": ";", "target": 0}, ": there is one column, expected more; is the delimiter ';'?"),
        (0, TABLE[0], {"target": "colour", "task": "regression"}, ", line 2, column 'colour': got 'red', expected"),
    ],
)  # fmt: skip
def test_refuses_tables(write, line, cell, options, message):
    path = write([*TABLE[:line], cell, *TABLE[line + 1 :]])
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}{message}')}"):
        _ = CsvDataset(path, **{"target": "price", **options}).train


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": the file is empty, expected a table"),
        (b"\n\n", ": the file is empty, expected a table"),
        (b"a,b,c\n", ": no row follows the header, expected at least one"),
        (b"a,b\n1,2\n\xff\xfe,3\n", ", line 3: byte 0xff is no UTF-8, expected text"),
        ("a,b\nä,1\n".encode("latin-1"), ", line 2: byte 0xe4 is no UTF-8, expected text"),
        ("a,b\n1,2\n".encode("utf-16"), ", line 1: byte 0xff is no UTF-8, expected text"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", ", line 2: field larger than field limit (131072), expected comma-sep"),
        (b"a,t\n1,x\n2,x\n", ": column 't' has one value only, expected several to tell apart"),
        (b"a,t\n" + b"".join(b"w%da,%d.5\n" % (i, i) for i in range(101)),
         ": column 'a' has 101 different words, expected at most 100; drop it, or name the column under categorical"),
        (b"a,t\n,1.5\n,2.5\n", ": column 'a' has one value only, which says nothing; drop it"),
    ],
)  # fmt: skip
def test_refuses_files(write, content, message):
    path = write(content)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}{message}')}"):
        _ = CsvDataset(path, target=-1, missing="mean", valid_size=0, test_size=0).train


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        _ = CsvDataset(tmp_path / "nowhere.csv", target="t").train
    (tmp_path / "t.csv").write_text("a,t\n,1\n,2\n")
    with pytest.raises(ValueError, match=r"t\.csv: each row has a missing value, expected some that have none$"):
        _ = CsvDataset(tmp_path / "t.csv", target="t", missing="drop").train


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "guess"}, "task is 'guess', expected one of None, classification, regression"),
        ({"missing": "zero"}, "missing is 'zero', expected one of refuse, drop, mean, median"),
        ({"unseen": "ignore"}, "unseen is 'ignore', expected one of refuse, zeros"),
        ({"delimiter": ", "}, "delimiter is ', ', expected one character"),
        ({"inputs": ["a"], "drop": ["b"]}, "both inputs and drop are given, expected one of them"),
        ({"valid_path": "v.csv", "valid_size": 0.1}, "both valid_path and valid_size are given, expected one of them"),
        ({"test_path": "v.csv", "test_size": 0.1}, "both test_path and test_size are given, expected one of them"),
        ({"seed": -1}, "seed is -1, expected a whole number of at least 0"),
    ],
)
def test_refuses_settings(options, message):
    with pytest.raises(ValueError, match=f"^CsvDataset: {re.escape(message)}$"):
        CsvDataset("t.csv", target="t", **options)


@pytest.mark.parametrize("target", ["price", "colour"])
def test_preprocessing_is_saved_and_loaded(path, tmp_path, target):
    ds = CsvDataset(path, target=target, unseen="zeros")
    ds.preprocessing.save(tmp_path / "p.json")
    loaded = Preprocessing.load(tmp_path / "p.json")
    assert loaded == ds.preprocessing
    rows = [dict(zip(TABLE[0].split(","), line.split(","), strict=True)) for line in ROWS]
    whole = CsvDataset(path, target=target, test_path=path)
    vars(whole)["preprocessing"] = ds.preprocessing
    np.testing.assert_array_equal(loaded.transform(rows), whole.test.x)
    np.testing.assert_array_equal(loaded.transform([{**rows[3], "size": 3.0}]), loaded.transform(rows[3:4]))


def test_transform_refuses_rows(path):
    fitted = CsvDataset(path, target="price").preprocessing
    good = {"size": 1, "weight": 2, "colour": "red"}
    for wrong, message in [
        ({"size": "big"}, "row 1, column 'size': got 'big', expected a number below 1e30"),
        ({"size": None}, "row 1, column 'size': got '', which means a missing value, expected a number"),
        ({"colour": float("nan")}, "row 1, column 'colour': got '', which means a missing value"),
        ({"colour": "pink"}, "row 1, column 'colour': 'pink' is not a category of the training rows"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            fitted.transform([good, {**good, **wrong}])
    with pytest.raises(ValueError, match=r"^row 1: 'colour' is missing, expected size, weight, colour$"):
        fitted.transform([good, {"size": 1, "weight": 2}])


def test_numbers_too_large_for_float32(write):
    path = write(["a,t", "1e-20,1.5", "2e-20,2.5", "3e-20,3.5"])
    fitted = CsvDataset(path, target="t", valid_size=0, test_size=0).preprocessing
    with pytest.raises(ValueError, match=r"^row 0: a is too large for float32$"):
        fitted.transform([{"a": 1e29}])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expecting value"),
        (b"[" * 100_000, "recursion"),
        (b"\xff\xfe\x00", "codec"),
        (b"[]", "it is no preprocessing"),
        (b'{"format": "other"}', "it is no preprocessing"),
        (b'{"format": "bprop preprocessing"}', "columns: Field required"),
    ],
)
def test_damaged_preprocessing(tmp_path, content, message):
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"^{re.escape(str(path))}: .*{message}.*, expected what Preprocessing.save wri"
    ):
        Preprocessing.load(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"mean": ', '"mean": "x", "m": '),
        ('"std": 1', '"std": NaN, "s": 1'),
        ('"kind": "numeric"', '"kind": "python"'),
        ('"name": "size"', '"name": 3'),
        ('"unseen": "refuse"', '"unseen": "refuse", "call": "os.system"'),
    ],
)
def test_changed_preprocessing(path, tmp_path, old, new):
    saved = tmp_path / "p.json"
    CsvDataset(path, target="price").preprocessing.save(saved)
    assert old in saved.read_text()
    saved.write_text(saved.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=r"p\.json: .*, expected what Preprocessing.save writes$"):
        Preprocessing.load(saved)


def test_sizes_that_leave_nothing(path):
    message = "valid_size 20 and test_size 20 take 40 of 40 samples, expected at least one to be left for training"
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}: {message}')}$"):
        _ = CsvDataset(path, target="price", valid_size=20, test_size=20).train


# -- weights -----------------------------------------------------------------------------------------------------


def weighted(tmp_path, weights, **settings):
    rows = [f"{n},{n % 3},{'no' if n % 2 else 'yes'},{weight}" for n, weight in enumerate(weights)]
    (tmp_path / "w.csv").write_text("a,b,kind,count\n" + "\n".join(rows) + "\n")
    return CsvDataset(tmp_path / "w.csv", **{"target": "kind", "sample_weight": "count"} | settings)


def test_a_column_of_weights(tmp_path):
    data = weighted(tmp_path, range(40), standardize=False)
    assert data.preprocessing.features == ["a", "b"]
    for part in (data.train, data.valid, data.test):
        np.testing.assert_array_equal(part.sample_weight, part.x[:, 0])
    assert weighted(tmp_path, ["", *range(39)], missing="drop").train.sample_weight is not None


@pytest.mark.parametrize(
    ("weights", "settings", "message"),
    [
        ([-1] * 40, {}, "column 'count': got -1, expected a weight of at least 0"),
        (["x"] * 40, {}, "column 'count': got 'x', expected a number below 1e30"),
        ([1] * 40, {"sample_weight": "kind"}, "column 'kind' is the target, expected another as sample_weight"),
        ([1] * 40, {"inputs": ["count"]}, "column 'count' is sample_weight, expected no input of that name"),
    ],
)
def test_weights_that_are_none(tmp_path, weights, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        weighted(tmp_path, weights, test_size=0, valid_size=0, **settings).train  # noqa: B018
    assert "w.csv" in str(error.value)


# -- numbers in other spellings ----------------------------------------------------------------------------------------

ODD = {
    "comma": [f"{k},5" for k in range(40)],
    "percent": [f"{k % 9}%" for k in range(40)],
    "currency": [f"${k % 9}.50" for k in range(40)],
    "code": [f"EUR {k % 9}" for k in range(40)],
    "groups": [f"{k % 9 + 1}.000,5" for k in range(40)],
    "date": [f"2024-01-{k % 9 + 1:02}" for k in range(40)],
    "minus": [f"\N{MINUS SIGN}{k % 9}" for k in range(40)],
}


def odd_table(cells, target=None):
    return ["a;b;y", *(f"{cell};{k};{k * 1.5 if target is None else target[k]}" for k, cell in enumerate(cells))]


@pytest.mark.parametrize("name", ODD)
def test_numbers_in_other_spellings_are_no_categories(write, name):
    path = write(odd_table(ODD[name]))
    message = (
        f"{path}, line 2, column 'a': got {ODD[name][0]!r}, and nearly every word of the column begins like a number"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}; decimal and thousands say"):
        CsvDataset(path, target="y", delimiter=";").train  # noqa: B018
    with pytest.raises(ValueError, match=r"begins like a number"):
        CsvDataset(path, target="a", delimiter=";").train  # noqa: B018
    assert CsvDataset(path, target="y", delimiter=";", categorical=["a"], unseen="zeros").train.x.shape[0] > 0


def test_words_of_which_nearly_none_stands_twice(write):
    path = write(odd_table([f"name{chr(97 + k % 26)}{k}" for k in range(40)]))
    with pytest.raises(
        ValueError, match=r"column 'a' has 40 different words in 40 rows, which are no categories; drop"
    ):
        CsvDataset(path, target="y", delimiter=";").train  # noqa: B018
    assert CsvDataset(path, target="y", delimiter=";", drop=["a"]).input_shape == (1,)


def test_decimal_and_thousands_signs(write):
    cells = [f"{k + 1}.000,5" if k % 2 else f"-{k},25" for k in range(40)]
    path = write(odd_table(cells, [f"{k},5" for k in range(40)]))
    ds = CsvDataset(
        path, target="y", delimiter=";", decimal=",", thousands=".", standardize=False, inputs=["a"], seed=1
    )
    rows = ds.train.y[:, 0] * ds.train.target_std + ds.train.target_mean - 0.5
    expected = [(k + 1) * 1000 + 0.5 if k % 2 else -(k + 0.25) for k in np.rint(rows).astype(int)]
    assert ds.train.x[:, 0].tolist() == pytest.approx(expected)
    with pytest.raises(
        ValueError, match=r"line 2, column 'a': got '1\.5', expected a number below 1e30 as in|begins like"
    ):
        CsvDataset(write(odd_table(["1.5"] * 20 + ["2,5"] * 20)), target="y", delimiter=";", decimal=",").train  # noqa: B018


@pytest.mark.parametrize(
    "options",
    [{"decimal": ",", "delimiter": ","}, {"thousands": "."}, {"decimal": ",,"}, {"thousands": "1"}, {"decimal": "-"}],
)
def test_signs_that_cannot_be_told_apart(path, options):
    with pytest.raises(
        ValueError, match=r"^CsvDataset: decimal is .*, thousands .* and delimiter .*, expected different"
    ):
        CsvDataset(path, target="price", **options)


def test_encodings_and_gzip(write):
    text = "\n".join(TABLE).replace("red", "grün")
    plain = CsvDataset(write(text.encode()), target="price")
    for data, options in (
        (text.encode("latin-1"), {"encoding": "latin-1"}),
        (text.encode("utf-16"), {"encoding": "utf-16"}),
        (gzip.compress(text.encode()), {}),
        (gzip.compress(text.encode("cp1252")), {"encoding": "cp1252"}),
    ):
        ds = CsvDataset(write(data, "other"), target="price", **options)
        assert ds.preprocessing == plain.preprocessing
    with pytest.raises(
        ValueError, match=r"line 2: byte 0xfc is no UTF-8, expected text; 'encoding: cp1252' or another may"
    ):
        CsvDataset(write(text.encode("latin-1")), target="price").train  # noqa: B018
    with pytest.raises(ValueError, match=r"expected a whole file compressed by gzip$"):
        CsvDataset(write(gzip.compress(text.encode())[:-20]), target="price").train  # noqa: B018
    with pytest.raises(
        ValueError, match=r"^CsvDataset: encoding is 'utf-99', expected one such as utf-8, utf-16, latin"
    ):
        CsvDataset(write(TABLE), target="price", encoding="utf-99")


def test_an_index_without_a_name_is_left_out(write, capsys):
    plain = CsvDataset(write(TABLE), target="price")
    indexed = write(["," + TABLE[0], *(f"{7 * k % 41},{row}" for k, row in enumerate(TABLE[1:]))], "indexed.csv")
    ds = CsvDataset(indexed, target="price")
    assert np.array_equal(ds.train.x, plain.train.x)
    assert (
        capsys.readouterr().err
        == f"{indexed}: the first column has no name and is left out, as the index of the rows\n"
    )
    path = write(["," + TABLE[0], *(f"1,{row}" for row in TABLE[1:])], "same.csv")
    with pytest.raises(ValueError, match=r"same.csv, line 1: column 1 has no name, expected one$"):
        CsvDataset(path, target="price").train  # noqa: B018


def test_zeros_are_not_advised_for_what_begins_like_a_number(write):
    ds = CsvDataset(write(odd_table([f"{k % 3}%" for k in range(40)])), target="y", delimiter=";", categorical=["a"])
    with pytest.raises(ValueError, match=r"'9%' is not a category of the training rows$"):
        ds.preprocessing.transform([{"a": "9%", "b": 1}])
