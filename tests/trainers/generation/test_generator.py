"""Generation by small models whose probabilities are known: steps against windows, words, texts, beams, a run."""

import itertools
from contextlib import nullcontext

import numpy as np
import pytest
from bprop.datasets import CharacterVocabulary, TextDataset
from bprop.modules import GRU, LSTM, RNN, Flatten, Linear, Module, Parameter, Residual, Sequential, Tanh, manual_seed
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import Generator, generate
from bprop.trainers.generation.decoders import StepDecoder, WindowDecoder

CHARACTERS = "\nabcd"
SIZE = len(CHARACTERS)


class Rows(Module):
    """A row of numbers for each token."""

    label_arguments = (0,)

    def __init__(self, tokens, features):
        super().__init__()
        self.weight = Parameter(np.random.default_rng(5).standard_normal((tokens, features)))

    def fprop(self, x):
        y = np.empty((x.shape[0], x.shape[1], self.weight.shape[1]), self.weight.dtype)
        for n in range(x.shape[0]):
            for t in range(x.shape[1]):
                y[n, t] = self.weight[x[n, t]]
        return y

    def bprop(self, grad_y):
        return np.zeros((grad_y.shape[0], grad_y.shape[1]), self.weight.dtype)

    def output_shape(self, input_shape):
        return (*input_shape, self.weight.shape[1])


class RunningSum(Module):
    """y[n, t] = Σₛ x[n, s] rate^(t - s) for s up to t: the simplest layer with a context."""

    def __init__(self, features, rate=0.7):
        super().__init__()
        self.features, self.rate = features, rate
        self.state = np.zeros((0, 0))

    def fprop(self, x):
        y = np.empty_like(x)
        for n in range(x.shape[0]):
            y[n, 0] = x[n, 0]
            for t in range(1, x.shape[1]):
                y[n, t] = self.rate * y[n, t - 1] + x[n, t]
        return y

    def bprop(self, grad_y):
        return grad_y

    def output_shape(self, input_shape):
        return input_shape


class SteppedSum(RunningSum):
    """The same, step by step; `limited` layers may not go on past their length."""

    def decode_start(self, samples, length):
        self.state = np.zeros((samples, self.features), self.dtype)

    def decode(self, x):
        self.state[:] = self.rate * self.state + x[:, 0]
        return self.state.copy().reshape(x.shape)


class EndlessSum(SteppedSum):
    def reset_state(self):
        self.state = np.zeros_like(self.state)


class Positions(Module):
    """Adds the position of each step, the first one by a setting."""

    def __init__(self):
        super().__init__()
        self.first = 0

    def fprop(self, x):
        y = x.copy()
        for t in range(x.shape[1]):
            y[:, t] += 0.1 * (self.first + t)
        return y

    def bprop(self, grad_y):
        return grad_y

    def output_shape(self, input_shape):
        return input_shape


class WrongSum(SteppedSum):
    def decode(self, x):
        return x


def make_model(sum_class, seed=0):
    manual_seed(seed)
    return Sequential(Rows(SIZE, 6), Residual(sum_class(6), Linear(6, 6), Tanh()), Linear(6, SIZE))


def make_mlp(context):
    manual_seed(1)
    return Sequential(Rows(SIZE, 4), Flatten(), Linear(4 * context, SIZE))


VOCABULARY, WORDS = CharacterVocabulary(CHARACTERS), CharacterVocabulary(CHARACTERS, end=0)


