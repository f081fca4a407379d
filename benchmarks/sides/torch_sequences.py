"""Sequences in PyTorch: transformers by scaled_dot_product_attention, nn.LSTM and its kin."""

from collections.abc import Callable

import torch as t
from torch.nn import functional as f

from ..sequence_workloads import GPT, Attention, Recurrent


class Norm(t.nn.Module):
    """RMSNorm without parameters."""

    def forward(self, x):
        return f.rms_norm(x, x.shape[-1:], eps=1e-5)


class Block(t.nn.Module):
    """Attention and feed-forward net, each after a norm."""

    def __init__(self, work: GPT):
        super().__init__()
        w, bias = work.width, work.norm == "layer"
        self.heads = work.heads
        self.norm1, self.norm2 = (t.nn.LayerNorm(w) if bias else Norm() for _ in range(2))
        self.qkv, self.out = t.nn.Linear(w, 3 * w, bias), t.nn.Linear(w, w, bias)
        self.up, self.down = t.nn.Linear(w, 4 * w, bias), t.nn.Linear(4 * w, w, bias)
        self.unit = t.nn.GELU() if bias else t.nn.ReLU()

    def forward(self, x, cache=None):
        n, steps, w = x.shape
        q, k, v = (each.view(n, steps, self.heads, -1).transpose(1, 2) for each in self.qkv(self.norm1(x)).split(w, 2))
        if cache is not None:
            k, v = (
                t.cat([old, new], 2)
                for old, new in zip(cache.get(self, (k[:, :, :0], v[:, :, :0])), (k, v), strict=True)
            )
            cache[self] = (k, v)
        a = f.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        x = x + self.out(a.transpose(1, 2).reshape(n, steps, w))
        return x + self.down(self.unit(self.up(self.norm2(x))))


class Net(t.nn.Module):
    """Tokens to scores."""

    def __init__(self, work: GPT):
        super().__init__()
        self.tokens, self.positions = (
            t.nn.Embedding(work.vocabulary, work.width),
            t.nn.Embedding(work.context, work.width),
        )
        self.first = t.nn.Identity() if work.norm == "layer" else Norm()
        self.blocks = t.nn.ModuleList(Block(work) for _ in range(work.blocks))
        self.last = t.nn.LayerNorm(work.width) if work.norm == "layer" else t.nn.Identity()
        self.head = t.nn.Linear(work.width, work.vocabulary, work.norm == "layer")

    def forward(self, x, begin=0, cache=None):
        h = self.first(self.tokens(x) + self.positions.weight[begin : begin + x.shape[1]])
        for block in self.blocks:
            h = block(h, cache)
        return self.head(self.last(h))


def make_step(model, loss, optimizer, x, target, compiled: bool) -> Callable[[], object]:
    """Make the function of one training step."""
    value_of = t.compile(lambda: loss(model(x), target)) if compiled else lambda: loss(model(x), target)

    def one():
        optimizer.zero_grad()
        value = value_of()
        value.backward()
        optimizer.step()
        return value.item()

    return one


def gpt(work: GPT, compiled: bool = False) -> Callable[[], object]:
    t.manual_seed(0)
    model, (x, target) = Net(work), map(t.from_numpy, work.data())
    optimizer = t.optim.AdamW(model.parameters(), lr=0.001, fused=True)

    def loss(scores, target):
        return f.cross_entropy(scores.view(-1, work.vocabulary), target.view(-1))

    return make_step(model, loss, optimizer, x, target, compiled)


def generate(work: GPT) -> Callable[[], object]:
    t.manual_seed(0)
    model = Net(work).eval()

    def run():
        token, cache = t.zeros(1, 1, dtype=t.int64), {}
        with t.inference_mode():
            for k in range(work.context):
                token = model(token, k, cache)[:, -1].argmax(1, keepdim=True)
        return token

    return run


class Tagger(t.nn.Module):
    """A recurrent layer and scores at each step."""

    def __init__(self, work: Recurrent):
        super().__init__()
        self.layer = getattr(t.nn, work.layer)(work.features, work.hidden, batch_first=True)
        self.head = t.nn.Linear(work.hidden, work.classes)

    def forward(self, x):
        return self.head(self.layer(x)[0])


def recurrent(work: Recurrent, compiled: bool = False) -> Callable[[], object]:
    t.manual_seed(0)
    model, (x, target) = Tagger(work), map(t.from_numpy, work.data())
    optimizer = t.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def loss(scores, target):
        return f.cross_entropy(scores.view(-1, work.classes), target.view(-1))

    return make_step(model, loss, optimizer, x, target, compiled)


def attention(work: Attention) -> Callable[[], object]:
    *inputs, grad = (
        t.from_numpy(each).view(work.batch, work.steps, work.heads, work.width).transpose(1, 2) for each in work.data()
    )
    for each in inputs:
        each.requires_grad_(True)
    return lambda: t.autograd.grad(f.scaled_dot_product_attention(*inputs, is_causal=True), inputs, grad)
