"""A linear layer in which each unit reads only some of the inputs."""

import numpy as np

from ..core.module import Module
from ..core.parameter import Parameter
from ..core.shapes import check_sizes, replace_features
from ..initializers.initializers import Initializer, PyTorchUniform
from ..kernels.buffers import as_rows, reuse, reuse_like
from ..kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows


class MaskedLinear(Module):
    """Affine map of the last axis with connections left out: unit i reads only its parents.

        y           = x (M ∘ W)ᵀ + b
        grad_x      = grad_y (M ∘ W)
        grad_weight += M ∘ (grad_yᵀ x)
        grad_bias   += Σₙ grad_y[n]

    Weights without a connection are 0, count nothing and have the gradient 0. Products are those of a dense layer, so
    the mask saves no time.

    Shapes: x (N, ..., in), y (N, ..., out), weight and mask (out, in), bias (out,).
    Args: in_features, out_features: sizes, at least 1; mask: M, rows of 0 and 1; parents: instead of it, a list of the
        inputs that each unit reads, such as `[[0, 1], [1, 2]]`; bias: add b; weight_init, bias_init: initial values, by
        default uniform in ±1/√k, k the number of the unit's parents, and ±1/√in.
    Errors: ValueError for sizes below 1, for a mask or parents that do not fit them, and for an x whose last axis is
        not `in`.
    Source: Domke, Automatic Differentiation and Neural Networks (xᵢ = σ(w_i · x_Pa(i)), a general feed-forward net).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        mask: list[list[int]] | np.ndarray | None = None,
        parents: list[list[int]] | None = None,
        bias: bool = True,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ):
        super().__init__()
        check_sizes(self, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        if (mask is None) == (parents is None):
            raise ValueError("MaskedLinear: got both or none of mask and parents, expected one of them")
        shape = (out_features, in_features)
        self.mask = as_mask(mask, shape) if parents is None else as_mask_of_parents(parents, shape)
        counts = np.maximum(1, self.mask.sum(axis=1, keepdims=True))
        initial = (
            PyTorchUniform(1).sample(shape) / np.sqrt(counts) if weight_init is None else weight_init.sample(shape)
        )
        self.weight = Parameter(np.where(self.mask, initial, 0))
        self.bias = Parameter((bias_init or PyTorchUniform(in_features)).sample((out_features,))) if bias else None
        self.y = self.grad_x = self.masked = self.grad_full = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.masked = reuse_like(self.masked, self.weight)
        apply_mask(self.weight, self.mask, self.masked)
        self.y = reuse(self.y, x.shape[:-1] + (self.out_features,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        y = as_rows(self.y)
        matmul_into(as_rows(x), self.masked.T, y, False)
        if self.bias is not None:
            add_to_rows(y, self.bias)
        return self.y

    def bprop(self, grad_y):
        grad_y, x = as_rows(grad_y), as_rows(self.x)
        if self.needs_grad_parameters:
            self.grad_full = reuse_like(self.grad_full, self.weight)
            matmul_into(grad_y.T, x, self.grad_full, False)
            store_masked(self.grad_full, self.mask, self.grad_weight, self.accumulate)
            if self.bias is not None:
                sum_rows(grad_y, self.grad_bias, self.accumulate)
        if self.needs_grad_x:
            self.grad_x = reuse_like(self.grad_x, self.x)
            matmul_into(grad_y, self.masked, as_rows(self.grad_x), False)
        return self.grad_x

    def jvp(self, v):
        """v (M ∘ W)ᵀ + x (M ∘ V_W)ᵀ + v_b"""
        out, masked = np.empty(self.y.shape, v.dtype), np.empty(self.weight.shape, v.dtype)
        apply_mask(self.v_weight, self.mask, masked)
        y = as_rows(out)
        matmul_into(as_rows(self.x), masked.T, y, False)
        if self.needs_grad_x:  # else nothing before this layer is learned, and x stands still
            matmul_into(as_rows(v), self.masked.T, y, True)
        if self.bias is not None:
            add_to_rows(y, self.v_bias)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = r_grad_y (M ∘ W) + grad_y (M ∘ V_W), R{grad_weight} += M ∘ (r_grad_yᵀ x + grad_yᵀ v)"""
        grad_y, r, out = as_rows(grad_y), as_rows(r_grad_y), np.empty(v.shape, v.dtype)
        full, masked = np.empty(self.weight.shape, v.dtype), np.empty(self.weight.shape, v.dtype)
        matmul_into(r.T, as_rows(self.x), full, False)
        if self.bias is not None:
            sum_rows(r, self.grad_bias, True)
        if self.needs_grad_x:
            matmul_into(grad_y.T, as_rows(v), full, True)
            apply_mask(self.v_weight, self.mask, masked)
            matmul_into(r, self.masked, as_rows(out), False)
            matmul_into(grad_y, masked, as_rows(out), True)
        store_masked(full, self.mask, self.grad_weight, True)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return replace_features(self, input_shape, self.in_features, self.out_features)

    def extra_repr(self) -> str:
        connections = f"{int(self.mask.sum())} of {self.mask.size} connections"
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features} -> {self.out_features}, {connections}{bias}"


def as_mask(mask, shape: tuple[int, int]) -> np.ndarray:
    """Convert a mask to an array of booleans; ValueError unless it has this shape and holds 0 and 1."""
    try:
        array = np.asarray(mask, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"MaskedLinear: mask is {mask!r}, expected {shape[0]} rows of {shape[1]} numbers") from None
    if array.shape != shape:
        raise ValueError(f"MaskedLinear: mask has shape {array.shape}, expected {shape}")
    if not ((array == 0) | (array == 1)).all():
        raise ValueError("MaskedLinear: mask has other numbers than 0 and 1")
    return array == 1


def as_mask_of_parents(parents, shape: tuple[int, int]) -> np.ndarray:
    """Make the mask of a list of parents; ValueError unless there is a list of inputs for each unit."""
    units = shape[0]
    if not isinstance(parents, list | tuple) or len(parents) != units:
        raise ValueError(f"MaskedLinear: parents is {parents!r}, expected a list of inputs for each of {units} units")
    mask = np.zeros(shape, bool)
    for i, inputs in enumerate(parents):
        wanted = f"MaskedLinear: parents of unit {i} are {inputs!r}, expected inputs from 0 to {shape[1] - 1}"
        if not isinstance(inputs, list | tuple):
            raise ValueError(wanted)
        for k in inputs:
            if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 0 <= k < shape[1]:
                raise ValueError(wanted)
            mask[i, k] = True
    return mask


def apply_mask(weight, mask, out):
    """out = weight where there is a connection, else 0."""
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[i, k] = weight[i, k] if mask[i, k] else 0


def store_masked(full, mask, out, add):
    """Store in out, or add to it, what belongs to connections."""
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            part = full[i, k] if mask[i, k] else 0
            out[i, k] = out[i, k] + part if add else part
