"""The embedding: a learned row for each token, of which a step touches those that occur."""

import numpy as np

from ...core.module import FLAGS, Module
from ...core.parameter import Parameter
from ...core.shapes import check_sizes
from ...initializers.initializers import Initializer, Normal
from ...kernels.buffers import as_rows, flat, reuse
from ...kernels.rows import (
    add_to_table,
    clear_rows,
    list_distinct,
    read_rows,
    shorten_row,
    shorten_rows,
)


class TokenTable(Module):
    """Base of layers with a learned row `weight[v]` for each token v, which read tokens as their first argument."""

    label_arguments = (0,)
    flags = (*FLAGS, "clears_all", "others_add")  # see `prepare_gradient`

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        weight_init: Initializer | None,
    ):
        super().__init__()
        check_sizes(self, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = self.check_padding(padding_idx)
        self.padding = -1 if self.padding_idx is None else self.padding_idx  # no token is -1
        if max_norm is not None and not 0 < max_norm < np.inf:
            raise ValueError(f"{type(self).__name__}: max_norm is {max_norm}, expected a finite number above 0")
        if not norm_type > 0:
            raise ValueError(f"{type(self).__name__}: norm_type is {norm_type}, expected a number above 0")
        self.max_norm, self.norm_type = None if max_norm is None else float(max_norm), float(norm_type)
        weight = (weight_init or Normal()).sample((num_embeddings, embedding_dim))
        if self.padding_idx is not None:
            weight[self.padding_idx] = 0
        self.weight = Parameter(weight)
        self.clears_all = self.others_add = True
        self.rows, self.marks = np.empty(0, np.int64), np.empty(0, np.int64)
        self.row_count = self.call_number = 0
        self.y = self.grad_x = np.empty((0, 0))

    def check_padding(self, padding_idx: int | None) -> int | None:
        """Convert padding_idx, which may count from the end, to 0 or more; ValueError if there is no such row."""
        if padding_idx is None:
            return None
        if not -self.num_embeddings <= padding_idx < self.num_embeddings:
            expected = f"{-self.num_embeddings} to {self.num_embeddings - 1}"
            raise ValueError(f"{type(self).__name__}: padding_idx is {padding_idx}, expected {expected}")
        return padding_idx % self.num_embeddings

    @property
    def vocabulary_size(self) -> int:  # type: ignore[override]
        """Tokens are 0 to this number - 1."""
        return self.num_embeddings

    @property
    def estimates(self) -> bool:  # type: ignore[override]
        """With max_norm, the shortening of a row counts as a constant, as in PyTorch."""
        return self.max_norm is not None

    def prepare_gradient(self, tokens):
        """Before this step's tokens are added to grad_weight: clear what is there, unless bprop adds to it.

        In the compiled step only the rows of the last step are cleared. Other plans may have written to the gradients
        when this one begins: then `clears_all` is set. Where optimizers or tied modules may write to them between two
        steps of a plan, `others_add` is.
        """
        if not self.accumulate:
            if self.clears_all:
                self.grad_weight[:] = 0
            else:
                clear_rows(self.rows, self.row_count, self.grad_weight)
            self.clears_all = self.others_add
            if not self.others_add:
                if self.marks.size == 0:
                    self.marks = np.zeros(self.num_embeddings, np.int64)
                self.call_number += 1
                self.rows = reuse(self.rows, tokens.shape, np.int64)
                self.row_count = list_distinct(tokens, self.marks, self.call_number, self.rows)

    def count_touched(self, input_shape: tuple[int, ...]) -> int:
        """The numbers of `weight` that a pass over tokens of this shape reads or writes, at most."""
        return self.embedding_dim * min(self.num_embeddings, int(np.prod(input_shape)))

    def extra_repr(self) -> str:
        settings = [f"{self.num_embeddings}, {self.embedding_dim}"]
        settings += [f"padding_idx={self.padding_idx}"] if self.padding_idx is not None else []
        settings += [f"max_norm={self.max_norm:g}"] if self.max_norm is not None else []
        settings += [f"norm_type={self.norm_type:g}"] if self.norm_type != 2 else []
        return ", ".join(settings)


class Embedding(TokenTable):
    """A learned row for each token.

        y[n, ...]                 = weight[x[n, ...]]
        grad_weight[x[n, ...]]   += grad_y[n, ...]

    There is no gradient of x, which are whole numbers: grad_x is zeros. Only rows of tokens that occur get a gradient.
    In a compiled step with an optimizer of this package that is all that is written: no work grows with
    num_embeddings. Who writes into grad_weight between such steps calls `zero_grad()` before the next.

    Shapes: x (N, ...) whole numbers 0 to num_embeddings - 1, of any integer dtype; y (N, ..., D); weight (V, D).
    Args: num_embeddings, embedding_dim: V and D, at least 1; padding_idx: a token that is read as zeros, whatever its
        row has, and gets no gradient, negative from the end; max_norm: rows longer than this are scaled to that length
        when they are read, in training in the weight itself, which the gradient takes for a constant; norm_type: the p
        of that norm, above 0; weight_init: initial values, by default PyTorch's, standard normal.
    Errors: ValueError for sizes below 1, and for a token outside of 0 to V - 1 (names its row).
    Source: Goodfellow et al., Deep Learning, section 12.4.2; Bengio et al., A neural probabilistic language model
        (2003); PyTorch's Embedding.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        *,
        weight_init: Initializer | None = None,
    ):
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, weight_init)

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape + (self.embedding_dim,), self.weight.dtype)  # noqa: RUF005 - numba has no starred tuples
        tokens, y = flat(x), as_rows(self.y)
        if self.max_norm is not None and self.training:
            shorten_rows(tokens, self.weight, self.max_norm, self.norm_type)
        read_rows(tokens, self.padding, self.weight, y)
        if self.max_norm is not None and not self.training:
            for i in range(y.shape[0]):
                shorten_row(y[i], self.max_norm, self.norm_type)
        return self.y

    def bprop(self, grad_y):
        if self.needs_grad_parameters:
            tokens = flat(self.x)
            self.prepare_gradient(tokens)
            add_to_table(tokens, self.padding, as_rows(grad_y), self.grad_weight)
        self.grad_x = reuse(self.grad_x, self.x.shape, grad_y.dtype)
        self.grad_x[:] = 0
        return self.grad_x

    def jvp(self, v):
        """v_weight[x]; the tokens stand still."""
        out = np.empty(self.y.shape, self.weight.dtype)
        read_rows(flat(self.x), self.padding, self.v_weight, as_rows(out))
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_weight}[x] += r_grad_y; grad_x stays zero."""
        add_to_table(flat(self.x), self.padding, as_rows(r_grad_y), self.grad_weight)
        return np.zeros(self.x.shape, r_grad_y.dtype)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*input_shape, self.embedding_dim)

    def flops(self, input_shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows are copied forward and added up backward."""
        size = self.embedding_dim * int(np.prod(input_shape))
        return 0, size
