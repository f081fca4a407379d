"""What is done with runs: figures on data, predictions for new inputs, comparisons; and pipes and terminals."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from bprop.datasets import Diabetes, Digits, Iris
from bprop.modules import BinaryCrossEntropyWithLogits, MixtureDensity
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.runs.compare import Comparison
from bprop.trainers.runs.inference import INPUTS, make_columns, open_as_file, predict_run, read_plain_table
from bprop.trainers.runs.run_folder import train_config
from bprop.trainers.runs.target_scaling import TargetScaling
from safetensors.numpy import load_file, save_file

BEST = "callbacks=[{Checkpoint: {best: 1, monitor: train_loss}}]"


def trained(folder, config, *overrides):
    return train_config(load_config(config, ["trainer.epochs=2", *overrides]), run=folder, quiet=True)


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    """A run, and its summary."""
    folder = tmp_path_factory.mktemp("iris") / "run"
    return folder, trained(folder, "iris", BEST)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "run"
    trained(folder, "digits_mlp")
    return folder


def printed(capsys, *words):
    assert main(list(words)) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def npz(**arrays):
    """The content of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


# -- evaluate ----------------------------------------------------------------------------------------------------------


def test_evaluate(iris, capsys):
    folder, summary = iris
    figures = json.loads(printed(capsys, "evaluate", str(folder), "--json"))
    assert figures == {"test_loss": summary["test_loss"], "test_accuracy": summary["test_accuracy"], "samples": 30}
    figures = dict(line.split() for line in printed(capsys, "evaluate", str(folder), "--part", "valid").splitlines())
    assert float(figures["valid_loss"]) == pytest.approx(summary["valid_loss"], rel=1e-5)


def test_evaluate_other_data_and_weights(iris, capsys, tmp_path):
    folder, summary = iris
    figures = json.loads(printed(capsys, "evaluate", str(folder), "dataset.Iris.test_size=0.5", "--json"))
    assert figures["samples"] == 75
    best = next((folder / "checkpoint" / "best").iterdir())
    figures = json.loads(printed(capsys, "evaluate", str(folder), "--weights", str(best), "--json"))
    assert figures["test_loss"] == summary["test_loss"]  # the last epoch was the best
    zeros = {name: 0 * array for name, array in load_file(folder / "model.safetensors").items()}
    save_file(zeros, tmp_path / "zeros.safetensors")
    words = ["evaluate", str(folder), "--weights", str(tmp_path / "zeros.safetensors"), "--json"]
    assert json.loads(printed(capsys, *words))["test_loss"] == pytest.approx(np.log(3), rel=1e-6)


def test_what_cannot_be_evaluated(iris, capsys, tmp_path):
    folder, _ = iris
    (tmp_path / "config.yaml").write_text((folder / "config.yaml").read_text())
    for words, message in (
        (
            ["evaluate", str(folder), "seed=1"],
            "evaluate: seed=1 is not about the data, expected dataset.NAME.key=value",
        ),
        (["evaluate", str(folder), "dataset.Iris.valid_size=0", "--part", "valid"], "evaluate: Iris has no valid part"),
        (
            ["evaluate", str(tmp_path)],
            f"there is no {tmp_path / 'model.safetensors'}; 'bprop resume {tmp_path}' ends a ",
        ),
        (["predict", str(tmp_path / "x"), "-"], f"{tmp_path / 'x'} is no run folder: there is no "),
    ):
        assert main(words) == 2
        assert capsys.readouterr().err.startswith(f"bprop: error: {message}")


# -- predict -----------------------------------------------------------------------------------------------------------