@pytest.mark.parametrize(
    ("model", "decoder"),
    [
        (make_model(SteppedSum), StepDecoder),
        (make_model(EndlessSum), StepDecoder),
        (make_model(RunningSum), WindowDecoder),  # has a context, and no step
        (make_model(WrongSum), WindowDecoder),  # the trial finds that it is wrong
        (Sequential(Rows(SIZE, SIZE)), StepDecoder),
        (Sequential(Rows(SIZE, SIZE), Positions(), Tanh()), StepDecoder),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_scores_are_those_of_the_model(model, decoder):
    generator = Generator(model, VOCABULARY, context=12)
    assert isinstance(generator._decoder, decoder)
    assert generator.is_incremental == (decoder is StepDecoder)
    tokens = np.array([3, 1, 1, 2, 0, 4, 2])
    expected = model.eval().fprop(tokens[None])[0]
    for _ in range(2):  # a decoder starts anew
        np.testing.assert_allclose(generator.compute_scores(tokens), expected, rtol=1e-4, atol=1e-5)


def test_greedy_text_by_steps_and_by_windows():
    by_steps, by_windows = (Generator(make_model(cls), VOCABULARY, context=200) for cls in (SteppedSum, RunningSum))
    options = [{"temperature": 0}, {"seed": 1}, {"seed": 2, "top_k": 2}, {"seed": 3, "top_p": 0.5, "temperature": 2.0}]
    for option in options:
        text = by_steps.generate("abca", 40, **option)
        assert text == by_windows.generate("abca", 40, **option)
        assert len(text) == 40
        assert text == by_steps.generate("abca", 40, **option)
    assert by_steps.generate("abca", 40, seed=1) != by_steps.generate("abca", 40, seed=2)
    assert by_steps.generate("abca", 0) == ""


def test_the_first_token_is_the_most_probable():
    model = make_model(RunningSum)
    generator = Generator(model, VOCABULARY, context=9)
    scores = model.eval().fprop(VOCABULARY.encode("abc")[None])[0, -1]
    assert generator.generate("abc", 1, temperature=0) == CHARACTERS[scores.argmax()]


def test_a_full_context_begins_anew_from_its_half():
    model = make_model(SteppedSum)
    generator = Generator(model, VOCABULARY, context=6)
    tokens = list(generator.stream_tokens([1, 2], 20, temperature=0))
    model.eval()
    history, seen = [1, 2], [1, 2]
    for token in tokens:
        assert token == model.fprop(np.array([seen]))[0, -1].argmax()
        history.append(token)
        seen = history[-3:] if len(seen) == 6 else [*seen, token]


@pytest.mark.parametrize("streams", [0, 3])
@pytest.mark.parametrize(
    "layer", [pytest.param(RNN, marks=pytest.mark.rare), pytest.param(GRU, marks=pytest.mark.rare), LSTM]
)
def test_recurrent_layers_carry_their_state(layer, streams):
    """Those of streams compiled; the others, whose state is cleared more often, as plain Python."""
    with nullcontext() if streams else uncompiled():
        check_carried_state(layer, streams)


def check_carried_state(layer, streams):
    manual_seed(2)
    model = Sequential(Rows(SIZE, 6), layer(6, 8, num_layers=2, streams=streams), Linear(8, SIZE))
    generator = Generator(model, VOCABULARY, context=5)
    assert (generator.is_incremental, generator._decoder.limited) == (True, False)
    tokens = np.array([3, 1, 1, 2, 0, 4, 2, 2, 1])
    expected = model.eval().fprop(tokens[None])[0]
    for _ in range(2):
        np.testing.assert_allclose(generator.compute_scores(tokens), expected, rtol=1e-4, atol=1e-5)
    assert generator.search("ab", 3) == generator.search("ab", 3)


def test_a_layer_of_both_directions_reads_windows():
    model = Sequential(Rows(SIZE, 6), LSTM(6, 8, bidirectional=True), Linear(16, SIZE))
    generator = Generator(model, VOCABULARY, context=5)
    assert not generator.is_incremental
    expected = model.eval().fprop(np.array([[1, 2, 3]]))[0, -1]
    np.testing.assert_allclose(generator.compute_scores([1, 2, 3])[-1], expected, rtol=1e-4, atol=1e-5)


def test_positions_begin_anew_with_the_context():
    generator = Generator(Sequential(Rows(SIZE, SIZE), Positions(), Tanh()), VOCABULARY, context=4)
    assert generator._decoder.limited
    tokens = [1, 2, 3, 4, 1, 2]
    scores = generator.compute_scores(tokens)
    np.testing.assert_allclose(scores[4:], generator.compute_scores(tokens[4:]))
    before = generator.search("ab", 2, beams=3)
    assert generator.search("ab", 2, beams=3) == before
    assert generator.generate("ab", 9, seed=1) == generator.generate("ab", 9, seed=1)


def test_a_state_that_is_carried_has_no_limit():
    short, long = (Generator(make_model(EndlessSum), VOCABULARY, context=context) for context in (4, 100))
    assert short.generate("ab", 60, seed=4) == long.generate("ab", 60, seed=4)


def test_a_window_moves_on():
    model = make_model(RunningSum)
    generator = Generator(model, VOCABULARY, context=4)
    history = [1]
    for token in generator.stream_tokens([1], 12, temperature=0):
        assert token == model.eval().fprop(np.array([history[-4:]]))[0, -1].argmax()
        history.append(token)


def test_words_begin_anew_after_their_end():
    model = make_mlp(3)
    generator = Generator(model, WORDS, context=3)
    text = generator.generate("", 60, seed=7)
    assert "\n" in text
    assert len(text) == 60
    history = [0, 0, 0]
    for token in generator.stream_tokens([0], 60, temperature=0):
        assert token == model.eval().fprop(np.array([history[-3:]]))[0].argmax()
        history = [0, 0, 0] if token == 0 else [*history, token]


def test_a_model_of_whole_windows_needs_a_prompt_of_as_many():
    generator = Generator(make_mlp(3), VOCABULARY, context=3)
    assert len(generator.generate("abc", 5)) == 5
    with pytest.raises(ValueError, match="the model takes 3 tokens at once, expected a prompt of as many, not of 2"):
        generator.generate("ab", 5)


def test_a_text_begins_after_a_lines_end():
    generator = Generator(make_model(SteppedSum), VOCABULARY, context=9)
    assert generator.encode_prompt("").tolist() == [0]
    assert generator.generate("", 9, seed=1) == generator.generate("\n", 9, seed=1)
    other = Generator(make_model(SteppedSum), CharacterVocabulary("vwxyz"), context=9)
    assert other.encode_prompt("").tolist() == [0]


def test_beams_find_the_most_probable_text():
    model = make_model(SteppedSum)
    generator = Generator(model, VOCABULARY, context=9)
    prompt = VOCABULARY.encode("ab")
    logs = {}
    for tokens in itertools.product(range(SIZE), repeat=3):
        x = np.array([[*prompt, *tokens]])
        scores = model.eval().fprop(x)[0, 1:-1].astype(np.float64)
        log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        logs[VOCABULARY.decode(tokens)] = log_p[np.arange(3), list(tokens)].sum()
    best = sorted(logs, key=logs.get)[::-1]
    found = generator.search("ab", 3, beams=SIZE**3)
    assert [text for text, _ in found][:20] == best[:20]
    np.testing.assert_allclose([log_p for _, log_p in found], [logs[text] for text, _ in found], rtol=1e-4)
    assert generator.search("ab", 3, beams=1)[0][0] == generator.generate("ab", 3, temperature=0)
    assert generate(generator, "ab", 3, beams=SIZE**3) == best[0]


def test_beams_of_words_end():
    found = Generator(make_mlp(3), WORDS, context=3).search("a", 12, beams=8)
    assert any(text.endswith("\n") for text, _ in found)
    assert all("\n" not in text[:-1] for text, _ in found)


def test_the_model_is_copied():
    model = make_model(SteppedSum)
    generator = Generator(model, VOCABULARY, context=9)
    before = generator.generate("a", 20, seed=1)
    model.flat_parameters[:] = 0
    assert generator.generate("a", 20, seed=1) == before
    assert model.training


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.generate("a#b"), "generate: the prompt: .*the text has '#', which none of its tokens means"),
        (lambda g: g.generate("a", -1), "length is -1, expected a whole number of at least 0"),
        (lambda g: g.generate("a", 2.5), "length is 2.5"),
        (lambda g: g.generate("a", temperature=-1), "temperature is -1"),
        (lambda g: g.generate("a", seed=-1), "seed is -1"),
        (lambda g: g.search("a", 3, beams=0), "beams is 0, expected a whole number of at least 1"),
        (lambda g: generate(g, "a", 3, beams=2, seed=1), "expected no temperature, top_k, top_p or seed"),
        (lambda g: g.stream_tokens([1, 5]), "token 1 of the prompt is 5, expected whole numbers from 0 to 4"),
        (lambda g: g.stream_tokens(np.array([1.5])), "token 0 of the prompt is 1.5, expected whole numbers"),
        (lambda g: g.stream_tokens([]), "the prompt has no token, expected at least one"),
        (lambda g: g.compute_scores([2, -1]), "token 1 of the prompt is -1, expected whole numbers from 0 to 4"),
    ],
)
def test_what_it_refuses(call, message):
    generator = Generator(make_model(SteppedSum), VOCABULARY, context=9)
    with pytest.raises(ValueError, match=message):
        call(generator)


