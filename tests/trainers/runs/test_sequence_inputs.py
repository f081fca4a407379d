"""Predictions of runs on sequences of unequal lengths: from JSON, tables, .npz, .npy and .ts files, errors by row."""

import io
import json

import numpy as np
import pytest
from bprop.datasets import CsvSequences, NpzSequences, TsSequences
from bprop.modules import Flatten, Linear, Padded, Sequential, SoftmaxCrossEntropy
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.runs.inference import clear_padded, make_columns, predict_run, rebuild_run
from bprop.trainers.runs.json_inputs import read_json_samples
from bprop.trainers.runs.run_folder import train_config
from bprop.trainers.runs.sequence_inputs import make_minibatch, read_sequences
from bprop.trainers.runs.target_scaling import TargetScaling

CONFIG = """\
seed: 0
dataset:
  CsvSequences: {path: walks.csv, key: walk, order: time, target: gait}
model:
  - Padded: [GRU: {input_size: 2, hidden_size: 3}, LastStep]
  - Linear: {in_features: 3, out_features: 2}
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 0.1}
trainer: {epochs: 1, batch_size: 8}
"""
WALKS = [[[1.5, -2], [0.25, 3], [4, 1]], [[-1, 0.5]], [[2, 2], [0, -3]]]
LINES = ["walk,a,time,b", "x,1.5,0,-2", "y,-1,7,0.5", "x,4,2,1", "x,0.25,1,3", "z,0,2,-3", "z,2,1,2"]
PADDED = np.zeros((3, 4, 2))
for n, steps in enumerate(WALKS):
    PADDED[n, : len(steps)] = steps
LENGTHS = np.array([3, 1, 2])


