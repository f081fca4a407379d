"""exp, log, tanh and sigmoid as polynomials without branches, so that LLVM computes a vector of them at a time.

The C library's functions are calls, one number each: a loop of them is 5 to 20 times slower. In compiled methods
`np.exp(x)`, `np.log(x)` and `np.tanh(x)` mean these functions.

Numerics: at most 2 units in the last place over the whole range of float32 and float64, sigmoid 2.5 (tests/modules/
test_elementary.py); infinities, NaN, signed zeros and, for exp and log, subnormal numbers as IEEE 754 and C have them.
Source: Moshier, Methods and Programs for Mathematical Functions (1989), the Cephes library's coefficients; the argument
reduction of Cody and Waite, Software Manual for the Elementary Functions (1980).
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .kernel import kernel

LN2_HIGH = 0.693359375
LN2_LOW = -2.121944400546905827679e-4
TABLES: dict[int, dict[str, Any]] = {
    32: {
        "exp": [1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1],
        "tanh": [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1],
        "log": [
            7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
            -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
        ],
        "largest": 88.72283905206835,
        "smallest": -103.972084045410,
        "mantissa": 23,
    },
    64: {
        "exp": [1.26177193074810590878e-4, 3.02994407707441961300e-2, 9.99999999999999999910e-1],
        "exp_below": [
            3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1, 2.00000000000000000005,
        ],
        "tanh": [-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3],
        "tanh_below": [1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3],
        "log": [
            1.01875663804580931796e-4, 4.97494994976747001425e-1, 4.70579119878881725854, 1.44989225341610930846e1,
            1.79368678507819816313e1, 7.70838733755885391666,
        ],
        "log_below": [
            1.0, 1.12873587189167450590e1, 4.52279145837532221105e1, 8.29875266912776603211e1,
            7.11544750618563894466e1, 2.31251620126765340583e1,
        ],
        "largest": 709.782712893383996,
        "smallest": -745.1332191019411,
        "mantissa": 52,
    },
}  # fmt: skip


class Number:
    """A floating point value of LLVM with Python's operators: what follows reads as formulae."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value
        self.bits = 64 if isinstance(value.type, ir.DoubleType) else 32
        self.integer = ir.IntType(self.bits)

    def new(self, value):
        return Number(self.builder, value)

    def constant(self, number: float):
        return self.new(ir.Constant(self.value.type, number))

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
        """The nearest whole number."""
        return self._call("rint")

    def magnitude(self):
        return self._call("fabs")

    def with_sign_of(self, other):
        return self._call("copysign", other)

    def compare(self, sign: str, other):
        """An LLVM bit; false for NaN."""
        return self.builder.fcmp_ordered(sign, self.value, self._other(other).value)

    def choose(self, condition, other):
        """self where the bit `condition` is set, else other."""
        return self.new(self.builder.select(condition, self.value, self._other(other).value))

    def as_integer(self):
        return self.builder.fptosi(self.value, self.integer)

    def as_bits(self):
        return self.builder.bitcast(self.value, self.integer)

    def from_bits(self, bits):
        return self.new(self.builder.bitcast(bits, self.value.type))

    def polynomial(self, coefficients):
        """Horner's rule, the highest power first."""
        result = self.constant(coefficients[0])
        for coefficient in coefficients[1:]:
            result = result.times_plus(self, coefficient)
        return result


def power_of_two(x: Number, exponent):
    """2 ** exponent for an LLVM integer within the range of normal numbers."""
    mantissa = TABLES[x.bits]["mantissa"]
    bias = ir.Constant(x.integer, (1 << (x.bits - mantissa - 2)) - 1)
    return x.from_bits(x.builder.shl(x.builder.add(exponent, bias), ir.Constant(x.integer, mantissa)))


def exp_of(x: Number) -> Number:
    """exp x = 2ⁿ exp r, with n = x / log 2 rounded and r = x - n log 2."""
    table = TABLES[x.bits]
    inside = x.constant(table["largest"]).choose(x.compare(">", table["largest"]), x)
    inside = x.constant(table["smallest"]).choose(inside.compare("<", table["smallest"]), inside)
    inside = inside.choose(x.builder.fcmp_ordered("ord", x.value, x.value), 0.0)
    n = (inside * 1.4426950408889634).rounded()
    r = n.times_plus(-LN2_LOW, n.times_plus(-LN2_HIGH, inside))
    square = r * r
    if x.bits == 32:
        value = r.polynomial(table["exp"]).times_plus(square, r) + 1.0
    else:
        odd = r * square.polynomial(table["exp"])
        value = (odd / (square.polynomial(table["exp_below"]) - odd)).times_plus(2.0, 1.0)
    whole = n.as_integer()
    half = x.builder.ashr(whole, ir.Constant(x.integer, 1))  # in two factors, so that neither leaves the range
    value = value * power_of_two(x, half) * power_of_two(x, x.builder.sub(whole, half))
    value = x.constant(float("inf")).choose(x.compare(">", table["largest"]), value)
    value = x.constant(0.0).choose(x.compare("<", table["smallest"]), value)
    return value.choose(x.builder.fcmp_ordered("ord", x.value, x.value), x)


