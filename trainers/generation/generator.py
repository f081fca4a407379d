"""Text from a trained model: sampled token by token, or searched by beams."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets import Vocabulary, load_vocabulary
from ...datasets.checks import check_whole_number
from ...datasets.files.paths import expand_path
from ...modules.core.module import Module
from ..configs import load_config
from ..runs.inference import load_weights, read_target_scaling
from ..runs.run_folder import VOCABULARY, find_config_file
from ..runs.trust import restrict_to_trusted
from .beam_search import Beam, search_beams
from .decoders import WindowDecoder, copy_without_state, leave, make_decoder
from .sampling import RandomNumbers, Sampling

LENGTH = 500  # tokens


class Generator:
    """Continues texts, by a copy of a model that predicts the next token.

    Layers with context are asked for one step at a time where they can (see `decoders`), else the model runs anew on
    the last `context` tokens. A context that layers with caches have filled is begun anew from its last half. Recurrent
    layers carry their state on without a limit.

    Shapes: the model takes tokens (N, t), t up to `context`, and returns scores (N, t, V), or (N, V) of the next token.
    Args: model: is copied; vocabulary: what the tokens mean; context: how many tokens the model sees; loss: if it has
        its classes on another axis than the last.
    Errors: ValueError for a model that makes other scores than the vocabulary has tokens.
    """

    def __init__(self, model: Module, vocabulary: Vocabulary, *, context: int, loss: Any = None) -> None:
        context = check_whole_number("Generator", "context", context, least=1)
        self.model, self.vocabulary, self.context = copy_without_state(model), vocabulary, context
        self._arrange = leave if loss is None else loss.move_classes_last
        count = self._arrange(np.empty(self.model.one_output_shape((1, context)))).shape[-1]
        if count != vocabulary.size:
            expected = f"{vocabulary.size}, as the vocabulary has tokens"
            raise ValueError(f"Generator: the model makes {count} scores, expected {expected}")
        self._decoder = make_decoder(self.model, context, count, self._arrange, vocabulary.end)

    @classmethod
    def load(cls, run: str | Path, weights: str | Path | None = None) -> Generator:
        """Load the generator of a run, which has saved its vocabulary.

        Args: weights: another file of weights than the run's.
        Errors: FileNotFoundError for a folder without a run, weights or a vocabulary.
        """
        folder = expand_path(run)
        with restrict_to_trusted(folder):
            config = load_config(find_config_file(folder))
            model, loss = config.build_net()
        if not (folder / VOCABULARY).is_file():
            data = config.specs["dataset"].name
            raise FileNotFoundError(f"{folder} has no {VOCABULARY}: its data are {data}, expected text or words")
        vocabulary = load_vocabulary(folder / VOCABULARY)
        load_weights(model, folder, None if weights is None else expand_path(weights))
        return cls(model, vocabulary, context=read_target_scaling(folder).shape[0], loss=loss)  # type: ignore[index]

    @property
    def is_incremental(self) -> bool:
        """Whether a step runs the layers on one token alone."""
        return not isinstance(self._decoder, WindowDecoder)

    def encode_prompt(self, prompt: str) -> np.ndarray:
        """Encode a prompt (t,), at least one token: without one it is a line's end, which begins words, too.

        Errors: ValueError that names the characters which the vocabulary lacks.
        """
        try:
            tokens = self.vocabulary.encode(prompt)
        except ValueError as error:
            raise ValueError(f"generate: the prompt: {error}") from None
        if self.vocabulary.end is not None:
            return np.concatenate([[self.vocabulary.end], tokens])
        return tokens if len(tokens) else self._find_first_token()

    def stream_tokens(
        self,
        prompt: Sequence[int] | np.ndarray,
        length: int = LENGTH,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> Iterator[int]:
        """Yield tokens that continue a prompt of at least one token; arguments as of `generate`.

        Errors: ValueError for a prompt of other numbers than the vocabulary's tokens; RuntimeError once this Generator
            has begun another text, for it keeps the state of one.
        """
        sampling, random = Sampling(temperature, top_k, top_p), RandomNumbers(seed)
        check_whole_number("generate", "length", length)
        return self._continue(self._check_tokens(prompt), length, sampling, random)

    def stream(self, prompt: str = "", length: int = LENGTH, **options: Any) -> Iterator[str]:
        """Yield the text that continues a prompt, in pieces of whole characters; arguments as of `generate`."""
        tokens = self.stream_tokens(self.encode_prompt(prompt), length, **options)
        return self._decode(tokens)

    def generate(self, prompt: str = "", length: int = LENGTH, **options: Any) -> str:
        """Generate the text that continues a prompt; arguments as of `generate`."""
        return "".join(self.stream(prompt, length, **options))

    def search(self, prompt: str = "", length: int = LENGTH, beams: int = 4) -> list[tuple[str, float]]:
        """Search the most probable continuations by `beams` beams: texts and their log probabilities, the best first.

        Words end where the model ends them.
        """
        check_whole_number("generate", "beams", beams, least=1)
        check_whole_number("generate", "length", length)
        decoder = self._decoder
        if not isinstance(decoder, WindowDecoder):
            decoder = WindowDecoder(self.model, 1, self.context, self._arrange)
        found: list[Beam] = search_beams(decoder, self.encode_prompt(prompt), length, beams, self.vocabulary.end)
        return [(self.vocabulary.decode(beam.tokens), beam.log_probability) for beam in found]

    def compute_scores(self, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
        """Compute the scores (n, V) of what follows each of some tokens (n,); a full context is begun anew."""
        tokens = self._check_tokens(tokens)
        self._begin_text()
        self._decoder.start()
        scores = []
        for token in tokens:
            if self._decoder.limited and self._decoder.steps >= self.context:
                self._decoder.start()
            scores.append(self._step(token))
        return np.array(scores)

    # -- inside ------------------------------------------------------------------------------------------------

    def _continue(self, prompt: list[int], length: int, sampling: Sampling, random: RandomNumbers) -> Iterator[int]:
        decoder, end, text = self._decoder, self.vocabulary.end, self._begin_text()
        tokens = prompt[-self.context :]
        scores = self._restart(tokens)
        for count in range(length):
            token = sampling.choose(scores, random.draw())
            yield token
            if count + 1 == length:
                return
            if self._text is not text:
                message = "another text has been begun with this Generator, which goes on with one at a time"
                raise RuntimeError(f"generate: {message}; make a Generator for each")
            if token == end:
                tokens = [token]
                scores = self._restart(tokens)
                continue
            tokens = [*tokens, token][-self.context :]
            if decoder.limited and decoder.steps >= self.context:
                scores = self._restart(tokens[-max(1, self.context // 2) :])
            else:
                scores = self._step(token)

    def _restart(self, tokens: Sequence[int]) -> np.ndarray:
        """Decode some tokens from the start; returns the scores (V,) after the last."""
        self._decoder.start()
        if isinstance(self._decoder, WindowDecoder):
            self._decoder.window = np.array([tokens[:-1]], np.int64)
            return self._step(tokens[-1])
        for token in tokens[:-1]:
            self._step(token)
        return self._step(tokens[-1])

    def _step(self, token: int) -> np.ndarray:
        return self._decoder.step(np.array([token], np.int64))[0]

    def _decode(self, tokens: Iterator[int]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token in tokens:
            if text := decoder.decode(self.vocabulary.get_bytes(token)):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text

    def _find_first_token(self) -> np.ndarray:
        try:
            return self.vocabulary.encode("\n")[-1:]
        except ValueError:
            return np.zeros(1, np.int64)

    def _begin_text(self) -> object:
        """Note that the decoder's state belongs to another text from now on; returns what stands for it."""
        self._text = object()
        return self._text

    def _check_tokens(self, tokens: Sequence[int] | np.ndarray) -> list[int]:
        """Check that these are tokens of the vocabulary, at least one; ValueError that names the first other one."""
        for place, token in enumerate(tokens):
            whole = isinstance(token, int | np.integer) and not isinstance(token, bool)
            if not whole or not 0 <= token < self.vocabulary.size:
                expected = f"whole numbers from 0 to {self.vocabulary.size - 1}"
                raise ValueError(f"generate: token {place} of the prompt is {token}, expected {expected}")
        if not len(tokens):
            raise ValueError("generate: the prompt has no token, expected at least one")
        return [int(token) for token in tokens]


def generate(
    source: Generator | str | Path,
    prompt: str = "",
    length: int = LENGTH,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    beams: int | None = None,
) -> str:
    """Generate text that continues a prompt, by a run or a Generator.

    Args: source: a run folder, or a Generator, which is ready at once; length: in tokens; temperature, top_k, top_p: as
        of `Sampling`; seed: of the random numbers; beams: search the most probable continuation by so many beams,
        instead of sampling.
    Errors: ValueError for a prompt with characters that the model does not know, and for settings out of range.
    """
    generator = source if isinstance(source, Generator) else Generator.load(source)
    if beams is None:
        return generator.generate(prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    if (temperature, top_k, top_p, seed) != (1.0, None, None, 0):
        raise ValueError("generate: beams search the most probable text, expected no temperature, top_k, top_p or seed")
    return generator.search(prompt, length, beams)[0][0]
