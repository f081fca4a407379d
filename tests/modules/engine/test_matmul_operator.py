"""What custom methods may write as in NumPy: `@` of any matrices and stacks of them, any reshape, and `reversed`."""

import math

import numpy as np
import pytest
from bprop.modules import Module


class Pass(Module):
    def bprop(self, grad_y):
        return grad_y


class Stacks(Pass):
    """Products with stacks of matrices, summed up; a method of them all would take LLVM a minute."""

    def __init__(self):
        super().__init__()
        self.weight = np.random.default_rng(0).standard_normal((5, 6))

    def fprop(self, x):  # (N, T, 5)
        y = x @ self.weight  # a stack of matrices and a matrix
        total = (y.transpose(0, 2, 1) @ x) @ self.weight  # two stacks, one of them strided: (N, 6, 6)
        four = x.reshape((1,) + x.shape)  # noqa: RUF005
        more = four @ four.transpose(0, 1, 3, 2)
        right = self.weight[:4, :4] @ x  # a matrix and a stack
        return total[:, 0] + more[0, :, :1, 0] + right[0, 0, 0]


class Matrices(Pass):
    """Products of matrices of all layouts and vectors, summed up."""

    def __init__(self):
        super().__init__()
        self.weight = np.random.default_rng(0).standard_normal((5, 6))
        self.vector = np.random.default_rng(1).standard_normal(5)

    def fprop(self, x):  # (N, T, 5)
        step = x[:, 0] @ self.weight + x[:, 1].T.T @ self.weight + (self.weight.T @ x[:, 2].T).T
        return step + self.vector @ self.weight + (x[:, 0] @ self.vector)[0] + np.matmul(x[0].T, x[0])[0, 0]


class Shapes(Pass):
    """Axes swapped, arrays of any layout reshaped, several axes reduced, lists of arrays joined, powers of arrays."""

    def fprop(self, x):  # (N, 4, 3)
        y = x.swapaxes(1, 2).reshape(x.shape[0], -1) + np.reshape(np.swapaxes(x, -1, 1), (x.shape[0], 12))
        y -= x.mean(axis=(1, 2), keepdims=True)[:, :, 0] + x.max(axis=(0, -1))[0] + np.sum(x, axis=(0, 1, 2))
        rows = np.concatenate([y[:, :6], y[:, 6:]], axis=1) + np.stack([y, abs(y)], axis=0).min(axis=(0,))
        return rows * (np.abs(y) + 1) ** -0.5 * (x.shape[1] / math.sqrt(x.shape[2]))


class Reversed(Pass):
    """Numbers in an order that `reversed` makes."""

    def fprop(self, x):
        y, place = np.empty((3, 16), x.dtype), 0
        for numbers in (reversed(range(4)), reversed(range(2, 9, 3)), reversed(range(5, 1, -2)), reversed(range(0))):
            for k in numbers:
                y[:, place] = k
                place += 1
        for row in reversed(x):
            y[:, place] = row[0]
            place += 1
        y[:, place:] = 0
        return y[: x.shape[0]]


@pytest.mark.parametrize(
    ("cls", "shape", "dtype"),
    [
        (Stacks, (3, 4, 5), "float32"),
        (Matrices, (3, 4, 5), "float32"),
        (Shapes, (3, 4, 3), "float64"),
        (Reversed, (3, 2), "float32"),
    ],
)
def test_compiled_is_as_plain_python(cls, shape, dtype, recwarn):
    module, x = cls().to(dtype), np.random.default_rng(2).standard_normal(shape)
    expected = cls.fprop.__wrapped__(cls().to("float64"), x)
    y = module.fprop(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=1e-12 if dtype == "float64" else 1e-4, atol=1e-5)
    assert not [warning for warning in recwarn if "faster on contiguous" in str(warning.message)]


class Wrong(Pass):
    def __init__(self, rows):
        super().__init__()
        self.weight = np.ones((rows, 3))
        self.stack = np.ones((2, 4, 3))

    def fprop(self, x):
        return (x.reshape((1,) + x.shape) @ self.stack)[0] + x @ self.weight  # noqa: RUF005


@pytest.mark.jit  # NumPy repeats a stack of one matrix
@pytest.mark.parametrize("rows", [4, 5])
def test_sizes_that_do_not_fit_are_refused(rows):
    with pytest.raises(ValueError, match="matmul"):
        Wrong(rows).fprop(np.ones((2, 4)))
