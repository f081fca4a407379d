"""Layers as they come, each with a mistake that is easily made, and what the doctor must say of it."""

import numpy as np
from bprop.modules import Module, Parameter

RANDOM = np.random.default_rng(5)
ROWS, IMAGES = RANDOM.standard_normal((5, 3)), RANDOM.standard_normal((3, 2, 5, 4))


class Convolved(Module):
    """A convolution 3 x 3 of two channels with as many, written as its sums."""

    jit = False

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.random.default_rng(1).standard_normal((2, 2, 3, 3)))

    def places(self):
        return [(i, j) for i in range(3) for j in range(3)]

    def fprop(self, x):
        self.x, h, w = x, x.shape[2] - 2, x.shape[3] - 2
        y = np.zeros((len(x), 2, h, w), x.dtype)
        for i, j in self.places():
            y += np.einsum("nchw,oc->nohw", x[:, :, i : i + h, j : j + w], self.weight[:, :, i, j])
        return y

    def bprop(self, grad_y):
        h, w = grad_y.shape[2:]
        grad_x = np.zeros_like(self.x)
        for i, j in self.places():
            patch = self.x[:, :, i : i + h, j : j + w]
            self.add(i, j, np.einsum("nohw,nchw->oc", grad_y, patch))
            grad_x[:, :, i : i + h, j : j + w] += np.einsum("nohw,oc->nchw", grad_y, self.kernel(i, j))
        return grad_x

    def add(self, i, j, gradient):
        self.grad_weight[:, :, i, j] += gradient

    def kernel(self, i, j):
        return self.weight[:, :, i, j]


class ChannelsExchanged(Convolved):
    def add(self, i, j, gradient):
        self.grad_weight[:, :, i, j] += gradient.T


class KernelTurned(Convolved):
    def add(self, i, j, gradient):
        self.grad_weight[:, :, 2 - i, 2 - j] += gradient


class KernelShifted(Convolved):
    def add(self, i, j, gradient):
        self.grad_weight[:, :, i, (j + 1) % 3] += gradient


class Normalised(Module):
    """Batch normalisation without parameters; `mean_path` and `variance_path` are terms of its gradient."""

    jit = False
    paths = "mean variance"

    def fprop(self, x):
        self.deviation = np.sqrt(x.var(axis=0) + x.dtype.type(1e-5))
        self.y = (x - x.mean(axis=0)) / self.deviation
        return self.y

    def bprop(self, grad_y):
        grad_x = grad_y.copy()
        if "mean" in self.paths:
            grad_x -= grad_y.mean(axis=0)
        if "variance" in self.paths:
            grad_x -= self.y * (grad_y * self.y).mean(axis=0)
        return grad_x / self.deviation


class MeanForgotten(Normalised):
    paths = "variance"


class VarianceForgotten(Normalised):
    paths = "mean"


class Soft(Module):
    """Softmax whose Jacobian is its diagonal alone."""

    jit = False

    def fprop(self, x):
        e = np.exp(x - x.max(axis=1)[:, None])
        self.y = e / e.sum(axis=1)[:, None]
        return self.y

    def bprop(self, grad_y):
        return grad_y * self.y


class Centred(Module):
    """y = x - the mean of each sample, passed on as if that mean were a constant."""

    jit = False

    def fprop(self, x):
        return x - x.mean(axis=1)[:, None]

    def bprop(self, grad_y):
        return grad_y


class LastLeftOut(Module):
    """Two numbers at a time, so that the last of an odd number of them is left out."""

    jit = False

    def fprop(self, x):
        self.y = np.tanh(x)
        return self.y

    def bprop(self, grad_y):
        grad_x, y = grad_y.copy(), self.y
        for i in range(0, grad_x.size - grad_x.size % 2, 2):
            for k in (i, i + 1):
                grad_x.flat[k] *= 1 - y.flat[k] ** 2
        return grad_x


class StaleRows(Module):
    """Keeps the longest buffer so far, and sums over all of it: over rows of an earlier minibatch, too."""

    jit = False

    def __init__(self):
        super().__init__()
        self.scale = Parameter(np.ones(3))
        self.buffer = np.zeros((0, 3))

    def fprop(self, x):
        if len(self.buffer) < len(x):
            self.buffer = np.zeros_like(x)
        self.buffer[: len(x)] = x
        self.n = len(x)
        return x * self.scale

    def bprop(self, grad_y):
        longer = np.zeros_like(self.buffer)
        longer[: self.n] = grad_y
        longer[self.n :] = 1
        self.grad_scale += (longer * self.buffer).sum(axis=0)
        return grad_y * self.scale


class Squeezed(Module):
    """Loses the batch axis of a minibatch of one."""

    jit = False

    def fprop(self, x):
        self.x = np.squeeze(x)
        return self.x * self.x

    def bprop(self, grad_y):
        return 2 * self.x * grad_y

    def output_shape(self, input_shape):
        return input_shape


class WrongForOne(Normalised):
    """Divides by n - 1, but by 1 where n is 1, in one of both methods."""

    def fprop(self, x):
        return (x - x.mean(axis=0)) * len(x) / max(len(x) - 1, 1) + x

    def bprop(self, grad_y):
        n = len(grad_y)
        return (grad_y - grad_y.mean(axis=0) * (n > 1)) * n / max(n - 1, 1) + grad_y


MEAN = "is the path through a mean over the batch forgotten?"
BROKEN_LAYERS = [
    (ChannelsExchanged, IMAGES, "grad_weight has its axes 0 and 1 exchanged"),
    (
        KernelTurned,
        IMAGES,
        "grad_weight is turned round along its axes 2 and 3: is an index k where n - 1 - k belongs?",
    ),
    (KernelShifted, IMAGES, "grad_weight is shifted by one along its axis 3: is an index off by one?"),
    (MeanForgotten, ROWS, f"grad_x lacks a term that is the same for all samples: {MEAN}"),
    (VarianceForgotten, ROWS, "grad_x lacks a multiple of y for each feature: is the path through a variance over the"),
    (Soft, ROWS, "grad_x lacks a multiple of y for each sample: is a term y Σ grad_y y forgotten, as of a softmax or"),
    (Centred, ROWS, "grad_x lacks a number that each sample has throughout: is the path through a sum over the sample"),
    (LastLeftOut, ROWS, "grad_x is right but for its last element: does a loop end too early?"),
    (StaleRows, ROWS, "after another minibatch: grad_scale as if of that one (stored once and kept?)"),
    (Squeezed, ROWS, "with one sample only: "),
    (WrongForOne, ROWS, "with one sample only: grad_x "),
]