def pack(**arrays):
    """The content of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walks")
    random = np.random.default_rng(0)
    lines = ["walk,time,a,b,gait"]
    for walk in range(24):
        for time in range(random.integers(1, 5)):
            a, b = random.normal(size=2) * 3 + 5
            lines.append(f"w{walk},{time},{a:.4f},{b:.4f},{('run', 'stroll')[walk % 2]}")
    (folder / "walks.csv").write_text("\n".join(lines))
    (folder / "c.yaml").write_text(CONFIG)
    train_config(load_config(folder / "c.yaml"), run=folder / "run", quiet=True)
    return folder / "run"


def test_lists_of_unequal_lengths(run, capsys, tmp_path):
    (tmp_path / "walks.json").write_text(json.dumps(WALKS))
    assert main(["predict", str(run), str(tmp_path / "walks.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "class,p_run,p_stroll"
    experiment = rebuild_run("evaluate", run)
    data = experiment.dataset
    x = np.where(PADDED == 0, 0, PADDED)
    real = np.arange(4) < LENGTHS[:, None]
    x[real] = (PADDED[real] - data.feature_mean) / data.feature_std
    y = experiment.model.eval().fprop((x.astype(np.float32)[:, :3], LENGTHS))
    p = SoftmaxCrossEntropy().distribution(y).probabilities
    found = [[float(cell) for cell in line.split(",")[1:]] for line in lines[1:]]
    np.testing.assert_allclose(found, p, rtol=1e-5)
    assert [line.split(",")[0] for line in lines[1:]] == [("run", "stroll")[k] for k in p.argmax(axis=1)]


def test_the_same_sequences_in_every_form(run):
    first = predict_run(run, json.dumps(WALKS).encode())
    forms = [
        "\n".join(map(json.dumps, WALKS)).encode(),
        json.dumps({"x": PADDED.tolist(), "lengths": LENGTHS.tolist()}, indent=1).encode(),
        pack(x=PADDED, lengths=LENGTHS),
        "\n".join(LINES).encode(),
    ]
    for content in forms:
        made = predict_run(run, content)
        assert np.array_equal(made.outputs, first.outputs)
    assert list(made.columns) == ["walk", "class", "p_run", "p_stroll"]
    assert made.columns["walk"] == ["x", "y", "z"]
    alone = predict_run(run, json.dumps(WALKS[0]).encode())
    np.testing.assert_allclose(alone.outputs, first.outputs[:1], rtol=1e-6)
    array = io.BytesIO()
    np.save(array, PADDED[:1, :3])
    assert np.array_equal(predict_run(run, array.getvalue()).outputs, alone.outputs)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[[[1, 2], [3]]]", r"^the input: sequence 0, step 1: got a list of 1, expected 2 numbers$"),
        (
            b"[[[1, 2]], [[3, null]]]",
            r"^the input: sequence 1, step 0, number 1: got null, expected a number b",
        ),
        (
            b"[[[1, 2]], [[3, true]]]",
            r"^the input: sequence 1, step 0, number 1: got true, expected a number b",
        ),
        (
            b'[[[1, 2]], [["3", 4]]]',
            r'^the input: sequence 1, step 0, number 0: got "3", expected a number b',
        ),
        (
            b"[[[1, 2]], [[NaN, 4]]]",
            r"^the input: sequence 1, step 0, number 0: got NaN, expected a number b",
        ),
        (b"[[[1, 2]], []]", r"^the input: sequence 1 is a list of 0, expected a list of at least one step$"),
        (b"[[[1, 2]], 7]", r"^the input: sequence 1 is 7, expected a list of at least one step$"),
        (b"[]", r"^the input: got a list of 0, expected lists of steps in JSON, a list for each sequence$"),
        (b"[[[1, 2]], [[3, 4]", r"^the input, line 1, column 19: Expecting ',' delimiter, expected JSON$"),
        (b"[[1, 2]]\n[[3, 4]\n", r"^the input, line 2, column 8: Expecting ',' delimiter, expected JSON$"),
        (b'{"y": 1}', r"^the input: an object with 'y', expected 'x' and 'lengths', or lists of steps in JSON, a list"),
        (b'{"x": [[[1, 2]]], "lengths": [2]}', r"^the input: length 0 is 2, expected 1 to 1, the steps of x$"),
        (b'{"x": [[[1, 2]]], "lengths": [1, 1]}', r"^the input: lengths: got a list of 2, expected 1 numbers$"),
        (b"walk,a,time\nx,1,0\n", r"^the input: there are 1 columns of numbers, expected 2 as in the training$"),
        (b"walk,a,b,time\nx,1,?,0\n", r"^the input, line 2, column 'b': got '\?', which means a missing value, exp"),
        (b"a,b,time\n1,1,0\n", r"^the input: there is no column 'walk'; there are a, b, time$"),
        (pack(x=PADDED), r"^the input: there is no array 'lengths', expected one of x$"),
        (pack(x=PADDED, lengths=LENGTHS + 2), r"^the input: row 0 of lengths is 5, expected 1 to 4$"),
        (pack(x=PADDED[0, 0], lengths=LENGTHS), r"^the input: x is float64 \(2,\), expected numbers \(N, T, 2\)$"),
    ],
)
def test_what_does_not_fit_is_told_by_row(run, content, message):
    with pytest.raises(ValueError, match=message):
        predict_run(run, content)


def test_tokens_and_models_without_lengths():
    units = TargetScaling(shape=[4])
    sequences, _ = read_sequences(b"[[3, 1, 2], [5]]", "x", NpzSequences, {}, units)
    model = Sequential(Padded(Linear(4, 2)))
    x, lengths = make_minibatch(sequences, units, Sequential(Flatten(), Linear(4, 2)), "x.json")
    assert (x.tolist(), lengths) == ([[3, 1, 2, 0], [5, 0, 0, 0]], None)
    with pytest.raises(ValueError, match=r"^x\.json: sequence 1, step 0: got 5\.5, expected a token, a whole number$"):
        make_minibatch([sequences[0], np.array([5.5])], units, model, "x.json")
    with pytest.raises(ValueError, match=r"^x\.json: sequence 1 has 5 steps, expected at most 4 as in the training$"):
        make_minibatch([sequences[0], np.ones(5, int)], units, Sequential(Flatten(), Linear(4, 2)), "x.json")


def test_series_and_plain_tables():
    units = TargetScaling(shape=[5, 2])
    head = "@dimensions 2\n@univariate false\n@classLabel false\n@data\n"
    series, _ = read_sequences((head + "1,2:3,4\n5:6\n").encode(), "x.ts", TsSequences, {}, units)
    assert [each.tolist() for each in series] == [[[1, 3], [2, 4]], [[5, 6]]]
    wide = head.replace("2", "1", 1) + "1,2\n"
    with pytest.raises(ValueError, match=r"^x\.ts: there are 1 dimensions, expected 2 as in the training$"):
        read_sequences(wide.encode(), "x.ts", TsSequences, {}, units)
    with pytest.raises(ValueError, match=r"^x\.ts, line 5: a value is missing, expected all; 'missing: last' and"):
        read_sequences((head + "1,?:3,4\n").encode(), "x.ts", TsSequences, {}, units)
    ((table,), names) = read_sequences(b"1,2\n3,4\n5,6\n", "x.csv", NpzSequences, {}, units)
    assert (table.tolist(), names) == ([[1, 2], [3, 4], [5, 6]], {})
    assert CsvSequences  # whose tables have keys: above


def test_columns_of_steps_are_empty_beyond_a_length():
    outputs = np.array([[[2.0, 1.0], [0.0, 1.0]], [[0.0, 3.0], [9.0, 0.0]]])
    columns = make_columns(SoftmaxCrossEntropy(), outputs, None, TargetScaling(class_names=["in", "out"]))
    assert clear_padded(columns, np.array([2, 1]), 2) == {"class0": ["in", "out"], "class1": ["out", ""]}
    numbers = {f"y{k}": ["a", "b"] for k in range(4)}
    assert list(clear_padded(numbers, np.array([1, 2]), 2)["y2"]) == ["", "b"]


def test_samples_of_one_shape():
    for content in (b"[[1, 2], [3, 4.5]]", b"[1, 2]\n[3, 4.5]\n", b'{"x": [[1, 2], [3, 4.5]]}'):
        assert read_json_samples(content, "x", [2]).tolist() == [[1, 2], [3, 4.5]]
    assert read_json_samples(b"[1, 2]", "x", [2]).tolist() == [[1, 2]]
    assert read_json_samples(b"[[[1, 2]], [[3, 4]]]", "x", [1, 2]).shape == (2, 1, 2)
    assert read_json_samples(b"[[1, 2], [3, 4]]", "x", [2, 2]).shape == (1, 2, 2)
    with pytest.raises(ValueError, match=r"^x: row 1: got a list of 1, expected 2 numbers$"):
        read_json_samples(b"[[1, 2], [3]]", "x", [2])
    with pytest.raises(ValueError, match=r"^x: got 3, expected a list of samples$"):
        read_json_samples(b"3", "x", [2])
