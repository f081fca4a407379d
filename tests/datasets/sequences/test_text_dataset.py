"""TextDataset: windows of a text, streams, tokens in a file, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import TextDataset
from bprop.datasets.sequences import token_files

SHAKESPEARE = Path(__file__).parents[4] / "shared" / "data" / "tiny-shakespeare" / "input.txt"
TEXT = "".join(f"{k} sheep\n" for k in range(100))


@pytest.fixture
def path(tmp_path):
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path / "t.txt"


def test_each_token_begins_a_window(path):
    data = TextDataset(path, context=8)
    n = len(TEXT)
    valid = round(n * 0.1)
    assert (data.input_shape, data.target_shape, data.classes) == ((8,), (8,), len(set(TEXT)))
    assert len(data.train) == n - valid - 8
    x, y = data.train[:]
    assert (x.dtype, y.dtype) == (np.int64, np.int64)
    for k in (0, 5, len(x) - 1):
        assert data.vocabulary.decode(x[k]) == TEXT[k : k + 8]
        assert data.vocabulary.decode(y[k]) == TEXT[k + 1 : k + 9]
    assert data.test is None


def test_windows_of_other_parts_follow_one_another(path):
    data = TextDataset(path, context=8, valid_size=100, test_size=0.1)
    test = round(len(TEXT) * 0.1)
    assert len(data.valid) == 99 // 8
    x, y = data.valid[:]
    assert data.vocabulary.decode(x.reshape(-1)) == TEXT[-test - 100 :][: x.size]
    assert (y[:, :-1] == x[:, 1:]).all()
    assert data.vocabulary.decode(data.test[:1][0][0]) == TEXT[-test:][:8]


def test_windows_are_views_of_few_bytes(path):
    train = TextDataset(path, context=8).train
    assert (train.x.dtype, train.y.dtype) == (np.uint8, np.uint8)
    assert np.shares_memory(train.x, train.tokens)
    assert np.shares_memory(train.y, train.tokens)
    part = train.take(slice(3, 9))
    assert np.shares_memory(part.x, train.tokens)
    assert (part[:][0] == train[3:9][0]).all()
    chosen = train.take(np.array([7, 2]))
    assert (chosen[:][1] == train[[7, 2]][1]).all()
    assert train.inputs([1], whole=False).dtype == np.float32


def test_streams_go_on_from_minibatch_to_minibatch(path):
    data = TextDataset(path, context=8, valid_size=0, streams=4)
    train, count = data.train, (len(TEXT) - 1) // 32
    assert (len(train), train.streams, data.valid) == (4 * count, 4, None)
    x, y = train[:]
    for stream in range(4):
        own = data.vocabulary.decode(x[stream::4].reshape(-1))
        assert own == TEXT[stream * count * 8 :][: len(own)]
        assert (x[stream::4].reshape(-1)[1:] == y[stream::4].reshape(-1)[:-1]).all()
    assert train.x.dtype == np.uint8


def test_streams_of_the_parts_that_are_evaluated(path):
    data = TextDataset(path, context=8, valid_size=0.5, test_size=20, streams=4)
    valid, text = data.valid, TEXT[len(TEXT) - 20 - len(TEXT) // 2 : len(TEXT) - 20]
    count = (len(text) - 1) // 32
    assert (len(valid), valid.streams) == (4 * count, 4)
    for stream in range(4):
        own = data.vocabulary.decode(valid[:][0][stream::4].reshape(-1))
        assert own == text[stream * count * 8 :][: len(own)]
    assert (len(data.test), data.test.streams) == (2, None)  # one minibatch of fewer windows than streams


def test_tokens_lie_in_a_file(path, tmp_path):
    plain = TextDataset(path, context=8).train
    for _ in range(2):  # written, then mapped
        data = TextDataset(path, context=8, tokens=tmp_path / "cache" / "tokens.npy")
        assert isinstance(data.train.tokens.base, np.memmap) or isinstance(data.train.tokens, np.memmap)
        assert (data.train[:][0] == plain[:][0]).all()
        assert data.vocabulary.decode(data.train.tokens) == data.vocabulary.decode(plain.tokens)
    assert sorted(each.name for each in (tmp_path / "cache").iterdir()) == ["tokens.json", "tokens.npy"]
    assert np.load(tmp_path / "cache" / "tokens.npy").dtype == np.uint8
    streams = [
        TextDataset(path, context=8, streams=4, tokens=tmp_path / "cache" / "tokens.npy").train for _ in range(2)
    ]
    expected = TextDataset(path, context=8, streams=4).train
    assert all((each[:][1] == expected[:][1]).all() for each in streams)


def test_a_text_in_pieces_is_the_same(path, monkeypatch):
    whole = TextDataset(path, context=8).train.tokens
    monkeypatch.setattr(token_files, "PIECE", 7)
    monkeypatch.setattr(token_files.iterate_text, "__defaults__", (7,))
    assert (TextDataset(path, context=8).train.tokens == whole).all()


def test_many_characters_take_two_bytes(tmp_path):
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 300))) * 3
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    data = TextDataset(tmp_path / "t.txt", context=8, tokens=tmp_path / "t.npy")
    assert data.train.x.dtype == np.uint16
    assert data.vocabulary.decode(data.train[:1][0][0]) == text[:8]


def test_a_folder_of_texts(tmp_path):
    for name, text in (("b.txt", "2nd\n" * 10), ("a.txt", "1st\n" * 10), ("c.md", "no")):
        (tmp_path / name).write_text(text)
    data = TextDataset(tmp_path, context=4, valid_size=0)
    assert data.vocabulary.decode(data.train.tokens) == "1st\n" * 10 + "2nd\n" * 10


def test_byte_pairs(path):
    pytest.importorskip("tokenizers")
    data = TextDataset(path, context=8, tokenizer="byte_pairs", vocabulary_size=280)
    assert (data.classes, data.train.x.dtype, data.class_names) == (280, np.uint16, None)
    n = len(data.vocabulary.encode(TEXT))
    assert len(data.train.tokens) + len(data.valid.tokens) == n < 0.8 * len(TEXT)


def test_what_a_loss_checks_covers_all_tokens(path):
    train = TextDataset(path, context=8).train
    assert train.checked_targets.shape == (1, 8)
    assert train.checked_targets.max() == train.tokens.max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": 0}, "context is 0, expected a whole number of at least 1"),
        ({"context": 801}, "the train part has 801 tokens, expected at least 802 for a context of 801"),
        ({"context": 100}, "the valid part has 89 tokens, expected at least 101 for a context of 100"),
        ({"streams": 0}, "streams is 0"),
        ({"streams": 50, "context": 17}, "the train part has 801 tokens, expected more than 50 streams of 17 tokens"),
        ({"valid_size": 0.6, "test_size": 0.5}, "valid_size and test_size take all 890 tokens"),
        ({"valid_size": 1.5}, "valid_size is 1.5"),
        ({"tokenizer": "words"}, "tokenizer is 'words', expected characters or byte_pairs"),
        ({"tokenizer": "byte_pairs"}, "vocabulary_size None; vocabulary_size is for byte_pairs, and they need one"),
        ({"vocabulary_size": 300}, "tokenizer is characters and vocabulary_size 300"),
        ({"tokenizer": "byte_pairs", "vocabulary_size": 12}, "vocabulary_size is 12, expected a whole number from 256"),
    ],
)
def test_settings_out_of_range(path, options, message):
    def read():
        data = TextDataset(path, **options)
        return data.train, data.valid

    with pytest.raises(ValueError, match=message):
        read()


def test_files_that_are_no_text(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*none\.txt, expected a text file, or a folder"):
        TextDataset(tmp_path / "none.txt").train  # noqa: B018
    with pytest.raises(FileNotFoundError, match=r"the folder .* has no \.txt file"):
        TextDataset(tmp_path).train  # noqa: B018
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ValueError, match=r"empty\.txt is empty, expected text"):
        TextDataset(tmp_path / "empty.txt").train  # noqa: B018
    (tmp_path / "latin.txt").write_bytes(b"one\ntwo\nna\xefve\n")
    with pytest.raises(ValueError, match=r"latin\.txt, line 3: byte 0xef is no UTF-8"):
        TextDataset(tmp_path / "latin.txt").train  # noqa: B018


def test_tokens_of_another_text_are_refused(path, tmp_path):
    tokens = tmp_path / "tokens.npy"
    assert TextDataset(path, context=8, tokens=tokens).train is not None
    path.write_text(TEXT.replace("0", "1"))
    with pytest.raises(ValueError, match="has the tokens of another text, or of another tokenizer"):
        TextDataset(path, context=8, tokens=tokens).train  # noqa: B018
    path.write_text(TEXT)
    assert TextDataset(path, context=8, tokens=tokens).train is not None
    note = json.loads(tokens.with_suffix(".json").read_text())
    np.save(tokens, np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"has float64 \(3, 3\), expected the tokens of a text"):
        TextDataset(path, context=8, tokens=tokens).train  # noqa: B018
    for damaged in ("", "[]", json.dumps({**note, "vocabulary": {}}), json.dumps({**note, "format": ""})):
        tokens.with_suffix(".json").write_text(damaged)
        with pytest.raises(ValueError, match="does not say of which text"):
            TextDataset(path, context=8, tokens=tokens).train  # noqa: B018


def test_streams_of_a_text_that_was_encoded_anew_are_arranged_anew(path, tmp_path):
    tokens = tmp_path / "t.npy"
    for text in (TEXT, TEXT[::-1]):
        path.write_text(text)
        for file in (tokens, tokens.with_suffix(".json")):
            file.unlink(missing_ok=True)
        written = TextDataset(path, context=8, streams=4, tokens=tokens).train
        np.testing.assert_array_equal(written.x, TextDataset(path, context=8, streams=4).train.x)


def test_tokens_of_another_vocabulary_are_refused(path, tmp_path):
    data = TextDataset(path, context=8, tokens=tmp_path / "t.npy")
    vars(data)["vocabulary"] = TextDataset(path, context=8).vocabulary
    assert data.train is not None
    other = TextDataset(path, context=8, tokens=tmp_path / "t.npy")
    vars(other)["vocabulary"] = type(data.vocabulary)(data.vocabulary.characters + "Z")
    with pytest.raises(ValueError, match="has tokens of another vocabulary"):
        other.train  # noqa: B018


@pytest.mark.skipif(not SHAKESPEARE.exists(), reason="the text is not here")
def test_tiny_shakespeare():
    data = TextDataset(SHAKESPEARE)
    assert (data.classes, len(data.train), len(data.valid)) == (65, 1003855 - 64, 111538 // 64)
    assert data.vocabulary.decode(data.train[:1][0][0]).startswith("First Citizen:\nBefore we proceed")


def test_tokens_of_another_vocabulary_size_are_refused(path, tmp_path):
    pytest.importorskip("tokenizers")
    options = {"context": 8, "tokenizer": "byte_pairs", "tokens": tmp_path / "t.npy"}
    assert TextDataset(path, vocabulary_size=260, **options).train is not None
    assert TextDataset(path, vocabulary_size=260, **options).vocabulary.size == 260
    with pytest.raises(ValueError, match=r"has the tokens of vocabulary_size 260, expected 300; another 'tokens' path"):
        TextDataset(path, vocabulary_size=300, **options).train  # noqa: B018
