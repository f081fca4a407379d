"""The workloads of sequences: transformers, recurrent nets, attention by itself, tokens one by one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class GPT:
    """A transformer that predicts the next token: `kind` is "gpt" (a training step by AdamW) or "generate" (a token).

    `norm` is "layer" (GELU, biases, learned positions, a norm at the end) or "rms" (as microgpt: RMSNorm without
    parameters after the embedding, too, ReLU, no biases, no norm at the end). A call of "generate" predicts `context`
    tokens one by one, with keys and values cached.
    """

    group: ClassVar[str] = "sequences"
    name: str
    vocabulary: int
    context: int
    width: int
    heads: int
    blocks: int
    batch: int
    norm: str = "layer"
    kind: str = "gpt"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens (N, T) and the tokens after them, int64."""
        tokens = np.random.default_rng(0).integers(0, self.vocabulary, (self.batch, self.context + 1))
        return np.ascontiguousarray(tokens[:, :-1]), np.ascontiguousarray(tokens[:, 1:])

    def list_products(self) -> list[tuple[int, int, int, int]]:
        """(rows, in, out, how often) of the linear layers; see `list_attention`."""
        n, w = self.batch * self.context, self.width
        block = [(n, w, 3 * w, 1), (n, w, w, 1), (n, w, 4 * w, 1), (n, 4 * w, w, 1)]
        return [*block * self.blocks, (n, w, self.vocabulary, 1)]

    def list_attention(self) -> list[tuple[int, int, int]]:
        """(steps, width of a head, how often) of the products within attention."""
        return [(self.context, self.width // self.heads, self.batch * self.heads * self.blocks)]

    def runs_on(self, side: str) -> bool:
        sides = (
            ("bprop", "torch") if self.kind == "generate" else ("bprop", "torch", "torch.compile", "jax", "products")
        )
        return side in sides


@dataclass(frozen=True)
class Recurrent:
    """A recurrent layer with a softmax at each step: a training step by SGD with momentum."""

    group: ClassVar[str] = "sequences"
    name: str
    layer: str  # RNN, LSTM or GRU
    features: int
    hidden: int
    steps: int
    batch: int
    classes: int = 64
    kind: ClassVar[str] = "recurrent"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (N, T, D) float32 and labels (N, T) int64."""
        random = np.random.default_rng(0)
        x = random.standard_normal((self.batch, self.steps, self.features), np.float32)
        return x, random.integers(0, self.classes, (self.batch, self.steps))

    def list_products(self) -> list[tuple[int, int, int, int]]:
        """(rows, in, out, how often) of the layer's products and of the softmax's."""
        rows, gates = self.batch * self.steps, {"RNN": 1, "LSTM": 4, "GRU": 3}[self.layer] * self.hidden
        return [(rows, self.features, gates, 1), (rows, self.hidden, self.classes, 1)]

    def runs_on(self, side: str) -> bool:
        return side in ("bprop", "torch", "torch.compile", "products") or (side == "custom" and self.layer == "LSTM")


@dataclass(frozen=True)
class Attention:
    """Causal attention of q, k and v, each (N, T, heads x width), forward and backward, without its linear layers."""

    group: ClassVar[str] = "sequences"
    name: str
    steps: int
    heads: int
    width: int
    batch: int
    kind: ClassVar[str] = "attention"

    def data(self) -> list[np.ndarray]:
        """q, k, v and the gradient of the output, float32."""
        shape = (4, self.batch, self.steps, self.heads * self.width)
        return list(np.random.default_rng(0).standard_normal(shape, np.float32))

    def runs_on(self, side: str) -> bool:
        return side in ("bprop", "torch")


SHAKESPEARE = (65, 64, 128, 4, 4)
SEQUENCES = [
    GPT("GPT 4 x 128, context 64, batch 12", *SHAKESPEARE, 12),
    *(GPT(f"microgpt, {w} wide, context 16, batch 16", 27, 16, w, 4, 1, 16, "rms") for w in (16, 32, 64)),
    Recurrent("LSTM 64 to 128, 50 steps, batch 32", "LSTM", 64, 128, 50, 32),
    Recurrent("GRU 64 to 128, 50 steps, batch 32", "GRU", 64, 128, 50, 32),
    Recurrent("GRU 32 to 64, 64 steps, batch 32", "GRU", 32, 64, 64, 32),
    Recurrent("RNN 64 to 128, 50 steps, batch 32", "RNN", 64, 128, 50, 32),
    *(
        Attention(f"attention, 8 heads of 32, {t} steps, batch {n}", t, 8, 32, n)
        for t, n in ((64, 16), (256, 4), (1024, 1))
    ),
    GPT("GPT 4 x 128, 64 tokens generated", *SHAKESPEARE, 1, kind="generate"),
]
