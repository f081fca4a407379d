"""Minimum floating-point operations and memory traffic of a module, counted from shapes.

Layers whose parameter `weight` has two or more axes are matrix products (of a convolution: over the patches); of all
others each element counts as one operation.
"""

from math import prod

import numpy as np

from ..core.module import Module
from ..engine.stateful import plain_python

Matmul = tuple[int, int, int]  # rows, inner, columns
Shapes = dict[Module, tuple[tuple[int, ...], tuple[int, ...]]]


def record_shapes(module: Module, x: np.ndarray) -> Shapes:
    """Record the shapes of the input and output of `module` and of all inside it, by running copies of them on `x`."""
    copy = module.copy()
    shapes: Shapes = {}
    for own, other in zip(module.all_modules(), copy.all_modules(), strict=True):
        _record_calls(own, other, shapes)
    with plain_python(), np.errstate(all="ignore"):
        copy.fprop(x)
    return shapes


def _record_calls(own: Module, copy: Module, shapes: Shapes) -> None:
    fprop = copy.fprop

    def noted(x, *others):
        y = fprop(x, *others)
        if type(x) is tuple or type(y) is tuple:  # the arrays of a table are moved by what makes and reads them
            return y
        if not np.shares_memory(x, y):  # a view costs nothing
            shapes[own] = (x.shape, y.shape)
        return y

    vars(copy)["fprop"] = noted


def get_matmul(module: Module, output_shape: tuple[int, ...]) -> Matmul | None:
    """Get the matrix product of a layer's forward pass: (rows, inner) times (inner, columns); None if it has none."""
    weight = vars(module).get("weight")
    if weight is None or weight.ndim < 2 or "weight" not in module._parameters or 0 in module.label_arguments:
        return None
    if not module.multiplies_by_weight:
        return None
    columns, inner = len(weight), weight[0].size
    return prod(output_shape) // columns, inner, columns


def count_flops(module: Module, input_shape, output_shape, wants_grad_x: bool = True) -> tuple[int, int]:
    """Count floating-point operations of the forward and of the backward pass; a multiply-add is two.

    A module may say it itself: `flops(self, input_shape) -> (forward, backward)`.
    """
    own = getattr(module, "flops", None)
    if own is not None:
        return own(input_shape)
    product = get_matmul(module, output_shape)
    if product is None:
        return prod(output_shape), prod(input_shape) if wants_grad_x else 0
    return 2 * prod(product), (4 if wants_grad_x else 2) * prod(product)


def count_bytes(module: Module, input_shape, output_shape, wants_grad_x: bool = True) -> tuple[int, int]:
    """Count the bytes that the forward and the backward pass read and write at least: each array once.

    Forward x, parameters and y; backward grad_y, x, parameters, gradients and grad_x.
    """
    item = module.dtype.itemsize
    x, y = prod(input_shape), prod(output_shape)
    touched = getattr(module, "count_touched", None)  # of a table of rows, of which some are read
    own = touched(input_shape) if touched else sum(vars(module)[name].size for name in module._parameters)
    return item * (x + own + y), item * (y + x + (own + x if wants_grad_x else 0) + own)
