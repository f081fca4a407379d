"""Sequences in this project, through its public interface; attention by itself from the layer's own methods."""

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import bprop.modules as m
import numpy as np
from bprop.modules import Linear, Module, Sequential, SoftmaxCrossEntropy, manual_seed
from bprop.modules.engine.specialization import specialization
from bprop.modules.kernels.attention.spans import fill_spans
from bprop.modules.kernels.buffers import as_rows, reuse, reuse_like
from bprop.modules.layers.attention.attention import Attention as AttentionLayer
from bprop.trainers import SGD, AdamW, Optimizer, compile_step
from bprop.trainers.generation.decoders import StepDecoder

from ..sequence_workloads import GPT, Attention, Recurrent


def make_model(work: GPT) -> Module:
    """The transformer of a workload."""
    manual_seed(0)
    w, rich = work.width, work.norm == "layer"
    model = Sequential(m.Embedding(work.vocabulary, w), m.PositionalEmbedding(work.context, w))
    if not rich:
        model.append(m.RMSNorm(w, 1e-5, elementwise_affine=False))
    for _ in range(work.blocks):
        settings = {"activation": "gelu" if rich else "relu", "norm": work.norm, "bias": rich, "causal": True}
        model.append(m.TransformerBlock(w, work.heads, **settings))
    if rich:
        model.append(m.LayerNorm(w))
    model.append(Linear(w, work.vocabulary, bias=rich))
    return model


def gpt(work: GPT) -> Callable[[], object]:
    return make_step(make_model(work), AdamW(lr=0.001), *work.data())


def make_step(model: Module, optimizer: Optimizer, x: np.ndarray, target: np.ndarray) -> Callable[[], object]:
    """Make the function of one training step."""
    compiled = compile_step(model, SoftmaxCrossEntropy(class_axis=-1), optimizer)
    compiled(x, target)
    specialization.specialize_all()  # as after some seconds of training
    return lambda: compiled(x, target)


def generate(work: GPT) -> Callable[[], object]:
    decoder = StepDecoder(make_model(work), 1, work.context)

    def run():
        token = np.zeros(1, np.int64)
        decoder.start()
        for _ in range(work.context):
            token = decoder.step(token).argmax(axis=1)
        return token

    return run


def recurrent(work: Recurrent, custom: bool = False) -> Callable[[], object]:
    manual_seed(0)
    cls = load_custom_lstm() if custom else getattr(m, work.layer)
    model = Sequential(cls(work.features, work.hidden), Linear(work.hidden, work.classes))
    return make_step(model, SGD(lr=0.01, momentum=0.9), *work.data())


def load_custom_lstm() -> type[Module]:
    """Load the LSTM in plain NumPy style of examples/sequences."""
    path = Path(__file__).parents[2] / "examples" / "sequences" / "custom_lstm.py"
    spec = spec_from_file_location("custom_lstm", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["custom_lstm"] = module
    spec.loader.exec_module(module)
    return module.CustomLSTM


class Core(AttentionLayer):
    """Causal attention of queries, keys and values that lie side by side in x (N, T, 3 E), without projections."""

    def __init__(self, embed_dim: int, num_heads: int):
        super().__init__(embed_dim, num_heads, causal=True)
        self.spans, self.y, self.grad_x = np.empty((0, 0), np.int64), np.empty((0, 0, 0)), np.empty((0, 0, 0))

    def fprop(self, x):
        self.x = x
        self.spans = reuse(self.spans, (x.shape[0], 2), np.int64)
        fill_spans(self.spans, x.shape[1], None)
        rows = as_rows(x)
        self.attend(rows, self.spans, rows, self.embed_dim, self.spans)
        self.y = self.heads.reshape((x.shape[0], x.shape[1], self.embed_dim))
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        self.grad_heads = as_rows(grad_y)
        rows, grad_rows = as_rows(self.x), as_rows(self.grad_x)
        self.attend_back(rows, self.spans, rows, self.embed_dim, self.spans, grad_rows, grad_rows)
        return self.grad_x

    def output_shape(self, input_shape):
        return (*input_shape[:2], self.embed_dim)


def attention(work: Attention) -> Callable[[], object]:
    layer, (*parts, grad_y) = Core(work.heads * work.width, work.heads), work.data()
    x = np.concatenate(parts, axis=2)

    def both():
        layer.fprop(x)
        return layer.bprop(grad_y)

    return both
