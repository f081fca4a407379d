"""Small models of sequences, by which tests try lengths, cutting and carried state."""

import numpy as np
from bprop.modules import Buffer, Linear, Module, Parameter, Sequential
from bprop.modules.containers.container import Container


class MeanOverSteps(Module):
    """y[n] = Σₜ x[n, t] / lengths[n] over the steps t < lengths[n]; x (N, T, D), y (N, D)."""

    takes_lengths = True
    label_arguments = (1,)

    def fprop(self, x, lengths):
        self.x, self.lengths = x, lengths
        y = np.zeros((x.shape[0], x.shape[2]), x.dtype)
        for n in range(x.shape[0]):
            for t in range(lengths[n]):
                for d in range(x.shape[2]):
                    y[n, d] += x[n, t, d] / lengths[n]
        return y

    def bprop(self, grad_y):
        grad_x = np.zeros_like(self.x)
        for n in range(grad_x.shape[0]):
            for t in range(self.lengths[n]):
                for d in range(grad_x.shape[2]):
                    grad_x[n, t, d] = grad_y[n, d] / self.lengths[n]
        return grad_x

    def check_arguments(self, x_shape, lengths_shape=None):
        if len(x_shape) != 3:
            raise ValueError(f"MeanOverSteps: x has shape {x_shape}, expected (N, T, D)")
        return x_shape[0], x_shape[2]


class OfLengths(Container):
    """layers(x), of which those that take lengths get (x, lengths); its input is the table of both."""

    def __init__(self, *layers: Module):
        super().__init__()
        for k, layer in enumerate(layers):
            setattr(self, f"layer{k}", layer)
        self._count = len(layers)

    def call_fprop(self, call, x):
        if not isinstance(x, tuple) or len(x) != 2 or isinstance(x[0], int):
            raise ValueError("OfLengths: x is no table, expected (x, lengths)")
        y, lengths = x
        for k in range(self._count):
            layer = getattr(self, f"layer{k}")
            y = call(layer, "fprop", y, lengths) if getattr(layer, "takes_lengths", False) else call(layer, "fprop", y)
        return y

    def call_bprop(self, call, grad_y):
        for k in reversed(range(self._count)):
            grad_y = call(getattr(self, f"layer{k}"), "bprop", grad_y)
        return grad_y, grad_y


class InPython(Module):
    """y = x, in Python."""

    jit = False

    def fprop(self, x):
        return x.copy()

    def bprop(self, grad_y):
        return grad_y.copy()


class Leaky(Module):
    """state = decay state + x, y = weight state: what a stream's samples leave is carried to the next minibatch.

    Shapes: x, y (streams, D).
    """

    def __init__(self, streams, features, decay=0.5):
        super().__init__()
        self.streams, self.decay = streams, decay
        self.weight = Parameter(np.ones(features))
        self.state = Buffer(np.zeros((streams, features)))

    def reset_state(self):
        self.state[...] = 0

    def fprop(self, x):
        for n in range(x.shape[0]):
            for d in range(x.shape[1]):
                self.state[n, d] = self.decay * self.state[n, d] + x[n, d]
        self.kept = self.state.copy()
        return self.kept * self.weight

    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.kept).sum(axis=0)
        return grad_y * self.weight

    def output_shape(self, input_shape):
        if input_shape[0] > self.streams:
            raise ValueError(f"Leaky: x has {input_shape[0]} samples, expected {self.streams} at most")
        return input_shape


def make_sequences(n=40, steps=7, features=3, seed=0):
    """Sequences x (n, steps, features), whose steps beyond the length are huge; labels (n,); lengths (n,)."""
    random = np.random.default_rng(seed)
    x, lengths = random.normal(size=(n, steps, features)).astype(np.float32), random.integers(1, steps + 1, n)
    labels = (x[:, 0].sum(axis=1) > 0).astype(np.int64)
    x[np.arange(steps) >= lengths[:, None]] = 1e6
    return x, labels, lengths


def classifier(features=3, classes=2, *between):
    """A model of sequences with lengths."""
    return OfLengths(MeanOverSteps(), *between, Linear(features, classes))


def follower(streams=4, features=3):
    """A model that carries state."""
    return Sequential(Linear(features, features), Leaky(streams, features), Linear(features, 2))