def test_arrays_are_in_the_units_of_the_source(digits, iris, tmp_path, capsys):
    """Bytes of 0 to 16 for digits, centimetres for flowers: both as read, before any scaling."""
    for folder, data in ((digits, Digits()), (iris[0], Iris())):
        source = data._whole[0][data._rows[2]]
        np.save(tmp_path / "x.npy", source)
        table = rows(printed(capsys, "predict", str(folder), str(tmp_path / "x.npy")))
        experiment = load_config(folder / "config.yaml").build()
        experiment.model.load_state_dict(load_file(folder / "model.safetensors"))
        y = experiment.model.eval().fprop(data.test[:][0])
        p = experiment.loss.distribution(y).probabilities
        names = data.class_names or [str(k) for k in range(p.shape[1])]
        assert [row["class"] for row in table] == [names[k] for k in y.argmax(axis=1)]
        assert np.array([[float(row[f"p_{k}"]) for k in names] for row in table]) == pytest.approx(p, abs=1e-5)
        words = ["predict", str(folder), str(tmp_path / "x.npy"), "--out", str(tmp_path / "y.npy")]
        assert printed(capsys, *words) == ""
        assert np.load(tmp_path / "y.npy") == pytest.approx(y, abs=1e-4)


def test_one_sample_and_a_file_of_predictions(digits, tmp_path, capsys):
    x = Digits().test.x[3]
    np.save(tmp_path / "one.npy", x)
    out = tmp_path / "out.csv"
    assert printed(capsys, "predict", str(digits), str(tmp_path / "one.npy"), "--out", str(out)) == ""
    (row,) = rows(out.read_text())
    assert 0.99 < sum(float(row[f"p_{k}"]) for k in range(10)) < 1.01
    (tmp_path / "one.npz").write_bytes(npz(x=x[None], y=3))
    assert rows(printed(capsys, "predict", str(digits), str(tmp_path / "one.npz"))) == [row]


def test_an_image(digits, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    x = Digits().test.x[3, 0]
    np.save(tmp_path / "x.npy", x[None, None])
    picture = image.fromarray(np.round(x * (255 / 16)).astype(np.uint8))
    picture.save(tmp_path / "digit.png")
    predictions = [
        rows(printed(capsys, "predict", str(digits), str(tmp_path / name)))[0] for name in ("digit.png", "x.npy")
    ]
    assert float(predictions[0]["p_3"]) == pytest.approx(float(predictions[1]["p_3"]), abs=0.01)
    assert predictions[0]["class"] == predictions[1]["class"]
    image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "large.png")
    assert main(["predict", str(digits), str(tmp_path / "large.png")]) == 2
    expected = (
        f"bprop: error: {tmp_path / 'large.png'}: an image of shape (1, 9, 9), expected (1, 8, 8) as in the training\n"
    )
    assert capsys.readouterr().err == expected
    (tmp_path / "none.png").write_text("1,2,3")
    assert main(["predict", str(digits), str(tmp_path / "none.png")]) == 2
    assert capsys.readouterr().err.endswith("none.png: is no image that Pillow knows, expected a whole image\n")


def test_an_image_without_pillow(digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"^the input: images need Pillow: pip install 'bprop\[image\]'$"):
        predict_run(digits, b"\x89PNG...")


