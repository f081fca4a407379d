"""Modules with one mistake each, such as everybody makes, and what the doctor must say of them."""

import numpy as np
from bprop.modules import Loss, Module, Noise, Parameter
from bprop.modules.kernels.philox import uniform

X = np.random.default_rng(3).standard_normal((5, 4))
TARGET = np.random.default_rng(4).standard_normal((5, 4))


class Affine(Module):
    """y = x Wᵀ + b, which is right; each mistake below changes one line of it."""

    jit = False

    def __init__(self, features=4, outputs=3):
        super().__init__()
        self.weight = Parameter(np.random.default_rng(1).standard_normal((outputs, features)))
        self.bias = Parameter(np.linspace(-1, 1, outputs))

    def fprop(self, x):
        self.x = x
        return np.dot(x, self.weight.T) + self.bias

    def weight_gradient(self, grad_y):
        return np.dot(grad_y.T, self.x)

    def bias_gradient(self, grad_y):
        return grad_y.sum(axis=0)

    def bprop(self, grad_y):
        self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.weight)


class Averaged(Affine):
    def weight_gradient(self, grad_y):
        return np.dot(grad_y.T, self.x) / len(self.x)


class Doubled(Affine):
    def weight_gradient(self, grad_y):
        return 2 * np.dot(grad_y.T, self.x)


class Flipped(Affine):
    def bprop(self, grad_y):
        self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return -np.dot(grad_y, self.weight)


class Transposed(Affine):
    def __init__(self):
        super().__init__(4, 4)

    def weight_gradient(self, grad_y):
        return np.dot(self.x.T, grad_y)


class Reshaped(Affine):
    def weight_gradient(self, grad_y):
        return np.dot(self.x.T, grad_y).reshape(self.weight.shape)


class Misfit(Affine):
    def weight_gradient(self, grad_y):
        return np.dot(self.x.T, grad_y)


class Overwriting(Affine):
    def bprop(self, grad_y):
        self.grad_weight = self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.weight)


class Unsummed(Affine):
    def bias_gradient(self, grad_y):
        return grad_y


class FirstSample(Affine):
    def bias_gradient(self, grad_y):
        return grad_y[0]


class LastSample(Affine):
    def bprop(self, grad_y):
        self.grad_weight += self.weight_gradient(grad_y)
        for n in range(len(grad_y)):
            last = grad_y[n]
        self.grad_bias += last
        return np.dot(grad_y, self.weight)


class SummedOverAll(Affine):
    def bias_gradient(self, grad_y):
        return grad_y.sum()


class Forgotten(Affine):
    def bias_gradient(self, grad_y):
        return 0.0


class OneElement(Affine):
    def weight_gradient(self, grad_y):
        gradient = np.dot(grad_y.T, self.x)
        gradient[1, 2] += 1
        return gradient


class Rounded(Affine):
    def weight_gradient(self, grad_y):
        gradient = np.dot(grad_y.T, self.x)
        gradient[1, 2] *= 1 + 2e-5
        return gradient


class SummedInput(Affine):
    def bprop(self, grad_y):
        self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.weight).sum(axis=0)


class NotANumber(Affine):
    def bias_gradient(self, grad_y):
        return grad_y.sum(axis=0) + np.nan


class Stale(Affine):
    def __init__(self):
        super().__init__()
        self.first = None

    def fprop(self, x):
        if self.first is None or len(self.first) != len(x):
            self.first = x.copy()
        self.x = self.first
        return np.dot(x, self.weight.T) + self.bias


class KeptSize(Module):
    """y = x / n, with the n of its first minibatch."""

    jit = False

    def __init__(self):
        super().__init__()
        self.n = 0

    def fprop(self, x):
        if self.n == 0:
            self.n = len(x)
        return x / self.n

    def bprop(self, grad_y):
        return grad_y / self.n


class InPlace(Module):
    """y = max(x, 0), written into x."""

    jit = False

    def fprop(self, x):
        self.mask = x > 0
        x *= self.mask
        return x

    def bprop(self, grad_y):
        return grad_y * self.mask


class ChangedInput(Affine):
    def fprop(self, x):
        x -= x.mean()
        self.x = x
        return np.dot(x, self.weight.T) + self.bias


class ChangedGradient(Affine):
    def bprop(self, grad_y):
        self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        grad_x = np.dot(grad_y, self.weight)
        grad_y *= 2
        return grad_x