def test_a_generator_goes_on_with_one_text_at_a_time():
    generator = Generator(make_model(SteppedSum), VOCABULARY, context=9)
    first = generator.stream_tokens([1], 5, temperature=0)
    next(first)
    whole = list(generator.stream_tokens([2], 5, temperature=0))
    assert len(whole) == 5
    with pytest.raises(RuntimeError, match="another text has been begun with this Generator"):
        next(first)


def test_scores_of_a_model_that_diverged():
    model = make_model(SteppedSum)
    model.flat_parameters[:] = np.nan
    with pytest.raises(ValueError, match="generate: the model's scores are not finite"):
        Generator(model, VOCABULARY, context=9).generate("a", 3, temperature=0)


def test_models_that_do_not_fit():
    with pytest.raises(ValueError, match="the model makes 5 scores, expected 4, as the vocabulary has tokens"):
        Generator(make_model(SteppedSum), CharacterVocabulary("abcd"), context=9)
    with pytest.raises(ValueError, match="context is 0, expected a whole number of at least 1"):
        Generator(make_model(SteppedSum), VOCABULARY, context=0)
    with pytest.raises(ValueError, match=r"context is 4\.5, expected a whole number of at least 1"):
        Generator(make_model(SteppedSum), VOCABULARY, context=4.5)


def test_bytes_of_one_character_come_together(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "t.txt").write_text("naïve café 猫\n" * 30, encoding="utf-8")
    vocabulary = TextDataset(tmp_path / "t.txt", tokenizer="byte_pairs", vocabulary_size=260).vocabulary
    generator = Generator(Sequential(Rows(260, 260)), vocabulary, context=9)
    tokens = vocabulary.encode("é猫x")
    assert len(tokens) > 3
    assert list(generator._decode(iter(tokens))) == ["é", "猫", "x"]
    assert list(generator._decode(iter(tokens[:1]))) == ["\ufffd"]