def test_rows_of_numbers(iris, capsys):
    folder, _ = iris
    with_names = predict_run(folder, b"\xef\xbb\xbfa,b,c,d\n5.1,3.5,1.4,0.2\n\n6.5,3,5.8,2.2\n")
    assert np.array_equal(with_names.outputs, predict_run(folder, b"5.1,3.5,1.4,0.2\r\n6.5,3.0,5.8,2.2").outputs)
    assert with_names.columns["class"][0] == "setosa"
    for text in ("a;b;c;d\n5.1;3.5;1.4;0.2\n6.5;3;5.8;2.2\n", '"5.1","3.5","1.4","0.2"\n  \n"6.5","3","5.8","2.2"'):
        assert np.array_equal(predict_run(folder, text.encode()).outputs, with_names.outputs)
    indexed = gzip.compress(b",a,b,c,d\n7,5.1,3.5,1.4,0.2\n3,6.5,3,5.8,2.2\n")
    assert np.array_equal(predict_run(folder, indexed).outputs, with_names.outputs)
    assert (
        capsys.readouterr().err == "the input: the first column has no name and is left out, as the index of the rows\n"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1,2,3\n", r"^predict: a sample has shape \(3,\), expected \(4,\)$"),
        (b"1,2,3,4\n\n1,2,x,4\n", r"^the input, line 3, column 'column3': got 'x', expected a number below 1e30$"),
        (b"a,b,c,d\n1,2,x,4\n", r"^the input, line 2, column 'c': got 'x', expected a number below 1e30$"),
        (
            b"1,,3,4\n1,2,3,4\n",
            r"^the input, line 1, column 'column2': got '', which means a missing value, expected a",
        ),
        (b"5.1,3.5,oops,0.2\n5,3,1,0\n", r"^the input, line 1, column 'column3': got 'oops', expected a number below"),
        (b"NA,NA,NA,NA\n5,3,1,0\n", r"^the input, line 1, column 'column1': got 'NA', which means a missing value"),
        (
            b"5,1;3,5;1,4;0,2\n",
            r"^the input, line 1, column 'column1': got '5,1', expected a number below 1e30; decimal",
        ),
        (b"1,2,3,4\n1,2\n", r"^the input, line 2: there are 2 cells, expected 4 as in the first row$"),
        (b"", r"^the input is empty, expected an \.npy array, named arrays in \.npz, lists in JSON, a table in CSV or"),
        (b"a,b,c,d\n", r"^the input: no row follows the header, expected at least one$"),
        (
            b"\xff\x00",
            r"^the input: expected an \.npy array, named arrays in \.npz, lists in JSON, a table in CSV or an image",
        ),
        (b"\x93NUMPY\x01\x00", r"^the input: .*, expected a whole \.npy file$"),
        (b"PK\x03\x04", r"^the input: .*, expected a whole \.npz file$"),
        (npz(a=np.ones((2, 4))), r"^the input: there is no array 'x', expected one of a$"),
    ],
)
def test_inputs_that_are_none(iris, content, message):
    with pytest.raises(ValueError, match=message):
        predict_run(iris[0], content)


def test_an_array_of_words(iris):
    file = io.BytesIO()
    np.save(file, np.array(["a"]))
    with pytest.raises(ValueError, match=r"^the input: an array of <U1 \(1,\), expected numbers \(N, \.\.\.\)$"):
        predict_run(iris[0], file.getvalue())


def test_a_regression_is_in_the_units_of_its_table(tmp_path):
    trained(tmp_path / "run", "diabetes", "trainer.epochs=20")
    data = Diabetes()
    lines = "\n".join(",".join(map(str, row)) for row in data._whole[0][data._rows[0]])
    y = np.array(predict_run(tmp_path / "run", lines.encode()).columns["y"], float)
    assert abs(y.mean() - data.target_mean) < 10
    assert 20 < y.std() < data.target_std


TABLE = """\
dataset:
  CsvDataset: {path: PATH, target: KIND}
model: [{Linear: {in_features: 4, out_features: 2}}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.5}}
trainer: {epochs: 20, batch_size: 8}
"""


def table(n, first=0):
    """Sizes, two colours, an origin; large red ones are good."""
    rows = ["size,colour,KIND,age"]
    for i in range(first, first + n):
        rows.append(f"{i % 10},{'red' if i % 3 else 'blue'},{'good' if i % 10 > 4 else 'bad'},{i % 7}")
    return "\n".join(rows) + "\n"


