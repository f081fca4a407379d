"""The embedding bag: the sum or the mean of the rows of a sample's tokens."""

from typing import Literal

import numpy as np

from ...core.sequences import SequenceModule
from ...initializers.initializers import Initializer
from ...kernels.buffers import flat, reuse
from ...kernels.rows import COLUMNS, compute_p_norm, shorten_rows
from ...kernels.threads import parallel_for
from .embedding import TokenTable


class EmbeddingBag(SequenceModule, TokenTable):
    """Sum or mean of the rows of each sample's tokens: a bag of words.

        y[n]                  = c[n] Σₗ weight[x[n, l]]
        grad_weight[x[n, l]] += c[n] grad_y[n],   c[n] = 1 (sum) or 1 / |bag n| (mean)

    Tokens that are padding_idx are not in the bag, nor are those beyond the sample's length. An empty bag gives zeros.
    There is no gradient of x, which are whole numbers: grad_x is zeros.

    Shapes: x (N, L) whole numbers 0 to num_embeddings - 1, y (N, D), weight (V, D); lengths (N,) whole numbers 1 to L,
        in `fprop(x, lengths)` or as a table (x, lengths) of a `Padded` container.
    Args: num_embeddings, embedding_dim: V and D, at least 1; mode: sum or mean; padding_idx: a token that counts
        nothing, negative from the end; max_norm, norm_type, weight_init: as of Embedding.
    Errors: ValueError for sizes below 1, another mode, a token outside of 0 to V - 1 and a length outside of 1 to L.
    Source: Joulin et al., Bag of tricks for efficient text classification (2016); PyTorch's EmbeddingBag.
    """

    label_arguments = (0, 1)  # type: ignore[assignment]

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        mode: Literal["sum", "mean"] = "mean",
        padding_idx: int | None = None,
        *,
        weight_init: Initializer | None = None,
    ):
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, weight_init)
        if mode not in ("sum", "mean"):
            raise ValueError(f"EmbeddingBag: mode is {mode!r}, expected 'sum' or 'mean'")
        self.mode, self.averages = mode, mode == "mean"
        self.factors = np.empty((0, 0))

    def fprop(self, x, lengths=None):
        self.x = x
        self.factors = reuse(self.factors, x.shape, self.weight.dtype)
        weigh_tokens(x, lengths, self.padding, self.averages, self.factors)
        if self.max_norm is not None:
            if self.training:
                shorten_rows(flat(x), self.weight, self.max_norm, self.norm_type)
            else:
                weigh_long_rows(x, self.weight, self.max_norm, self.norm_type, self.factors)
        self.y = reuse(self.y, (x.shape[0], self.embedding_dim), self.weight.dtype)
        sum_bags(x, self.factors, self.weight, self.y)
        return self.y

    def bprop(self, grad_y):
        if self.needs_grad_parameters:
            self.prepare_gradient(flat(self.x))
            add_bags(self.x, self.factors, grad_y, self.grad_weight)
        self.grad_x = reuse(self.grad_x, self.x.shape, grad_y.dtype)
        self.grad_x[:] = 0
        return self.grad_x

    def jvp(self, v):
        """c[n] Σₗ v_weight[x[n, l]]; the tokens stand still."""
        out = np.empty(self.y.shape, self.weight.dtype)
        sum_bags(self.x, self.factors, self.v_weight, out)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_weight}[x[n, l]] += c[n] r_grad_y[n]; grad_x stays zero."""
        add_bags(self.x, self.factors, r_grad_y, self.grad_weight)
        return np.zeros(self.x.shape, r_grad_y.dtype)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) != 2:
            raise ValueError(f"{self.label()}: x has shape {tuple(input_shape)}, expected tokens (N, L)")
        return (input_shape[0], self.embedding_dim)

    def flops(self, input_shape: tuple[int, ...]) -> tuple[int, int]:
        """A multiply-add for each number of each row, in both passes."""
        size = 2 * self.embedding_dim * int(np.prod(input_shape))
        return size, size

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.averages else ", mode='sum'")


def weigh_tokens(x, lengths, left_out, averages, factors):
    """factors[n, l] = 1, or 1 over the number of sample n's tokens that count; 0 for those that do not."""
    for n in range(x.shape[0]):
        count, end = 0, x.shape[1] if lengths is None else lengths[n]
        for k in range(x.shape[1]):
            factors[n, k] = 1 if k < end and x[n, k] != left_out else 0
            count += factors[n, k] != 0
        if averages and count > 0:
            for k in range(x.shape[1]):
                factors[n, k] /= count


def weigh_long_rows(x, table, max_norm, p, factors):
    """Multiply the factors of rows that are longer than max_norm by what scales them to it."""
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            norm = compute_p_norm(table[x[n, k]], p)
            if norm > max_norm:
                factors[n, k] *= max_norm / (norm + 1e-7)


def sum_bags(x, factors, table, y):
    """y[n] = Σₗ factors[n, l] table[x[n, l]]."""
    parallel_for(sum_some_bags, x.shape[0], 2 * x.size * y.shape[1], x, factors, table, y)


def sum_some_bags(first, last, x, factors, table, y):
    """The samples `first` to `last` of `sum_bags`."""
    for n in range(first, last):
        target = y[n]
        target[:] = 0
        for k in range(x.shape[1]):
            factor = factors[n, k]
            if factor != 0:
                row = table[x[n, k]]
                for j in range(target.size):
                    target[j] += factor * row[j]


def add_bags(x, factors, grad_y, table):
    """table[x[n, l]] += factors[n, l] grad_y[n]."""
    blocks = -(-grad_y.shape[1] // COLUMNS)
    parallel_for(add_some_columns_of_bags, blocks, 2 * x.size * grad_y.shape[1], x, factors, grad_y, table)


def add_some_columns_of_bags(first, last, x, factors, grad_y, table):
    """Some blocks of columns of `add_bags`, so that sums are the same bits for any number of threads."""
    begin, end = first * COLUMNS, last * COLUMNS
    for n in range(x.shape[0]):
        source = grad_y[n][begin:end]
        for k in range(x.shape[1]):
            factor = factors[n, k]
            if factor != 0:
                target = table[x[n, k]][begin:end]
                for j in range(source.size):
                    target[j] += factor * source[j]
