"""Formulae of a floating-point number, written with Python's operators and emitted as LLVM code.

`compiled_form` makes of such a formula what compiled code calls: for a number the formula in line, so LLVM computes
a vector of them at a time; for an array a loop of it.
"""

import numba
import numpy as np

from ..compiler.kernel import kernel
from ..compiler.numba_api import cgutils, intrinsic, ir, types


class Number:
    """A floating-point LLVM value with Python's operators, so that code reads as formulae."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value
        self.bits = 64 if isinstance(value.type, ir.DoubleType) else 32
        self.integer = ir.IntType(self.bits)

    def new(self, value):
        return Number(self.builder, value)

    def constant(self, number: float):
        return self.new(ir.Constant(self.value.type, number))

    def integer_constant(self, number: int):
        """A constant of the whole numbers that have as many bits."""
        return ir.Constant(self.integer, number)

    def _other(self, other):
        return other if isinstance(other, Number) else self.constant(float(other))

    def __add__(self, other):
        return self.new(self.builder.fadd(self.value, self._other(other).value))

    def __sub__(self, other):
        return self.new(self.builder.fsub(self.value, self._other(other).value))

    def __mul__(self, other):
        return self.new(self.builder.fmul(self.value, self._other(other).value))

    def __truediv__(self, other):
        return self.new(self.builder.fdiv(self.value, self._other(other).value))

    def times_plus(self, factor, term):
        """self factor + term, rounded once."""
        return self._call("fma", self._other(factor), self._other(term))

    def _call(self, name, *others):
        values = [self.value, *(other.value for other in others)]
        kind = ir.FunctionType(self.value.type, [self.value.type] * len(values))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.f{self.bits}")
        return self.new(self.builder.call(function, values))

    def rounded(self):
        """Round to the nearest whole number."""
        return self._call("rint")

    def magnitude(self):
        return self._call("fabs")

    def with_sign_of(self, other):
        return self._call("copysign", other)

    def compare(self, sign: str, other):
        """Compare, as an LLVM bit; false for NaN."""
        return self.builder.fcmp_ordered(sign, self.value, self._other(other).value)

    def is_number(self):
        """Whether it is not NaN, as an LLVM bit."""
        return self.builder.fcmp_ordered("ord", self.value, self.value)

    def within(self, low: float, high: float):
        """Clip to both bounds; 0 for NaN."""
        inside = self.constant(high).choose(self.compare(">", high), self)
        inside = self.constant(low).choose(inside.compare("<", low), inside)
        return inside.choose(self.is_number(), 0.0)

    def choose(self, condition, other):
        """Select self where the bit `condition` is set, else other."""
        return self.new(self.builder.select(condition, self.value, self._other(other).value))

    def as_bits(self):
        return self.builder.bitcast(self.value, self.integer)

    def from_bits(self, bits):
        return self.new(self.builder.bitcast(bits, self.value.type))

    def widened(self):
        """Convert to float64."""
        return self.new(self.builder.fpext(self.value, ir.DoubleType()))

    def narrowed(self):
        """Convert to float32, rounded."""
        return self.new(self.builder.fptrunc(self.value, ir.FloatType()))

    def polynomial(self, coefficients):
        """Horner's rule, the highest power first."""
        result = self.constant(coefficients[0])
        for coefficient in coefficients[1:]:
            result = result.times_plus(self, coefficient)
        return result


MANTISSA = {32: 23, 64: 52}  # bits of the fraction


def power_of_two(n: Number):
    """2ⁿ for a whole number n within the range of normal numbers.

    Added to 1½ 2ᵐ, m the bits of the fraction, n stands in the lowest bits: a conversion is slower.
    """
    mantissa = MANTISSA[n.bits]
    bias = n.integer_constant((1 << (n.bits - mantissa - 2)) - 1)
    low_bits = n.builder.add((n + 1.5 * 2.0**mantissa).as_bits(), bias)
    return n.from_bits(n.builder.shl(low_bits, n.integer_constant(mantissa)))


def from_integer(x: Number, integer):
    """An LLVM integer from 0 to 2ᵐ as a Number like x, by the same trick."""
    power = 2.0 ** MANTISSA[x.bits]
    return x.from_bits(x.builder.or_(integer, x.constant(power).as_bits())) - power


def compiled_form(formula, plain):
    """Register the compiled form of `plain`: the formula for a number, a loop of it for an array.

    The formula becomes a function of its own, without fastmath (its caller's flags would undo the two-step scaling of
    `exp_of`), that LLVM always inlines.
    """

    @intrinsic
    def evaluate(typing_context, x):
        def generate(context, builder, signature, args):
            return formula(Number(builder, args[0])).value

        return x(x), generate

    @numba.njit(fastmath=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    def of_number(x):
        return evaluate(x)

    @kernel
    def of_array(x):
        y = np.empty(x.shape, x.dtype)
        numbers, results = np.ascontiguousarray(x).reshape(x.size), y.reshape(x.size)
        for i in range(numbers.size):
            results[i] = of_number(numbers[i])
        return y

    @intrinsic
    def compute(typing_context, x):
        array = isinstance(x, types.Array)
        dtype = x if array or isinstance(x, types.Float) else types.float64
        function = types.Dispatcher(of_array if array else of_number)
        signature = function.get_call_type(typing_context, (dtype,), {})

        def generate(context, builder, outer, args):
            implementation = context.get_function(function, signature)
            result = implementation(builder, [context.cast(builder, args[0], outer.args[0], dtype)])
            context.add_linking_libs(implementation.libs)
            return result

        return signature.return_type(x), generate

    plain.compiled_form = compute


def compiled_with_setting(formula, plain):
    """Register the compiled form of `plain(x, setting)`, for a number x and a float64."""

    @intrinsic
    def evaluate(typing_context, x, setting):
        def generate(context, builder, signature, args):
            return formula(*(Number(builder, value) for value in args)).value

        return x(x, types.float64), generate

    @numba.njit(fastmath=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    def of_number(x, setting):
        return evaluate(x, setting)

    plain.compiled_form = of_number
