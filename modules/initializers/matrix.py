"""Initial weights with a structure: orthogonal, the identity, sparse."""

import math

import numpy as np

from .initializers import Initializer, get_generator, refuse_unless
from .scaled import as_gain


class Orthogonal(Initializer):
    """Rows or columns, whichever are fewer, orthogonal and of length gain; further axes count with the second.

    Args: gain: a number above 0, or the name of a unit.
    Errors: ValueError for fewer than two axes.
    Source: Saxe, McClelland and Ganguli (2014), section 3; PyTorch's orthogonal_.
    """

    def __init__(self, gain: float | str = 1.0):
        self.gain = as_gain(self, gain)

    def sample(self, shape):
        refuse_unless(len(shape) > 1, self, "the parameter's shape", shape, "at least two axes")
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(get_generator().normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # without it, q is not uniformly distributed
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


class Eye(Initializer):
    """Gain times the identity matrix.

    Args: gain: a number above 0, or the name of a unit.
    Errors: ValueError for other settings.
    Source: PyTorch's eye_.
    """

    def __init__(self, gain: float | str = 1.0):
        self.gain = as_gain(self, gain)

    def sample(self, shape):
        refuse_unless(len(shape) == 2, self, "the parameter's shape", shape, "two axes")
        return self.gain * np.eye(*shape)


class Sparse(Initializer):
    """Normal, with a share of each column, rounded up, zero.

    Args: sparsity: the share of zeros, from 0 to 1; std: the standard deviation of the others, at least 0.
    Errors: ValueError for other settings.
    Source: Martens, Deep learning via Hessian-free optimization (2010), section 5; PyTorch's sparse_.
    """

    def __init__(self, sparsity: float, std: float = 0.01):
        refuse_unless(0 <= sparsity <= 1, self, "sparsity", sparsity, "a number from 0 to 1")
        refuse_unless(0 <= std < math.inf, self, "std", std, "a finite number, at least 0")
        self.sparsity, self.std = sparsity, std

    def sample(self, shape):
        refuse_unless(len(shape) == 2, self, "the parameter's shape", shape, "two axes")
        values = get_generator().normal(0, self.std, shape)
        zeros = math.ceil(self.sparsity * shape[0])
        order = get_generator().random(shape).argsort(axis=0)
        np.put_along_axis(values, order[:zeros], 0.0, axis=0)
        return values
