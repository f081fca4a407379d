"""microgpt: a transformer of one block learns names, character by character, and makes up new ones.

    python examples/sequences/microgpt.py names.txt [STEPS]

The text has one word a line. As in the program that it is named after: 16 wide, 4 heads, a context of 16, RMSNorm
without parameters, no biases, Adam with a rate that falls to 0.
"""

import sys

from bprop.datasets import NamesDataset
from bprop.modules import (
    Embedding,
    Linear,
    PositionalEmbedding,
    RMSNorm,
    Sequential,
    SoftmaxCrossEntropy,
    TransformerBlock,
    manual_seed,
)
from bprop.trainers import Adam, Generator, LinearSchedule, Trainer

WIDTH, HEADS, CONTEXT = 16, 4, 16

path, steps = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5000
data = NamesDataset(path)
size = data.vocabulary.size
manual_seed(0)
model = Sequential(
    Embedding(size, WIDTH),
    PositionalEmbedding(CONTEXT, WIDTH),
    RMSNorm(WIDTH, elementwise_affine=False),
    TransformerBlock(WIDTH, HEADS, activation="relu", norm="rms", bias=False, causal=True),
    Linear(WIDTH, size, bias=False),
)
loss = SoftmaxCrossEntropy(ignore_index=-1, class_axis=-1)
trainer = Trainer(model, loss, Adam(lr=0.01), schedules={"optimizer.lr": LinearSchedule(1.0, 0.0, per="step")})
trainer.fit(data, steps=steps, evaluate_every=max(1, steps // 5), batch_size=16, metrics=[])
print(f"test loss {trainer.evaluate(data, metrics=[])['loss']:.4f}")
generator = Generator(model, data.vocabulary, context=CONTEXT)
print(generator.generate(length=200, temperature=0.5))