class Redrawn(Module):
    """Dropout whose bprop draws a mask of its own."""

    jit = False

    def fprop(self, x):
        return x * (np.random.default_rng().uniform(size=x.shape) > 0.5)

    def bprop(self, grad_y):
        return grad_y * (np.random.default_rng().uniform(size=grad_y.shape) > 0.5)


class RedrawnByCounter(Noise):
    """Dropout whose bprop draws anew, by a counter that has moved on."""

    jit = False

    def mask(self, x):
        u = np.empty(x.size, x.dtype)
        uniform(self.key, self.step, u)
        return u.reshape(x.shape) > 0.5

    def fprop(self, x):
        y = x * self.mask(x)
        self.step += 1
        return y

    def bprop(self, grad_y):
        return grad_y * self.mask(grad_y)


class Uncounted(Module):
    """Dropout with a mask that no counter decides."""

    jit = False

    def fprop(self, x):
        self.mask = np.random.default_rng().uniform(size=x.shape) > 0.5
        return x * self.mask

    def bprop(self, grad_y):
        return grad_y * self.mask


class Accumulating(Module):
    """Adds to a stored grad_x."""

    jit = False

    def __init__(self):
        super().__init__()
        self.grad_x = np.zeros((1, 1))

    def fprop(self, x):
        return 2 * x

    def bprop(self, grad_y):
        self.grad_x = self.grad_x + 2 * grad_y
        return self.grad_x


class OnlyInEvaluation(Affine):
    def bprop(self, grad_y):
        self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.weight) if self.training else 2 * np.dot(grad_y, self.weight)


class Leaking(Module):
    """y = x c with a c in float64."""

    jit = False

    def fprop(self, x):
        return x * np.linspace(0, 1, x.shape[1])

    def bprop(self, grad_y):
        return grad_y * np.linspace(0, 1, grad_y.shape[1])


class WrongShape(Affine):
    def output_shape(self, input_shape):
        return (input_shape[0], 7)


class Unsaved(Affine):
    """Shifts by the mean of what it has seen, and keeps that in no Buffer."""

    def __init__(self):
        super().__init__()
        self.average = np.zeros(4)

    def fprop(self, x):
        self.x = x
        if self.training:
            self.average = 0.9 * self.average + 0.1 * x.mean(axis=0)
            return np.dot(x, self.weight.T) + self.bias
        return np.dot(x - self.average, self.weight.T) + self.bias

    def bprop(self, grad_y):
        x = self.x if self.training else self.x - self.average
        self.grad_weight += np.dot(grad_y.T, x)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.weight)


class FirstOnly(Affine):
    """Forgets its parameters where nobody asks for grad_x."""

    def bprop(self, grad_y):
        if not self.needs_grad_x:
            return grad_y
        self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.weight)


class LastOnly(Affine):
    """Forgets grad_x where nobody asks for the gradients of its parameters."""

    def bprop(self, grad_y):
        if not self.needs_grad_parameters:
            return np.zeros_like(self.x)
        self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.weight)


class Leftover(Affine):
    """Forgets that nobody asks for the gradient of its bias."""

    def bprop(self, grad_y):
        if self.needs_grad_parameters:
            self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.weight)


class Clearing(Affine):
    """Reads `accumulate` for one of its gradients alone."""

    def bprop(self, grad_y):
        if not self.accumulate:
            self.grad_weight[:] = 0
        self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.weight)


class Neighbour(Module):
    """Reads behind its batch: right but for a minibatch of one."""

    jit = False

    def fprop(self, x):
        self.rows = np.arange(len(x))
        y = 2 * x
        y[0] += x[min(1, len(x) - 1)]
        return y

    def bprop(self, grad_y):
        grad_x = 2 * grad_y
        if len(grad_y) > 1:
            grad_x[1] += grad_y[0]
        return grad_x


class Squares(Loss):
    """Mean of squares over the batch, right."""

    jit = False

    def fprop(self, y, target):
        self.difference = y - target
        return (self.difference**2).sum() / len(y)

    def bprop(self):
        return 2 * self.difference / len(self.difference)


class NotAveraged(Squares):
    def bprop(self):
        return 2 * self.difference


class AveragedTwice(Squares):
    def bprop(self):
        return 2 * self.difference / len(self.difference) ** 2


class WithoutTwo(Squares):
    def bprop(self):
        return self.difference / len(self.difference)


class WrongSide(Squares):
    def bprop(self):
        return -2 * self.difference / len(self.difference)