def test_a_table_by_the_preprocessing_of_its_training(tmp_path, capsys):
    """Other rows are encoded with the training's means, and the training's table need not be there any more."""
    (tmp_path / "t.csv").write_text(table(60))
    (tmp_path / "new.csv").write_text(table(11, 200))
    (tmp_path / "c.yaml").write_text(TABLE.replace("PATH", str(tmp_path / "t.csv")))
    run = tmp_path / "run"
    assert main(["train", str(tmp_path / "c.yaml"), "--run", str(run), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 20
    os.unlink(tmp_path / "t.csv")
    override = f"dataset.CsvDataset.test_path={tmp_path / 'new.csv'}"
    figures = json.loads(printed(capsys, "evaluate", str(run), override, "--json"))
    assert figures["samples"] == 11
    predictions = rows(printed(capsys, "predict", str(run), str(tmp_path / "new.csv")))
    assert list(predictions[0]) == ["class", "p_bad", "p_good"]
    right = [row["class"] == expected["KIND"] for row, expected in zip(predictions, rows(table(11, 200)), strict=True)]
    assert sum(right) / 11 == pytest.approx(figures["test_accuracy"])
    assert figures["test_accuracy"] > 0.8
    (tmp_path / "bad.csv").write_text("size,colour,age\n1,green,2\n")
    assert main(["predict", str(run), str(tmp_path / "bad.csv")]) == 2
    expected = (
        f"bprop: error: {tmp_path / 'bad.csv'}, line 2, column 'colour': 'green' is not a category of the training"
    )
    assert capsys.readouterr().err.startswith(expected)
    for name, content in (("x.npy", b"\x93NUMPY"), ("x.png", b"...")):  # which would go in unscaled
        (tmp_path / name).write_bytes(content)
        assert main(["predict", str(run), str(tmp_path / name)]) == 2
        expected = "the run was trained on a table, expected a CSV file with the columns size, colour, age"
        assert capsys.readouterr().err == f"bprop: error: {tmp_path / name}: {expected}\n"


@pytest.mark.parametrize("name", ["new.csv", "x.npy", "digit.png", "images/", "x.npy/y.npy"])
def test_inputs_that_are_not_there(iris, tmp_path, capsys, name):
    for empty in {"new.csv", "x.npy", "digit.png"} - {name}:
        (tmp_path / empty).touch()
        assert main(["predict", str(iris[0]), str(tmp_path / empty)]) == 2
        expected = f"{tmp_path / empty} is empty, expected {INPUTS}"
        assert capsys.readouterr().err == f"bprop: error: {expected}\n"
    assert main(["predict", str(iris[0]), str(tmp_path / name)]) == 2
    expected = f"there is no {tmp_path / name}, expected {INPUTS}, or a folder of images"
    assert capsys.readouterr().err == f"bprop: error: {expected}\n"


def test_a_folder_without_pictures(iris, tmp_path, capsys):
    for text in ("holds no image, expected at least one", "is no image by its name, expected .png, "):
        assert main(["predict", str(iris[0]), str(tmp_path)]) == 2
        path = tmp_path if "holds" in text else tmp_path / "x.npy"
        assert capsys.readouterr().err.startswith(f"bprop: error: {path} {text}")
        (tmp_path / "x.npy").touch()


def test_columns_of_other_losses():
    loss = MixtureDensity(2, 1)
    y = np.array([[0, 0, 1, 3, 0, 0]], np.float32)
    assert make_columns(loss, y, None, TargetScaling(target_std=10.0, target_mean=5.0)) == {"y": ["25.0"]}
    assert read_plain_table(b"1,2\n", "x").tolist() == [[1, 2]]


def test_yes_and_no():
    y = np.array([[0.0], [3.0]], np.float32)
    assert make_columns(BinaryCrossEntropyWithLogits(), y, None, TargetScaling()) == {
        "class": [0, 1],
        "p": ["0.5", "0.95257413"],
    }


# -- compare -----------------------------------------------------------------------------------------------------------


def test_compare(iris, tmp_path, capsys):
    folder, summary = iris
    other = tmp_path / "other"
    trained(other, "iris", "optimizer.SGD.lr=0.2", "model.0.Linear.out_features=8", "model.2.Linear.in_features=8")
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "config.yaml").write_text((folder / "config.yaml").read_text())
    words = ["compare", str(folder), str(other), str(begun)]
    comparison = json.loads(printed(capsys, *words, "--json"))
    assert comparison["runs"] == words[1:]
    assert comparison["config"]["optimizer.SGD.lr"] == [0.05, 0.2, 0.05]
    assert comparison["config"]["model.0.Linear.out_features"] == [16, 8, 16]
    assert "trainer.epochs" not in comparison["config"]
    assert comparison["results"]["test_loss"][0] == summary["test_loss"]
    assert comparison["results"]["test_loss"][2] is None
    assert not any(name.startswith("versions.") for name in comparison["results"])
    assert not any(name.startswith("instruction_set.") for name in comparison["results"])
    lines = printed(capsys, *words).splitlines()
    numbered = lines[0].startswith("1 ")  # the paths are too long for one line
    assert ([line.split()[1] for line in lines[:3]] if numbered else lines[0].split()) == words[1:]
    assert ["optimizer.SGD.lr", "0.05", "0.2", "0.05"] in [line.split() for line in lines]
    assert [line.split()[-1] for line in lines if line.startswith("test_loss")] == ["-"]
    assert main(["compare", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"bprop: error: {tmp_path} is no run folder")


def test_a_comparison_of_many_runs_fits_a_terminal():
    own = ["avx,avx2,fma", "avx,fma", None, "avx,avx512f,fma," + ",".join(f"extension{k}" for k in range(20))]
    results = {"test_loss": [0.5, None, 1 / 3, 2.0], "instruction_set.features": own}
    runs = [f"/some/where/runs/digits_mlp-{k}" for k in range(4)]
    text = str(Comparison(runs, {"model.0.Linear.out_features": [8, 8, 16, 16]}, results))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split() for line in lines[:4]] == [[str(k + 1), run] for k, run in enumerate(runs)]
    assert ["model.0.Linear.out_features", "8", "8", "16", "16"] in [line.split() for line in lines]
    assert "instruction_set.features, others" in text
    row = next(line for line in lines if line.startswith("instruction_set"))
    assert row.split()[2:6] == ["avx2", "no", "more", "-"]
    assert {"extension19,", "avx512f,"} <= set(text.split())
    assert "fma" not in text
    many = Comparison([f"run{k}" for k in range(12)], {"lr": [*range(12)]}, {"seconds": [1234.5678] * 12})
    lines = str(many).splitlines()
    assert max(map(len, lines)) <= 100
    values = [word for line in lines if line.startswith("lr") for word in line.split()[1:]]
    assert values == [*map(str, range(12))]
    wide = Comparison([f"run{k}" for k in range(9)], {"lr": ["a value of many words"] * 9}, {})
    lines = str(wide).splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith("lr") for line in lines) == 2
    assert sum(line.count("a value") for line in lines) == 9


