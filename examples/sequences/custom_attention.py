"""Causal self-attention of several heads in plain NumPy style, both passes by hand.

Run by itself, it checks its gradients, compares its outputs with those of the built-in layer, and trains on a small
task that needs the past: to copy the token of two steps before.
"""

import numpy as np
from bprop.modules import (
    Embedding,
    Linear,
    Module,
    MultiheadAttention,
    Parameter,
    PositionalEmbedding,
    Sequential,
    SoftmaxCrossEntropy,
    check_gradients,
    get_generator,
    manual_seed,
)
from bprop.trainers import Adam, Trainer


class CausalAttention(Module):
    """Each step mixes the values of the steps up to it, by softmax of scaled products of query and keys.

        q, k, v = x W_inᵀ, of H heads            grad_p, grad_v = grad_m vᵀ, pᵀ grad_m
        s       = q kᵀ / √E, -∞ after the step   grad_s  = p (grad_p - Σ grad_p p) / √E
        p       = softmax(s)                     grad_q, grad_k = grad_s k, grad_sᵀ q
        m       = p v                            grad_W_in += grad_qkvᵀ x,   grad_x = grad_qkv W_in
        y       = m W_outᵀ                       grad_W_out += grad_yᵀ m,    grad_m = grad_y W_out

    Shapes: x and y (N, T, D), weight_in (3 D, D), weight_out (D, D); q, k, v, m (N, H, T, E) with E = D / H.
    Args: features, heads: D and H.
    Source: Vaswani et al., Attention is all you need (2017), section 3.2.
    """

    def __init__(self, features: int, heads: int):
        super().__init__()
        bound, random = features**-0.5, get_generator()
        self.heads = heads
        self.weight_in = Parameter(random.uniform(-bound, bound, (3 * features, features)))
        self.weight_out = Parameter(random.uniform(-bound, bound, (features, features)))

    def fprop(self, x):
        N, T, D = x.shape
        self.x = x
        qkv = (x @ self.weight_in.T).reshape(N, T, 3, self.heads, D // self.heads).transpose(2, 0, 3, 1, 4)
        self.q, self.k, self.v = qkv[0], qkv[1], qkv[2]
        scores = self.q @ self.k.swapaxes(2, 3) / (D // self.heads) ** 0.5
        self.p = softmax(np.where(np.tri(T) > 0, scores, -np.inf))
        self.mixed = (self.p @ self.v).swapaxes(1, 2).reshape(N, T, D)
        return self.mixed @ self.weight_out.T

    def bprop(self, grad_y):
        N, T, D = self.x.shape
        grad_mixed = (grad_y @ self.weight_out).reshape(N, T, self.heads, D // self.heads).swapaxes(1, 2)
        grad_p, grad_v = grad_mixed @ self.v.swapaxes(2, 3), self.p.swapaxes(2, 3) @ grad_mixed
        grad_s = self.p * (grad_p - (grad_p * self.p).sum(axis=-1, keepdims=True)) / (D // self.heads) ** 0.5
        grad_q, grad_k = grad_s @ self.k, grad_s.swapaxes(2, 3) @ self.q
        grad_qkv = np.stack((grad_q, grad_k, grad_v)).transpose(1, 3, 0, 2, 4).reshape(N * T, 3 * D)
        self.grad_weight_in += grad_qkv.T @ self.x.reshape(N * T, D)
        self.grad_weight_out += grad_y.reshape(N * T, D).T @ self.mixed.reshape(N * T, D)
        return (grad_qkv @ self.weight_in).reshape(N, T, D)


def softmax(scores):
    """exp(s) / Σ exp(s) along the last axis; a function that methods call is compiled with them."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def compare_with_the_built_in():
    """The largest difference of outputs and of grad_x from those of the built-in layer of the same weights."""
    own, built_in = CausalAttention(8, 2), MultiheadAttention(8, 2, bias=False, causal=True)
    built_in.load_state_dict({"in_proj_weight": own.weight_in, "out_proj.weight": own.weight_out})
    x = np.random.default_rng(1).normal(size=(3, 5, 8))
    pairs = [(own(x), built_in(x))]
    pairs.append((own.bprop(pairs[0][0]), built_in.bprop(pairs[0][1])))
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def make_model(layer):
    """The model: scores of a token at each step."""
    return Sequential(Embedding(5, 16), PositionalEmbedding(12, 16), layer, Linear(16, 5))


def train(layer, steps=300):
    """Train a model of this layer; returns its loss and accuracy at the end, of all steps but the first two."""
    tokens = np.random.default_rng(2).integers(0, 5, (20 * 32, 12))
    labels = np.concatenate([np.full((len(tokens), 2), -1), tokens[:, :-2]], axis=1)
    trainer = Trainer(make_model(layer), SoftmaxCrossEntropy(ignore_index=-1), Adam(lr=0.01), quiet=True)
    trainer.fit((tokens, labels), epochs=steps // 20, batch_size=32)
    return trainer.evaluate((tokens, labels))


if __name__ == "__main__":
    manual_seed(0)
    print(check_gradients(CausalAttention(4, 2), np.random.default_rng(0).normal(size=(2, 3, 4))))
    print(f"largest difference from the built-in layer {compare_with_the_built_in():.1e}")
    print("after training:", train(CausalAttention(16, 2)))
