"""Six models learn names side by side, each with more of a name before its eyes, and make up new ones.

    python examples/sequences/names_six.py names.txt [STEPS]

The text has one word a line. A bigram sees one letter, the MLP three (Bengio et al. 2003), the model like WaveNet
eight, joined in pairs level by level; the recurrent ones and the transformer see all so far. Losses are in nats a
letter, and seconds begin with compiling.
"""

import sys
from time import perf_counter

from bprop.datasets import NamesDataset
from bprop.modules import (
    GRU,
    RNN,
    BatchNorm1d,
    Conv1d,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    PositionalEmbedding,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    TransformerBlock,
    Transpose,
    manual_seed,
)
from bprop.trainers import AdamW, CosineSchedule, Generator, Trainer


def make_bigram(size, context):
    return Sequential(Embedding(size, size))


def make_mlp(size, context):
    return Sequential(Embedding(size, 10), Flatten(), Linear(10 * context, 200), Tanh(), Linear(200, size))


def make_wavenet(size, context):
    """A level joins two steps to one: a convolution of 2 steps with stride 2, BatchNorm and tanh."""
    layers = [Embedding(size, 24), Transpose(1, 2)]
    for width in (24, 64, 64):
        layers += [Conv1d(width, 64, 2, stride=2, bias=False), BatchNorm1d(64), Tanh()]
    return Sequential(*layers, Flatten(), Linear(64, size))


def make_rnn(size, context):
    return Sequential(Embedding(size, 32), RNN(32, 64), Linear(64, size))


def make_gru(size, context):
    return Sequential(Embedding(size, 32), GRU(32, 64), Linear(64, size))


def make_transformer(size, context):
    blocks = [TransformerBlock(32, 4, causal=True) for _ in range(2)]
    return Sequential(
        Embedding(size, 32), PositionalEmbedding(context, 32), *blocks, LayerNorm(32), Linear(32, size, bias=False)
    )


MODELS = {  # how many letters before the next one a sample has; None: whole names
    "bigram": (make_bigram, None),
    "MLP": (make_mlp, 3),
    "wavenet": (make_wavenet, 8),
    "RNN": (make_rnn, None),
    "GRU": (make_gru, None),
    "transformer": (make_transformer, None),
}

path, steps = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000
print(f"{'model':<12} {'parameters':>10} {'seconds':>8} {'train':>6} {'test':>6}  names")
for name, (make, letters) in MODELS.items():
    data = NamesDataset(path, context=letters)
    context = data.input_shape[0]
    manual_seed(0)
    model = make(data.vocabulary.size, context)
    loss = SoftmaxCrossEntropy(ignore_index=-1, class_axis=-1)
    schedules = {"optimizer.lr": CosineSchedule(per="step")}
    trainer = Trainer(model, loss, AdamW(lr=5e-3), schedules=schedules, quiet=True)
    begin = perf_counter()
    batch_size = min(32 if letters is None else 256, len(data.train))  # as many letters: a name has seven
    trainer.fit(data.train, steps=steps, evaluate_every=steps, batch_size=batch_size, metrics=[])
    seconds = perf_counter() - begin
    train, test = (trainer.evaluate(part, metrics=[])["loss"] for part in (data.train, data.test))
    words = Generator(model, data.vocabulary, context=context).generate(length=60, temperature=0.8, seed=1).split("\n")
    made = " ".join(word for word in words[:-1] if word)
    print(f"{name:<12} {model.parameter_count:>10,} {seconds:>8.1f} {train:>6.3f} {test:>6.3f}  {made}", flush=True)
