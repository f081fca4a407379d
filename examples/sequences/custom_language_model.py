"""A small language model of which every layer but the last is a custom module in plain NumPy style.

An embedding with positions, a gated recurrence, RMS normalization, a gated MLP and a choice between two experts. Run
by itself, it checks the gradients of each, and trains the model in one compiled step to continue sequences that
repeat themselves.
"""

import numpy as np
from bprop.modules import (
    Linear,
    Module,
    Parameter,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    check_gradients,
    get_generator,
    manual_seed,
    sigmoid,
)
from bprop.trainers import AdamW, Trainer


def draw(*shape):
    """Initial weights: normal, of variance 1 / the last size."""
    return get_generator().normal(0, shape[-1] ** -0.5, shape)


class TokensAndPositions(Module):
    """y[n, t] = weight[x[n, t]] + positions[t]; grad_weight[x[n, t]] += grad_y[n, t], grad_positions += Σₙ grad_y[n].

    Shapes: x (N, T) tokens, y (N, T, D), weight (V, D), positions (longest T, D).
    """

    label_arguments = (0,)  # x are whole numbers

    def __init__(self, tokens: int, steps: int, features: int):
        super().__init__()
        self.weight = Parameter(draw(tokens, features))
        self.positions = Parameter(0.1 * draw(steps, features))

    def fprop(self, x):
        self.x = x
        return self.weight[x] + self.positions[: x.shape[1]]

    def bprop(self, grad_y):
        for n in range(grad_y.shape[0]):  # a token may stand at several places: their gradients add up
            for t in range(grad_y.shape[1]):
                self.grad_weight[self.x[n, t]] += grad_y[n, t]
        self.grad_positions[: self.x.shape[1]] += grad_y.sum(axis=0)
        return np.zeros(self.x.shape, grad_y.dtype)


class MinGRU(Module):
    """h' = (1 - z) h + z g at each step, with z = σ(x W_zᵀ), g = x W_gᵀ: gates that do not look at h.

        grad_h' += grad_y',   grad_z = grad_h' (g - h),   grad_g = grad_h' z,   grad_h = grad_h' (1 - z)
        grad_W_z += (grad_z z (1 - z))ᵀ x,   grad_W_g += grad_gᵀ x,   grad_x = grad_z z (1 - z) W_z + grad_g W_g

    Shapes: x (N, T, D), y (N, T, H), weight_z and weight_g (H, D).
    Source: Feng et al., Were RNNs all we needed? (2024), section 3.1.
    """

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.weight_z, self.weight_g = Parameter(draw(hidden, features)), Parameter(draw(hidden, features))

    def fprop(self, x):
        self.x = x
        self.z, self.g = sigmoid(x @ self.weight_z.T), x @ self.weight_g.T
        self.h = np.zeros((x.shape[0], x.shape[1] + 1, self.z.shape[2]), x.dtype)
        for t in range(x.shape[1]):
            self.h[:, t + 1] = (1 - self.z[:, t]) * self.h[:, t] + self.z[:, t] * self.g[:, t]
        return self.h[:, 1:].copy()

    def bprop(self, grad_y):
        grad_h = grad_y.copy()
        for t in reversed(range(1, grad_y.shape[1])):
            grad_h[:, t - 1] += grad_h[:, t] * (1 - self.z[:, t])
        grad_g = grad_h * self.z
        grad_z = grad_h * (self.g - self.h[:, :-1]) * self.z * (1 - self.z)
        rows = self.x.reshape(-1, self.x.shape[2])
        self.grad_weight_z += grad_z.reshape(len(rows), -1).T @ rows
        self.grad_weight_g += grad_g.reshape(len(rows), -1).T @ rows
        return grad_z @ self.weight_z + grad_g @ self.weight_g


class RMSNorm(Module):
    """y = gain n with n = x r, r = (mean(x²) + ε)^(-1/2).

        grad_gain += Σ grad_y n,   grad_x = r (g - n mean(g n)) with g = grad_y gain

    Shapes: x and y (..., D), gain (D,).
    Source: Zhang and Sennrich, Root mean square layer normalization (2019).
    """

    def __init__(self, features: int, eps: float = 1e-5):
        super().__init__()
        self.gain, self.eps = Parameter(np.ones(features)), eps

    def fprop(self, x):
        self.r = (np.mean(x**2, axis=-1, keepdims=True) + self.eps) ** -0.5
        self.n = x * self.r
        return self.gain * self.n

    def bprop(self, grad_y):
        self.grad_gain += (grad_y * self.n).sum(axis=(0, 1))
        g = grad_y * self.gain
        return self.r * (g - self.n * (g * self.n).mean(axis=-1, keepdims=True))


