"""Rows of a block of attention scores: their maximum, exponentials and sums, in SIMD vectors, whatever their lengths.

A row has room for whole SIMD vectors: what is beyond its `count` numbers is read, but not used.
"""

import numba
import numpy as np

from ...compiler.numba_api import cgutils, intrinsic, ir, types
from ..elementary_functions import exp_below_of
from ..matmul.micro_kernels import Tile
from ..scalar_math import Number


class Vector(Number):
    """A SIMD vector of floating-point numbers with Python's operators, for the formulae of one number."""

    def __init__(self, builder, value):
        super().__init__(builder, value)
        self.lanes = value.type.count
        self.bits = 64 if isinstance(value.type.element, ir.DoubleType) else 32
        self.integer = ir.VectorType(ir.IntType(self.bits), self.lanes)

    def new(self, value):
        return Vector(self.builder, value)

    def constant(self, number: float):
        return self.new(ir.Constant(self.value.type, [number] * self.lanes))

    def integer_constant(self, number: int):
        return ir.Constant(self.integer, [number] * self.lanes)

    def _call(self, name, *others):
        values = [self.value, *(other.value for other in others)]
        kind = ir.FunctionType(self.value.type, [self.value.type] * len(values))
        name = f"llvm.{name}.v{self.lanes}f{self.bits}"
        return self.new(self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), values))


def largest_of(a, at, count):
    """The maximum of a[at : at + count], of a vector a; -inf for none, and NaN may be left out."""
    largest = a.dtype.type(-np.inf) if a.dtype.kind == "f" else -np.inf
    for number in a[at : at + count]:
        if number > largest:
            largest = number
    return largest


def exp_slice(a, at, count, end, scale, shift):
    """a[at + k] = exp(scale a[at + k] - shift), k < count, exponents <= 0; then 0 up to `end`; returns the sum."""
    a[at : at + count] = np.exp(scale * a[at : at + count] - shift)
    a[at + count : at + end] = 0
    return a[at : at + count].sum(dtype=a.dtype)


def grad_slice(a, grad, at, count, end, scale, shift, mean, factor):
    """p = exp(scale a - shift), a = p, grad = factor p (grad - mean), of `count` numbers from `at`; 0 up to `end`."""
    p = np.exp(scale * a[at : at + count] - shift)
    a[at : at + count], a[at + count : at + end] = p, 0
    grad[at : at + count] = factor * p * (grad[at : at + count] - mean)
    grad[at + count : at + end] = 0


class Slices:
    """A loop over a slice of a vector, a SIMD vector at a time, in LLVM code."""

    def __init__(self, context, builder, dtype, at, count):
        self.context, self.builder = context, builder
        self.tile = Tile(context, builder, dtype)
        self.at, self.count = at, count
        one, self.width = cgutils.intp_t(1), cgutils.intp_t(self.tile.width)
        self.vectors = builder.sdiv(builder.add(count, builder.sub(self.width, one)), self.width)

    def data(self, kind, value):
        """The pointer to the slice's first number in an array."""
        return self.builder.gep(self.context.make_array(kind)(self.context, self.builder, value).data, [self.at])

    def each(self):
        """The loop; its index counts vectors."""
        return cgutils.for_range(self.builder, self.vectors)

    def place(self, pointer, loop):
        """The pointer to the vector of a turn of the loop."""
        return self.builder.gep(pointer, [self.builder.mul(loop.index, self.width)])

    def inside(self, loop):
        """The mask of the lanes of a turn that are in the slice."""
        left = self.builder.sub(self.count, self.builder.mul(loop.index, self.width))
        return self.builder.not_(self.tile.mask_from(left, 0))

    def load(self, pointer):
        return Vector(self.builder, self.tile.load(pointer))

    def broadcast(self, number):
        return Vector(self.builder, self.tile.broadcast(number))

    def constant(self, number: float):
        return self.broadcast(ir.Constant(self.tile.scalar, number))

    def clear_until(self, end, *pointers):
        """Write zeros from the slice's last vector up to `end`, by whole vectors."""
        done = self.builder.mul(self.vectors, self.width)
        with cgutils.for_range_slice(self.builder, done, end, self.width) as (index, _):
            for pointer in pointers:
                self.tile.store(self.constant(0.0).value, self.builder.gep(pointer, [index]))


