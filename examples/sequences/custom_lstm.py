"""A custom LSTM in plain NumPy style: loops over time, array expressions, both passes by hand.

Run by itself, it checks its gradients, compares its outputs with those of the built-in layer, and trains in one
compiled step on a small task: to add up the first feature of a sequence.
"""

import numpy as np
from bprop.modules import (
    LSTM,
    LastStep,
    Linear,
    MeanSquaredError,
    Module,
    Parameter,
    Sequential,
    check_gradients,
    get_generator,
    manual_seed,
    sigmoid,
)
from bprop.trainers import Adam, compile_step


class CustomLSTM(Module):
    """Long short-term memory of one layer, with one bias; gates in the order i, f, g, o.

        a       = x W_x + h W_h + b            grad_o' = grad_h tanh(c') o (1 - o)
        i, f, o = σ(a_i), σ(a_f), σ(a_o)       grad_c += grad_h o (1 - tanh²(c'))
        g       = tanh(a_g)                    grad_i', grad_f' = grad_c g i (1 - i), grad_c c f (1 - f)
        c'      = f c + i g                    grad_g' = grad_c i (1 - g²)
        h'      = o tanh(c')                   grad_x, grad_h, grad_c = grad_a W_xᵀ, grad_a W_hᵀ, grad_c f

    Shapes: x (N, T, D), y (N, T, H), weight_x (D, 4 H), weight_h (H, 4 H), bias (4 H,).
    Args: inputs, hidden: D and H.
    Source: Hochreiter and Schmidhuber, Long short-term memory (1997).
    """

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        scale, random = hidden**-0.5, get_generator()
        self.hidden = hidden
        self.weight_x = Parameter(random.uniform(-scale, scale, (inputs, 4 * hidden)))
        self.weight_h = Parameter(random.uniform(-scale, scale, (hidden, 4 * hidden)))
        self.bias = Parameter(np.zeros(4 * hidden))

    def fprop(self, x):
        N, T, D, H = x.shape[0], x.shape[1], x.shape[2], self.hidden
        self.x = np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(T * N, D)  # step by step, so that rows lie together
        self.gates = np.zeros((T, N, 4 * H), x.dtype)
        self.h = np.zeros((T + 1, N, H), x.dtype)
        self.c = np.zeros((T + 1, N, H), x.dtype)
        products = (self.x @ self.weight_x).reshape(T, N, 4 * H)  # of all steps at once
        for t in range(T):
            a = products[t] + self.h[t] @ self.weight_h + self.bias
            i, f, g, o = (
                sigmoid(a[:, :H]),
                sigmoid(a[:, H : 2 * H]),
                np.tanh(a[:, 2 * H : 3 * H]),
                sigmoid(a[:, 3 * H :]),
            )
            self.gates[t] = np.concatenate((i, f, g, o), axis=1)
            self.c[t + 1] = f * self.c[t] + i * g
            self.h[t + 1] = o * np.tanh(self.c[t + 1])
        return self.h[1:].transpose(1, 0, 2)

    def bprop(self, grad_y):
        N, T, H = grad_y.shape[0], grad_y.shape[1], self.hidden
        grads = np.zeros_like(self.gates)
        grad_h = np.zeros((N, H), grad_y.dtype)
        grad_c = np.zeros((N, H), grad_y.dtype)
        for t in reversed(range(T)):
            i, f, g, o = np.split(self.gates[t], 4, axis=1)
            tanh_c = np.tanh(self.c[t + 1])
            grad_h += grad_y[:, t]
            grad_c += grad_h * o * (1 - tanh_c**2)
            grads[t] = np.concatenate(
                (
                    grad_c * g * i * (1 - i),
                    grad_c * self.c[t] * f * (1 - f),
                    grad_c * i * (1 - g**2),
                    grad_h * tanh_c * o * (1 - o),
                ),
                axis=1,
            )
            grad_h = grads[t] @ self.weight_h.T
            grad_c = grad_c * f
        grad_a = grads.reshape(T * N, 4 * H)
        self.grad_weight_x += self.x.T @ grad_a
        self.grad_weight_h += self.h[:T].reshape(T * N, H).T @ grad_a
        self.grad_bias += grad_a.sum(axis=0)
        return (grad_a @ self.weight_x.T).reshape(T, N, self.weight_x.shape[0]).transpose(1, 0, 2)


def compare_with_the_built_in():
    """The largest difference of outputs and of grad_x from those of the LSTM of the same weights."""
    own, built_in, x = CustomLSTM(3, 6), LSTM(3, 6), np.random.default_rng(1).normal(size=(4, 5, 3))
    built_in.load_state_dict(
        {
            "weight_ih_l0": own.weight_x.T,
            "weight_hh_l0": own.weight_h.T,
            "bias_ih_l0": own.bias,
            "bias_hh_l0": 0 * own.bias,
        }
    )
    pairs = [(own(x), built_in(x))]
    pairs.append((own.bprop(pairs[0][0]), built_in.bprop(pairs[0][1])))
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def train(layer, steps=400, length=12):
    """Train a model of this layer; returns the losses at its first and last steps."""
    step = compile_step(Sequential(layer, LastStep(), Linear(16, 1)), MeanSquaredError(), Adam(lr=0.01))
    random, losses = np.random.default_rng(2), []
    for _ in range(steps):
        x = random.normal(size=(32, length, 2)).astype(np.float32)
        losses.append(step(x, x[:, :, :1].sum(axis=1) / length**0.5))
    return np.mean(losses[:20]), np.mean(losses[-20:])


if __name__ == "__main__":
    manual_seed(0)
    print(check_gradients(CustomLSTM(3, 6), np.random.default_rng(0).normal(size=(4, 5, 3))))
    print(f"largest difference from the built-in layer {compare_with_the_built_in():.1e}")
    for make in (CustomLSTM, LSTM):
        print("{}: loss {:.3f} at first, {:.4f} at last".format(make.__name__, *train(make(2, 16))))
