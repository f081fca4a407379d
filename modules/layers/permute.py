"""Axes in another order: sequences as signals and back, channels last or first."""

import numpy as np

from ..kernels.buffers import replace_size, reuse
from ..kernels.rearrange import fill_permuted
from .rearrangement import Rearrangement


class Axes(Rearrangement):
    """Base of the layers that reorder axes: `order_axes(ndim)` fills self.order, the axes of x in the order of y."""

    def __init__(self):
        super().__init__()
        self.order = self.steps = np.empty(0, np.int64)

    def order_axes(self, ndim):
        """Fill self.order."""
        raise NotImplementedError(f"{type(self).__name__} has no order_axes: write `def order_axes(self, ndim)`")

    def shape_of(self, x):
        self.order, self.steps = reuse(self.order, (x.ndim,), np.int64), reuse(self.steps, (x.ndim,), np.int64)
        self.order_axes(x.ndim)
        shape = x.shape
        for k in range(x.ndim):
            shape = replace_size(shape, k, x.shape[self.order[k]])
        return shape

    def count_rows(self, x):
        return x.shape[0]

    def fill_places(self, x):
        fill_permuted(x.shape, self.order, self.steps, self.places)


class Permute(Axes):
    """Axes in another order.

        y      = x with axis dims[k] as axis k
        grad_x = grad_y with axis k as axis dims[k]

    Shapes: x (N, ...) of as many axes as dims, y (N, ...).
    Args: dims: all axes in the order of y, as of torch.permute; the first is 0, as the batch axis stays first, and
        others may be negative, counted from the last.
    Errors: ValueError for dims that are no permutation or do not begin with 0, and for an x of another number of axes.
    Source: PyTorch's torch.permute; Keras's Permute, which leaves the batch axis out.
    """

    def __init__(self, dims: list[int] | tuple[int, ...]):
        super().__init__()
        axes = tuple(axis + len(dims) if axis < 0 else axis for axis in dims)
        if sorted(axes) != list(range(len(axes))) or not axes or axes[0] != 0:
            expected = "all axes once, 0 (the batch) first, such as (0, 2, 1)"
            raise ValueError(f"Permute: dims is {tuple(dims)}, expected {expected}")
        self.dims = axes

    def order_axes(self, ndim):
        for k in range(ndim):
            self.order[k] = self.dims[k]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) != len(self.dims):
            raise ValueError(f"{self.label()}: x has shape {tuple(input_shape)}, expected {len(self.dims)} axes")
        return tuple(input_shape[axis] for axis in self.dims)

    def extra_repr(self) -> str:
        return f"{self.dims}"


class Transpose(Axes):
    """Two axes exchanged.

        y      = x with the axes dim0 and dim1 exchanged
        grad_x = grad_y with them exchanged

    Shapes: x (N, ...), y (N, ...).
    Args: dim0, dim1: axes other than 0, the batch's; negative ones count from the last.
    Errors: ValueError for axis 0, and for an x that has no such axes.
    Source: PyTorch's torch.transpose; torch/nn's Transpose.
    """

    def __init__(self, dim0: int, dim1: int):
        super().__init__()
        for name, dim in (("dim0", dim0), ("dim1", dim1)):
            if dim == 0:
                raise ValueError(f"Transpose: {name} is 0, the axis of the batch, expected another")
        self.dim0, self.dim1 = dim0, dim1

    def order_axes(self, ndim):
        first, second = self.dim0 % ndim, self.dim1 % ndim
        for k in range(ndim):
            self.order[k] = k
        self.order[first], self.order[second] = second, first

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape, ndim = list(input_shape), len(input_shape)
        for dim in (self.dim0, self.dim1):
            if not -ndim < dim < ndim:
                raise ValueError(f"{self.label()}: x has shape {tuple(input_shape)}, which has no axis {dim}")
        shape[self.dim0], shape[self.dim1] = shape[self.dim1], shape[self.dim0]
        return tuple(shape)

    def extra_repr(self) -> str:
        return f"{self.dim0}, {self.dim1}"
