"""Runs on text and on words: their vocabulary, `bprop generate`, `predict` and `evaluate`."""

import csv
import io
import json

import numpy as np
import pytest
from bprop.datasets import load_vocabulary
from bprop.trainers import Generator, generate
from bprop.trainers.cli import main

CONFIG = """\
dataset:
  {data}
model:
  - Embedding: {{num_embeddings: {size}, embedding_dim: {size}, weight_init: {{Constant: {{value: 0}}}}}}
loss:
  SoftmaxCrossEntropy: {{ignore_index: -1, class_axis: -1}}
optimizer:
  SGD: {{lr: 5.0}}
trainer: {{epochs: 6, batch_size: 8}}
"""
TEXT = "abc\n" * 60  # a is followed by b, b by c


def train(folder, data, size):
    (folder / "c.yaml").write_text(CONFIG.format(data=data, size=size))
    assert main(["train", str(folder / "c.yaml"), "--run", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "t.txt").write_text(TEXT)
    return train(folder, "TextDataset: {path: t.txt, context: 4, test_size: 0.1}", 4)


@pytest.fixture(scope="module")
def names_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    (folder / "n.txt").write_text("abc\nab\n" * 30)
    return train(folder, "NamesDataset: {path: n.txt}", 4)


def test_the_vocabulary_is_saved(text_run, names_run):
    assert load_vocabulary(text_run / "vocabulary.json").characters == "\nabc"
    assert load_vocabulary(names_run / "vocabulary.json").end == 0


def test_generate(text_run, capsys):
    assert main(["generate", str(text_run), "--prompt", "a", "--temperature", "0", "--length", "7"]) == 0
    assert capsys.readouterr().out == "abc\nabc\na"[:8] + "\n"
    assert generate(text_run, "a", 7, temperature=0) == "bc\nabc\n"
    assert main(["generate", str(text_run), "--length", "40", "--seed", "3", "--top-k", "2", "--top-p", "0.9"]) == 0
    first = capsys.readouterr().out
    assert main(["generate", str(text_run), "--length", "40", "--seed", "3", "--top-k", "2", "--top-p", "0.9"]) == 0
    assert capsys.readouterr().out == first
    assert len(first) == 41
    assert main(["generate", str(text_run), "--prompt", "ab", "--temperature", "0", "--length", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"prompt": "ab", "text": "c\na"}


def test_generate_words(names_run, capsys):
    assert main(["generate", str(names_run), "--length", "30", "--seed", "1"]) == 0
    words = capsys.readouterr().out.split("\n")
    assert {"abc", "ab"} >= set(words[:-2])
    assert main(["generate", str(names_run), "--prompt", "a", "--beams", "3", "--length", "9"]) == 0
    assert capsys.readouterr().out in ("abc\n", "ab\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prompt", "xay"], "the prompt: Vocabulary: the text has 'x', 'y', which none of its tokens means"),
        (["--temperature", "-1"], "temperature is -1.0, expected at least 0"),
        (["--top-k", "0"], "top_k is 0, expected a whole number of at least 1"),
        (["--top-p", "2"], "top_p is 2.0, expected more than 0, at most 1"),
        (["--seed", "-1"], "seed is -1, expected a whole number"),
        (["--length", "-1"], "length is -1, expected a whole number"),
        (["--beams", "2", "--top-k", "3"], "beams search the most probable text, expected no temperature"),
    ],
)
def test_what_generate_refuses(text_run, options, message, capsys):
    assert main(["generate", str(text_run), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_run_without_a_vocabulary(tmp_path, capsys):
    run = tmp_path / "digits"
    assert main(["train", "digits_mlp", "trainer.epochs=1", "--run", str(run), "--quiet"]) == 0
    assert main(["generate", str(run)]) == 2
    assert "has no vocabulary.json: its data are Digits, expected text or words" in capsys.readouterr().err


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_predict_along_a_text(text_run, tmp_path, capsys):
    (tmp_path / "new.txt").write_text("abca")
    assert main(["predict", str(text_run), str(tmp_path / "new.txt")]) == 0
    rows = read_csv(capsys.readouterr().out)
    assert [row["token"] for row in rows] == ["a", "b", "c", "a"]
    assert [row["next"] for row in rows] == ["b", "c", r"'\n'", "b"]
    assert rows[0]["p"] == rows[0]["p_following"]
    assert float(rows[2]["p_following"]) < 0.1
    assert rows[3]["p_following"] == ""
    assert main(["predict", str(text_run), str(tmp_path / "new.txt"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 4
    scores = Generator.load(text_run).compute_scores([1, 2, 3, 1])
    assert main(["predict", str(text_run), str(tmp_path / "new.txt"), "--out", str(tmp_path / "y.npy")]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), scores, rtol=1e-6)


def test_predict_along_words(names_run, tmp_path, capsys):
    (tmp_path / "new.txt").write_text("ab\n\nabc\n")
    assert main(["predict", str(names_run), str(tmp_path / "new.txt")]) == 0
    rows = read_csv(capsys.readouterr().out)
    assert [row["token"] for row in rows] == [r"'\n'", "a", "b", r"'\n'", "a", "b", "c"]
    assert all(float(row["p_following"]) > 0.3 for row in rows)


def test_predict_tokens(text_run, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.array([[1, 2, 3, 0], [2, 3, 0, 1]]))
    assert main(["predict", str(text_run), str(tmp_path / "x.npy")]) == 0
    rows = read_csv(capsys.readouterr().out)
    assert [list(row.values()) for row in rows] == [["b", "c", r"'\n'", "a"], ["c", r"'\n'", "a", "b"]]


def test_what_predict_refuses(text_run, tmp_path, capsys):
    for content, message in (("", "expected some"), ("ab#", "the text has '#'"), (b"\xff", "byte 0xff is no UTF-8")):
        (tmp_path / "new.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
        assert main(["predict", str(text_run), str(tmp_path / "new.txt")]) == 2
        assert message in capsys.readouterr().err


def test_evaluate_on_another_text(text_run, tmp_path, capsys):
    (tmp_path / "other.txt").write_text("cab\n" * 60)
    options = [f"dataset.TextDataset.path={tmp_path / 'other.txt'}", "--json"]
    assert main(["evaluate", str(text_run), "--json"]) == 0
    loss = json.loads(capsys.readouterr().out)["test_loss"]
    assert main(["evaluate", str(text_run), *options]) == 0
    assert json.loads(capsys.readouterr().out)["test_loss"] > loss + 0.5
    (tmp_path / "other.txt").write_text("bb" * 60)  # fewer characters: they keep their tokens
    assert main(["evaluate", str(text_run), *options]) == 0
    capsys.readouterr()
    (tmp_path / "other.txt").write_text("abc!" * 60)
    assert main(["evaluate", str(text_run), *options]) == 2
    assert "the text has '!', which none of its tokens means" in capsys.readouterr().err
