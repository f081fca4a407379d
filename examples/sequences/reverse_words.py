"""An encoder and a decoder learn to spell words backwards: the last state of one is the first state of the other.

The encoder reads a word letter by letter. The decoder begins where it ends, reads a 0 and then the letters so far, and
predicts the next one; in training these are the right ones (teacher forcing), afterwards its own.
"""

import sys

import numpy as np
from bprop.modules import (
    GRU,
    Embedding,
    Graph,
    Linear,
    Padded,
    SelectTable,
    SoftmaxCrossEntropy,
    WithState,
    manual_seed,
)
from bprop.trainers import Adam, compile_step

LONGEST, LETTERS, WIDTH, HIDDEN = 6, 27, 16, 96  # 0 begins and ends a word, 1 to 26 are letters


def make_model():
    """The net: words (N, T), their lengths (N,) and what the decoder reads (N, T + 1) to scores (N, T + 1, LETTERS)."""
    return Graph(
        {
            "state": (
                Padded(Embedding(LETTERS, WIDTH), WithState(GRU(WIDTH, HIDDEN)), SelectTable(1)),
                ["word", "length"],
            ),
            "letters": (Embedding(LETTERS, WIDTH), "given"),
            "decoded": (WithState(GRU(WIDTH, HIDDEN)), ["letters", "state"]),
            "hidden": (SelectTable(0), "decoded"),
            "scores": (Linear(HIDDEN, LETTERS), "hidden"),
        },
        inputs=["word", "length", "given"],
        outputs="scores",
    )


def draw_words(random, count):
    """Draw words of 2 to LONGEST letters; returns them with zeros at their ends, their lengths, and the answers."""
    lengths = random.integers(2, LONGEST + 1, count)
    words, answers = np.zeros((count, LONGEST), int), np.full((count, LONGEST + 1), -1)
    for n, length in enumerate(lengths):
        words[n, :length] = random.integers(1, LETTERS, length)
        answers[n, :length], answers[n, length] = words[n, :length][::-1], 0
    return words, lengths, answers


def shift(answers):
    """What the decoder reads in training: a 0, then the answer without its last letter."""
    return np.hstack([np.zeros((len(answers), 1), int), np.maximum(answers[:, :-1], 0)])


def spell(model, words, lengths):
    """Spell words backwards, each letter after those before it."""
    given = np.zeros((len(words), LONGEST + 1), int)
    for t in range(LONGEST + 1):
        letters = model.fprop((words, lengths, given)).argmax(axis=2)
        given[:, t + 1 :] = letters[:, t : t + 1]
    return letters


def as_text(letters):
    """The word before its first 0."""
    return "".join(chr(96 + letter) for letter in letters[: (*letters, 0).index(0)])


def main(steps):
    manual_seed(0)
    model, random = make_model(), np.random.default_rng(0)
    loss, adam = SoftmaxCrossEntropy(ignore_index=-1, class_axis=-1), Adam(lr=0.004)
    step = compile_step(model, loss, adam)
    for k in range(steps):
        adam.lr = 0.004 * (1 - k / steps)
        words, lengths, answers = draw_words(random, 64)
        value = step((words, lengths, shift(answers)), answers)
        if (k + 1) % (steps // 5) == 0:
            print(f"step {k + 1:5d}  loss {value:.4f}", flush=True)
    words, lengths, answers = draw_words(random, 1000)
    spelled = spell(model, words, lengths)
    right = ((spelled == answers) | (answers < 0)).all(axis=1)
    print(f"spelled exactly: {right.mean():.1%} of {len(words)} new words")
    for n in range(5):
        print(f"{as_text(words[n])} -> {as_text(spelled[n])}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