@intrinsic
def compiled_largest_of(typing_context, a, at, count):
    """The compiled form of `largest_of`."""

    def generate(context, builder, signature, args):
        row = Slices(context, builder, a.dtype, args[1], args[2])
        first, lowest = row.data(a, args[0]), row.constant(float("-inf"))
        slot = cgutils.alloca_once_value(builder, lowest.value)
        with row.each() as loop:
            best = builder.load(slot)
            larger = builder.fcmp_ordered(">", numbers := row.tile.load(row.place(first, loop)), best)
            builder.store(builder.select(builder.and_(larger, row.inside(loop)), numbers, best), slot)
        best, width = builder.load(slot), row.tile.width
        while width > 1:
            width //= 2
            lanes = ir.VectorType(ir.IntType(32), width)
            low, high = (
                builder.shuffle_vector(best, best, ir.Constant(lanes, [*range(k * width, k * width + width)]))
                for k in (0, 1)
            )
            best = builder.select(builder.fcmp_ordered(">", high, low), high, low)
        return builder.extract_element(best, ir.Constant(ir.IntType(32), 0))

    return a.dtype(a, types.intp, types.intp), generate


@intrinsic
def compiled_exp_slice(typing_context, a, at, count, end, scale, shift):
    """The compiled form of `exp_slice`."""

    def generate(context, builder, signature, args):
        _, at, count, end, scale, shift = args
        row = Slices(context, builder, a.dtype, at, count)
        first, factor, zero = row.data(a, args[0]), row.broadcast(scale), row.constant(0.0)
        minus_shift = zero - row.broadcast(shift)
        total = cgutils.alloca_once_value(builder, zero.value)
        with row.each() as loop:
            place = row.place(first, loop)
            value = exp_below_of(row.load(place).times_plus(factor, minus_shift)).choose(row.inside(loop), zero)
            row.tile.store(value.value, place)
            builder.store(builder.fadd(builder.load(total), value.value), total)
        row.clear_until(end, first)
        return row.tile.total(builder.load(total))

    number = types.intp
    return a.dtype(a, number, number, number, a.dtype, a.dtype), generate


@intrinsic
def compiled_grad_slice(typing_context, a, grad, at, count, end, scale, shift, mean, factor):
    """The compiled form of `grad_slice`."""

    def generate(context, builder, signature, args):
        _, _, at, count, end, scale, shift, mean, factor = args
        row = Slices(context, builder, a.dtype, at, count)
        first, grads = row.data(a, args[0]), row.data(grad, args[1])
        zero, scale, mean, factor = row.constant(0.0), row.broadcast(scale), row.broadcast(mean), row.broadcast(factor)
        minus_shift = zero - row.broadcast(shift)
        with row.each() as loop:
            place, grad_place, inside = row.place(first, loop), row.place(grads, loop), row.inside(loop)
            p = exp_below_of(row.load(place).times_plus(scale, minus_shift))
            change = p * (row.load(grad_place) - mean) * factor
            row.tile.store(p.choose(inside, zero).value, place)
            row.tile.store(change.choose(inside, zero).value, grad_place)
        row.clear_until(end, first, grads)
        return context.get_dummy_value()

    number = types.intp
    return types.none(a, grad, number, number, number, *[a.dtype] * 4), generate


INLINED = {"fastmath": False, "forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@numba.njit(**INLINED)
def inlined_largest_of(a, at, count):
    """`largest_of` without the fastmath flags of its caller, as the next two."""
    return compiled_largest_of(a, at, count)


@numba.njit(**INLINED)
def inlined_exp_slice(a, at, count, end, scale, shift):
    """`exp_slice`."""
    return compiled_exp_slice(a, at, count, end, scale, shift)


@numba.njit(**INLINED)
def inlined_grad_slice(a, grad, at, count, end, scale, shift, mean, factor):
    """`grad_slice`."""
    compiled_grad_slice(a, grad, at, count, end, scale, shift, mean, factor)


largest_of.compiled_form = inlined_largest_of  # type: ignore[attr-defined]
exp_slice.compiled_form = inlined_exp_slice  # type: ignore[attr-defined]
grad_slice.compiled_form = inlined_grad_slice  # type: ignore[attr-defined]