class SwiGLU(Module):
    """y = (a σ(a) b) W_downᵀ with [a, b] = x W_upᵀ.

        grad_m = grad_y W_down,   grad_a = grad_m b σ(a) (1 + a (1 - σ(a))),   grad_b = grad_m a σ(a)

    Shapes: x and y (N, T, D), weight_up (2 H, D), weight_down (D, H).
    Source: Shazeer, GLU variants improve transformer (2020), equation 6.
    """

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.weight_up, self.weight_down = Parameter(draw(2 * hidden, features)), Parameter(draw(features, hidden))

    def fprop(self, x):
        self.x = x
        self.a, self.b = np.split(x @ self.weight_up.T, 2, axis=-1)
        self.s = sigmoid(self.a)
        self.m = self.a * self.s * self.b
        return self.m @ self.weight_down.T

    def bprop(self, grad_y):
        rows, width = self.x.shape[0] * self.x.shape[1], self.x.shape[2]
        grad_m = grad_y @ self.weight_down
        grad_a = grad_m * self.b * self.s * (1 + self.a * (1 - self.s))
        grad_up = np.concatenate((grad_a, grad_m * self.a * self.s), axis=-1)
        self.grad_weight_down += grad_y.reshape(rows, width).T @ self.m.reshape(rows, -1)
        self.grad_weight_up += grad_up.reshape(rows, -1).T @ self.x.reshape(rows, width)
        return grad_up @ self.weight_up


class TwoExperts(Module):
    """Each step goes to the expert that a softmax of two scores prefers: y = p_e tanh(x W_eᵀ), e = argmax p.

        grad_a = grad_y p_e (1 - tanh²),   grad_s = p_e ([e = k] - p_k) grad_y · tanh,   grad_W_e += grad_aᵀ x
        grad_x = grad_a W_e + grad_s W_router

    Shapes: x and y (N, T, D), router (2, D), weight (2, D, D). Which expert it is counts as a constant.
    Source: Fedus, Zoph and Shazeer, Switch transformers (2021), section 2.1.
    """

    def __init__(self, features: int):
        super().__init__()
        self.router, self.weight = Parameter(draw(2, features)), Parameter(draw(2, features, features))

    def fprop(self, x):
        self.rows = x.reshape(-1, x.shape[2])
        scores = self.rows @ self.router.T
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        self.p = powers / powers.sum(axis=1, keepdims=True)
        self.first = self.p[:, 0] >= self.p[:, 1]
        self.best = np.where(self.first, self.p[:, 0], self.p[:, 1])[:, None]
        self.t = np.empty_like(self.rows)
        for k in range(2):
            mine = np.flatnonzero(self.first == (k == 0))
            self.t[mine] = np.tanh(self.rows[mine] @ self.weight[k].T)
        return (self.best * self.t).reshape(x.shape)

    def bprop(self, grad_y):
        grad = grad_y.reshape(self.rows.shape)
        grad_a = grad * self.best * (1 - self.t**2)
        grad_best = self.best * (grad * self.t).sum(axis=1, keepdims=True)
        chosen = np.stack((self.first, ~self.first), axis=1)
        grad_s = grad_best * (chosen - self.p)
        grad_x = grad_s @ self.router
        self.grad_router += grad_s.T @ self.rows
        for k in range(2):
            mine = np.flatnonzero(self.first == (k == 0))
            self.grad_weight[k] += grad_a[mine].T @ self.rows[mine]
            grad_x[mine] += grad_a[mine] @ self.weight[k]
        return grad_x.reshape(grad_y.shape)


MODULES = {  # by name: how to make it, and the shape of its input
    "TokensAndPositions": (lambda: TokensAndPositions(5, 6, 4), (3, 4)),
    "MinGRU": (lambda: MinGRU(3, 4), (2, 5, 3)),
    "RMSNorm": (lambda: RMSNorm(4), (2, 3, 4)),
    "SwiGLU": (lambda: SwiGLU(3, 5), (2, 4, 3)),
    "TwoExperts": (lambda: TwoExperts(3), (2, 6, 3)),
}


def check(name):
    """The report of a module's gradients."""
    make, shape = MODULES[name]
    random = np.random.default_rng(0)
    return check_gradients(make(), random.integers(0, 5, shape) if len(shape) == 2 else random.normal(size=shape))


def make_model(tokens=6, steps=12, features=24):
    """The model: scores of the next token at each step."""
    return Sequential(
        TokensAndPositions(tokens, steps, features),
        Residual(Sequential(RMSNorm(features), MinGRU(features, features))),
        Residual(Sequential(RMSNorm(features), SwiGLU(features, 2 * features))),
        Residual(Sequential(RMSNorm(features), TwoExperts(features))),
        Linear(features, tokens),
    )


def train(model, epochs=12):
    """Train on sequences of period 3; returns loss and accuracy of the tokens after the first two."""
    periods = np.random.default_rng(1).integers(0, 6, (800, 3))
    text = np.tile(periods, (1, 5))[:, :13]
    tokens, labels = text[:, :-1], text[:, 1:].copy()
    labels[:, :2] = -1  # chance
    trainer = Trainer(model, SoftmaxCrossEntropy(ignore_index=-1), AdamW(lr=0.01), quiet=True)
    trainer.fit((tokens, labels), epochs=epochs, batch_size=20)
    return trainer.evaluate((tokens, labels))


if __name__ == "__main__":
    manual_seed(0)
    for name in MODULES:
        print(check(name))
    print("after training:", train(make_model()))