def log_of(x: Number) -> Number:
    """log x = e log 2 + log m, with x = 2ᵉ m and m between √½ and √2."""
    table, builder = TABLES[x.bits], x.builder
    mantissa = table["mantissa"]
    tiny = x.compare("<", 2.0 ** (2 - (1 << (x.bits - mantissa - 2))))
    scaled = (x * 2.0**mantissa).choose(tiny, x)
    bits = scaled.as_bits()
    bias = (1 << (x.bits - mantissa - 2)) - 2
    exponent = builder.sub(builder.lshr(bits, ir.Constant(x.integer, mantissa)), ir.Constant(x.integer, bias))
    fraction = builder.and_(bits, ir.Constant(x.integer, (1 << mantissa) - 1))
    m = x.from_bits(builder.or_(fraction, ir.Constant(x.integer, bias << mantissa)))  # between ½ and 1
    e = x.new(builder.sitofp(exponent, x.value.type))
    e = (e - float(mantissa)).choose(tiny, e)
    low = m.compare("<", 0.70710678118654752440)
    e, m = (e - 1.0).choose(low, e), (m + m).choose(low, m) - 1.0
    z = m * m
    if x.bits == 32:
        y = m * z * m.polynomial(table["log"])
    else:
        y = m * (z * m.polynomial(table["log"]) / m.polynomial(table["log_below"]))
    y = z.times_plus(-0.5, e.times_plus(LN2_LOW, y))
    value = e.times_plus(LN2_HIGH, m + y)
    value = x.choose(x.compare("==", float("inf")), value)
    value = x.constant(float("-inf")).choose(x.compare("==", 0.0), value)
    return value.choose(x.compare(">=", 0.0), x.constant(float("nan")))


def tanh_of(x: Number) -> Number:
    """tanh x = 1 - 2 / (exp 2x + 1), and near zero an odd polynomial."""
    table = TABLES[x.bits]
    size = x.magnitude()
    far = x.constant(1.0) - x.constant(2.0) / (exp_of(size + size) + 1.0)
    z = x * x
    ratio = z.polynomial(table["tanh"])
    if x.bits == 64:
        ratio = ratio / z.polynomial(table["tanh_below"])
    near = (size * z).times_plus(ratio, size)
    return near.choose(size.compare("<", 0.625), far).with_sign_of(x)


def sigmoid_of(x: Number) -> Number:
    """1 / (1 + exp(-x)) with the exponential of -|x|, which never overflows."""
    small = exp_of(x.constant(0.0) - x.magnitude())
    above = x.constant(1.0).choose(x.compare(">=", 0.0), small)
    return above / (small + 1.0)


def _compiled_form(formula, plain):
    """Give `plain` its compiled form: the formula for a number, a loop of it for an array.

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
        given = x if array or isinstance(x, types.Float) else types.float64
        function = types.Dispatcher(of_array if array else of_number)
        signature = function.get_call_type(typing_context, (given,), {})

        def generate(context, builder, outer, args):
            implementation = context.get_function(function, signature)
            result = implementation(builder, [context.cast(builder, args[0], outer.args[0], given)])
            context.add_linking_libs(implementation.libs)
            return result

        return signature.return_type(x), generate

    plain.compiled_form = compute


def _plain_sigmoid(x):
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def exp(x):
    """exp x of a number or array."""
    return np.exp(x)


def log(x):
    """Natural logarithm of a number or array."""
    return np.log(x)


def tanh(x):
    """Hyperbolic tangent of a number or array."""
    return np.tanh(x)


def sigmoid(x):
    """1 / (1 + exp(-x)) of a number or array."""
    return _plain_sigmoid(x)


for formula, plain in ((exp_of, exp), (log_of, log), (tanh_of, tanh), (sigmoid_of, sigmoid)):
    _compiled_form(formula, plain)

REPLACED = {np.exp: exp, np.log: log, np.tanh: tanh}