# -- pipes, terminals, folders -----------------------------------------------------------------------------------------


def command(*words):
    return [sys.executable, "-c", "from bprop.trainers.cli import main; raise SystemExit(main())", *words]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end in another way")
def test_a_reader_that_has_gone(iris):
    """As in `bprop evaluate RUN | true`: it ends without a word."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(command("compare", str(iris[0])), stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 141


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes them")
def test_without_any_terminal(iris, tmp_path):
    """Input and both outputs are closed, as by some services: the training is done, and the folder is complete."""
    words = command("train", "iris", "trainer.epochs=1", "--run", str(tmp_path / "run"))
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], check=False)
    assert done.returncode == 0
    assert (tmp_path / "run" / "summary.json").exists()


def test_predictions_of_what_comes_in(iris):
    done = subprocess.run(command("predict", str(iris[0]), "-"), input=b"5.1,3.5,1.4,0.2\n", capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"class,p_setosa,p_versicolor,p_virginica\r\nsetosa,0.")


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["train", "iris", "--run", str(tmp_path / "file" / "run")]) == 2
    assert capsys.readouterr().err.endswith(": Not a directory\n")


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux alone has files in memory")
def test_input_from_a_pipe_where_no_temporary_file_can_be_made(monkeypatch):
    def refuse(*arguments, **settings):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    with open_as_file(b"1,2\n3,4\n") as path:
        assert path.read_bytes() == b"1,2\n3,4\n"
