"""Vocabularies: between text and tokens, and their files."""

import json
import sys

import numpy as np
import pytest
from bprop.datasets import CharacterVocabulary, load_vocabulary
from bprop.datasets.sequences.byte_pairs import BYTES, BytePairVocabulary, train_byte_pairs

TEXT = "the cat and the hat and the bat: naïve café, 猫\n" * 20


def test_characters_there_and_back():
    vocabulary = CharacterVocabulary("\n abc猫")
    tokens = vocabulary.encode("cab\n猫 ")
    assert tokens.dtype == np.int64
    assert tokens.tolist() == [4, 2, 3, 0, 5, 1]
    assert vocabulary.decode(tokens) == "cab\n猫 "
    assert vocabulary.names == ("'\\n'", "' '", "a", "b", "c", "猫")
    assert vocabulary.encode("").shape == (0,)


@pytest.mark.parametrize("text", ["ax", "a\U0001f600", "a\udc80"])
def test_unknown_characters_are_named(text):
    with pytest.raises(ValueError, match=r"the text has .*, which none of its tokens means") as caught:
        CharacterVocabulary("abc").encode(text)
    assert repr(text[1]) in str(caught.value)


def test_many_unknown_characters_are_counted():
    with pytest.raises(ValueError, match=r"'d', 'e', .*'m' and 3 more, which"):
        CharacterVocabulary("abc").encode("abcdefghijklmnop")


def test_vocabularies_without_sense_are_refused():
    with pytest.raises(ValueError, match="characters is 'aa', expected different ones"):
        CharacterVocabulary("aa")
    with pytest.raises(ValueError, match="characters is ''"):
        CharacterVocabulary("")
    with pytest.raises(ValueError, match="end is 3, expected 0 to 1"):
        CharacterVocabulary("ab", end=3)


@pytest.mark.parametrize("token", [2, -1])
def test_tokens_out_of_range_are_not_decoded(token):
    with pytest.raises(ValueError, match=f"^Vocabulary: token {token}, expected 0 to 1$"):
        CharacterVocabulary("ab").decode(np.array([0, token]))


def test_saved_and_loaded(tmp_path):
    CharacterVocabulary("\nab猫", end=0).save(tmp_path / "v.json")
    loaded = load_vocabulary(tmp_path / "v.json")
    assert (loaded.characters, loaded.end, loaded.size) == ("\nab猫", 0, 4)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": "bprop vocabulary"}',
        '{"format": "bprop vocabulary", "kind": "characters", "characters": "aa"}',
        '{"format": "bprop vocabulary", "kind": "characters", "characters": "ab", "end": "a"}',
        '{"format": "bprop vocabulary", "kind": "characters", "characters": 3}',
        "[" * 100_000,
    ],
)
def test_damaged_vocabularies_are_refused_by_name(tmp_path, content):
    path = tmp_path / "v.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"v\.json: .*expected what Vocabulary\.save writes"):
        load_vocabulary(path)


def test_without_tokenizers_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"byte pairs need the package tokenizers: pip install 'bprop\[text\]'"):
        train_byte_pairs(["abc"], 300)


def test_the_signs_of_bytes():
    assert sorted(BYTES.values()) == list(range(256))
    assert (BYTES["a"], BYTES["Ġ"], BYTES["Ċ"]) == (ord("a"), ord(" "), ord("\n"))


def test_byte_pairs(tmp_path):
    pytest.importorskip("tokenizers")
    vocabulary = train_byte_pairs([TEXT], 280)
    assert vocabulary.size == 280
    tokens = vocabulary.encode(TEXT)
    assert len(tokens) < 0.7 * len(TEXT.encode())
    assert vocabulary.decode(tokens) == TEXT
    assert vocabulary.decode(vocabulary.encode("entirely new: Ω\t\r\n🙂")) == "entirely new: Ω\t\r\n🙂"
    assert b"".join(vocabulary.get_bytes(token) for token in tokens) == TEXT.encode()
    vocabulary.save(tmp_path / "v.json")
    assert (load_vocabulary(tmp_path / "v.json").encode(TEXT) == tokens).all()
    assert json.loads((tmp_path / "v.json").read_text())["kind"] == "byte_pairs"


def test_byte_pairs_have_a_token_for_each_byte():
    with pytest.raises(ValueError, match="vocabulary_size is 255, expected a whole number from 256"):
        train_byte_pairs([TEXT], 255)
    pytest.importorskip("tokenizers")
    with pytest.raises(ValueError, match="expected a tokenizer"):
        BytePairVocabulary("{}")
