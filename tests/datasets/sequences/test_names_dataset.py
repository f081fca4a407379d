"""NamesDataset: words with padding, or contexts of n tokens."""

from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import NamesDataset

NAMES = Path(__file__).parents[4] / "shared" / "data" / "names" / "names.txt"
WORDS = ["emma", "ava", "mia", "eve", "amy", "max", "eva", "mae", "may", "xam"]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "n.txt").write_text("\n".join([*WORDS[:5], "", *[f" {word}\r" for word in WORDS[5:]], ""]))
    return tmp_path / "n.txt"


def test_words_with_padding(path):
    data = NamesDataset(path)
    assert (data.input_shape, data.target_shape, data.classes) == ((5,), (5,), 8)
    assert data.class_names == ("'\\n'", *"aeimvxy")
    parts = [data.train, data.valid, data.test]
    assert [len(part) for part in parts] == [8, 1, 1]
    found = []
    for part in parts:
        for x, y in zip(*part[:], strict=True):
            word = data.vocabulary.decode(x[1:]).rstrip("\n")
            found.append(word)
            k = len(word)
            assert x[0] == 0
            assert data.vocabulary.decode(y[: k + 1]) == word + "\n"
            assert (y[k + 1 :] == -1).all()
            assert (x[k + 1 :] == 0).all()
    assert sorted(found) == sorted(WORDS)


def test_the_split_depends_on_the_seed_alone(path):
    one, same, other = NamesDataset(path), NamesDataset(path), NamesDataset(path, seed=1)
    assert (one.train.x == same.train.x).all()
    assert (one.train.x != other.train.x).any()


def test_contexts(path):
    data = NamesDataset(path, context=3, valid_size=0, test_size=0)
    assert (data.input_shape, data.target_shape, data.valid, data.test) == ((3,), (), None, None)
    x, y = data.train[:]
    assert len(x) == sum(len(word) + 1 for word in WORDS)
    pairs = {(data.vocabulary.decode(a), data.vocabulary.decode([b])) for a, b in zip(x.astype(int), y, strict=True)}
    expected = set()
    for word in WORDS:
        line = "\n\n\n" + word + "\n"
        expected |= {(line[k : k + 3], line[k + 3]) for k in range(len(word) + 1)}
    assert pairs == expected


def test_another_ignored_label(path):
    data = NamesDataset(path, ignore_index=-100)
    assert set(np.unique(data.train.y)) & {-1, -100} == {-100}


def test_what_it_refuses(tmp_path, path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*none, expected a file with a word a line"):
        NamesDataset(tmp_path / "none").train  # noqa: B018
    (tmp_path / "empty").write_text("\n \n")
    with pytest.raises(ValueError, match=r"empty is empty, expected words, one a line"):
        NamesDataset(tmp_path / "empty").classes  # noqa: B018
    (tmp_path / "latin").write_bytes(b"one\nna\xefve\n")
    with pytest.raises(ValueError, match=r"latin, line 2: byte 0xef"):
        NamesDataset(tmp_path / "latin").classes  # noqa: B018
    with pytest.raises(ValueError, match="context is 0"):
        NamesDataset(path, context=0)
    with pytest.raises(ValueError, match="take 10 of 10 samples"):
        NamesDataset(path, valid_size=5, test_size=5).train  # noqa: B018


@pytest.mark.skipif(not NAMES.exists(), reason="the names are not here")
def test_the_names_of_makemore():
    data = NamesDataset(NAMES)
    assert (data.classes, data.input_shape) == (27, (16,))
    assert (len(data.train), len(data.valid), len(data.test)) == (25627, 3203, 3203)
    assert len(NamesDataset(NAMES, context=3, valid_size=0, test_size=0).train) == 228146
