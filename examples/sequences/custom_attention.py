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

    Shapes: x and y (N, T, D), weight_in (3 D, D), weight_out (D, D); of a sample and a head q, k, v and m (T, E) with
        E = D / H, p (T, T).
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
        N, T, _ = x.shape
        self.x, self.qkv = x, x @ self.weight_in.T
        self.p, self.mixed = np.zeros((N, self.heads, T, T), x.dtype), np.empty_like(x)
        for n in range(N):
            for h in range(self.heads):
                q, k, v = self.of_head(self.qkv, n, h)
                scores = q @ k.T / q.shape[1] ** 0.5
                for t in range(T):  # the past of each step, and itself
                    powers = np.exp(scores[t, : t + 1] - scores[t, : t + 1].max())
                    self.p[n, h, t, : t + 1] = powers / powers.sum()
                self.columns(self.mixed, n, h)[:] = self.p[n, h] @ v
        return self.mixed @ self.weight_out.T

    def bprop(self, grad_y):
        N, T, D = self.x.shape
        grad_mixed, grad_qkv = grad_y @ self.weight_out, np.empty_like(self.qkv)
        for n in range(N):
            for h in range(self.heads):
                q, k, v = self.of_head(self.qkv, n, h)
                grad_q, grad_k, grad_v = self.of_head(grad_qkv, n, h)
                p, grad_m = self.p[n, h], self.columns(grad_mixed, n, h)
                grad_s = grad_m @ v.T
                for t in range(T):
                    mean = (grad_s[t] * p[t]).sum()
                    grad_s[t] = p[t] * (grad_s[t] - mean) / q.shape[1] ** 0.5
                grad_q[:], grad_k[:], grad_v[:] = grad_s @ k, grad_s.T @ q, p.T @ grad_m
        rows = grad_qkv.reshape(N * T, 3 * D)
        self.grad_weight_in += rows.T @ self.x.reshape(N * T, D)
        self.grad_weight_out += grad_y.reshape(N * T, D).T @ self.mixed.reshape(N * T, D)
        return (rows @ self.weight_in).reshape(N, T, D)

    def columns(self, x, n, h):
        """The columns of a head in the rows of a sample, as a view (T, E)."""
        width = x.shape[2] // self.heads
        return x[n, :, h * width : (h + 1) * width]

    def of_head(self, qkv, n, h):
        """q, k and v of a sample and a head, as views (T, E)."""
        D = qkv.shape[2] // 3
        return (
            self.columns(qkv[:, :, :D], n, h),
            self.columns(qkv[:, :, D : 2 * D], n, h),
            self.columns(qkv[:, :, 2 * D :], n, h),
        )


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