class Weighted(Squares):
    """The weighted mean of squares, right."""

    takes_sample_weight = True

    def fprop(self, y, target, sample_weight=None):
        self.difference = y - target
        self.weights = np.ones(len(y)) if sample_weight is None else sample_weight / sample_weight.mean()
        return (self.weights[:, None] * self.difference**2).sum() / len(y)

    def bprop(self):
        return 2 * self.weights[:, None] * self.difference / len(self.difference)


class WeightsForgotten(Weighted):
    def bprop(self):
        return 2 * self.difference / len(self.difference)


class WeightsNotDivided(Weighted):
    def fprop(self, y, target, sample_weight=None):
        self.difference = y - target
        self.weights = np.ones(len(y)) if sample_weight is None else 2 * sample_weight
        return (self.weights[:, None] * self.difference**2).sum() / len(y)


class Kink(Module):
    """y = |x|"""

    jit = False

    def fprop(self, x):
        self.x = x
        return np.abs(x)

    def bprop(self, grad_y):
        return grad_y * np.sign(self.x)


class WrongKink(Kink):
    def bprop(self, grad_y):
        return grad_y * np.where(self.x >= 0, 3, -1)


SUM = "bprop sums over the batch, only the loss averages"
BROKEN = [
    (Averaged, f"grad_weight is divided by the batch size once too often (0.2): {SUM}"),
    (Doubled, "grad_weight is 2 times the right one: a 2 is too many (of a square?)"),
    (Flipped, "grad_x has its sign flipped: a minus is missing, or one too many"),
    (Transposed, "grad_weight is transposed: exchange the factors, grad_weight += grad_yᵀ x for a weight (out, in)"),
    (Reshaped, "grad_weight is transposed: exchange the factors, grad_weight += grad_yᵀ x for a weight (out, in)"),
    (Misfit, "(is a gradient not summed over the batch, or transposed?)"),
    (Overwriting, "bprop overwrites the gradient of weight, expected +="),
    (Unsummed, "(is a gradient not summed over the batch, or transposed?)"),
    (FirstSample, "grad_bias counts sample 0 alone, expected the sum over the batch"),
    (LastSample, "grad_bias counts sample 4 alone, expected the sum over the batch"),
    (SummedOverAll, "grad_bias is one number throughout: summed over every axis, expected over the batch alone"),
    (Forgotten, "grad_bias stays at zero: bprop never adds to it"),
    (OneElement, "grad_weight differs, at (1, 2) most"),
    (Rounded, "grad_weight is wrong at (1, 2): "),
    (SummedInput, "grad_x has shape (4,), expected (5, 4)"),
    (NotANumber, "grad_bias is not finite"),
    (Stale, "as if of that one (stored once and kept?)"),
    (KeptSize, "as if of that one (stored once and kept?)"),
    (InPlace, "fprop changes x: its output is the input's own memory, expected its own array"),
    (ChangedInput, "fprop changes x: work on a copy"),
    (ChangedGradient, "bprop changes grad_y"),
    (Redrawn, "fprop(x) gives another y in a second run: it draws numbers that no counter decides (see Noise)"),
    (Uncounted, "fprop(x) gives another y in a second run: it draws numbers that no counter decides (see Noise)"),
    (RedrawnByCounter, "bprop draws its random numbers anew: store in fprop what it drew (the mask)"),
    (Accumulating, "bprop gives another grad_x in a second run: it adds to a stored array"),
    (OnlyInEvaluation, "in evaluation mode only: grad_x is 2 times the right one"),
    (Leaking, "y and grad_x in float64 for an x in float32: a constant"),
    (WrongShape, "output_shape((5, 4)) is (5, 7), fprop gives (5, 3)"),
    (Unsaved, "a module that loads the state_dict of a used one gives another y"),
    (FirstOnly, "where needs_grad_x is False"),
    (LastOnly, "another grad_x where needs_grad_parameters is False"),
    (Leftover, "bprop writes grad_bias where needs_grad_parameters is False"),
    (Clearing, "keeps what was there before, where accumulate is False"),
    (Neighbour, "with one sample only: grad_x "),
    (WrongKink, "grad_x differs, at "),
]
BROKEN_LOSSES = [
    (NotAveraged, "grad_y lacks 1/n"),
    (AveragedTwice, "grad_y is divided by the batch size once too often (0.2): bprop divides by what fprop divides by"),
    (WithoutTwo, "grad_y is 0.5 times the right one: a 2 is missing (of a square?)"),
    (WeightsForgotten, "grad_x is not that without the sample whose weight is 0"),
    (WeightsNotDivided, "with weights of 1 is not that without weights"),
    (WrongSide, "grad_y has its sign flipped"),
]
