"""exp, log, tanh, erf and others as polynomials without branches, so that LLVM vectorises them.

The C library's functions are calls, one number each: a loop of them is 5 to 20 times slower. In compiled methods
`np.exp`, `np.log`, `np.tanh`, `np.expm1` and `np.log1p` mean these functions.

Numerics: at most 2 units in the last place over the whole range of float32 and float64, sigmoid 2.5 (tests/modules/
kernels/test_elementary.py); infinities, NaN, signed zeros and subnormal numbers as IEEE 754 and C have them.
Source: Moshier, Methods and Programs for Mathematical Functions (1989), the Cephes library's coefficients; the argument
reduction of Cody and Waite, Software Manual for the Elementary Functions (1980).
"""

import math

import numpy as np

from ..compiler.numba_api import ir
from .polynomial_coefficients import LN2_HIGH, LN2_LOW, TABLES
from .scalar_math import MANTISSA, Number, compiled_form, compiled_with_setting, from_integer, power_of_two


def reduced_exp(x: Number):
    """p and n, so that exp x = 2ⁿ (1 + p): n is x / log 2 rounded, and p = exp r - 1 with r = x - n log 2."""
    table = TABLES[x.bits]
    n = (x * 1.4426950408889634).rounded()
    r = n.times_plus(-LN2_LOW, n.times_plus(-LN2_HIGH, x))
    square = r * r
    if x.bits == 32:
        return r.polynomial(table["exp"]).times_plus(square, r), n
    odd = r * square.polynomial(table["exp"])
    ratio = square.polynomial(table["exp_above"]).times_plus(square, odd)
    return r.times_plus(ratio / (square.polynomial(table["exp_below"]) - odd), r), n


def exp_of(x: Number) -> Number:
    """exp x = 2ⁿ exp r."""
    table = TABLES[x.bits]
    p, n = reduced_exp(x.within(table["smallest"], table["largest"]))
    half = (n * 0.5).rounded()  # in two factors, so that neither leaves the range
    value = (p + 1.0) * power_of_two(half) * power_of_two(n - half)
    value = x.constant(float("inf")).choose(x.compare(">", table["largest"]), value)
    value = x.constant(0.0).choose(x.compare("<", table["smallest"]), value)
    return value.choose(x.is_number(), x)


def exp_below_of(x: Number) -> Number:
    """exp x of x <= 0, or NaN: no bound above, and one power of two, lifted so far that it is a normal number."""
    lowest, lift = {32: (-110.0, 64), 64: (-760.0, 200)}[x.bits]
    p, n = reduced_exp(x.constant(lowest).choose(x.compare("<", lowest), x))
    return (p + 1.0) * power_of_two(n + float(lift)) * 2.0**-lift


def exp_inside_of(x: Number) -> Number:
    """exp x of -80 <= x <= 80, or NaN, where 2ⁿ is a normal number."""
    p, n = reduced_exp(x)
    return (p + 1.0) * power_of_two(n)


def exp2_below_of(x: Number) -> Number:
    """2ˣ of x <= 0, or NaN, in float32; below -126 the smallest normal number, so that nothing subnormal follows."""
    x = x.constant(-126.0).choose(x.compare("<", -126.0), x)
    lift = 1.5 * 2.0**23 + 127.0  # its sum with x ends in the bits of x, rounded, as the exponent of a number
    lifted = x + lift
    r = x - (lifted - lift)
    power = x.from_bits(x.builder.shl(lifted.as_bits(), x.integer_constant(23)))
    return r.polynomial(TABLES[32]["exp2"]).times_plus(r, x.constant(1.0)) * power


def expm1_of(x: Number) -> Number:
    """exp x - 1 = 2 (h p + (h - ½)) with h = 2ⁿ⁻¹, which is a normal number where 2ⁿ is not."""
    table = TABLES[x.bits]
    p, n = reduced_exp(x.within(-float(MANTISSA[x.bits]), table["largest"]))
    half = power_of_two(n - 1.0)
    value = half.times_plus(p, half - 0.5) * 2.0
    value = x.constant(float("inf")).choose(x.compare(">", table["largest"]), value)
    value = x.constant(-1.0).choose(x.compare("<", -float(MANTISSA[x.bits])), value)
    return value.choose(x.magnitude().compare(">", 1e-30), x)  # NaN and what is as small stay as they are


def log_of(x: Number) -> Number:
    """log x = e log 2 + log m, with x = 2ᵉ m and m between √½ and √2."""
    table, builder = TABLES[x.bits], x.builder
    mantissa = MANTISSA[x.bits]
    tiny = x.compare("<", 2.0 ** (2 - (1 << (x.bits - mantissa - 2))))
    scaled = (x * 2.0**mantissa).choose(tiny, x)
    bits = scaled.as_bits()
    bias = (1 << (x.bits - mantissa - 2)) - 2
    fraction = builder.and_(bits, ir.Constant(x.integer, (1 << mantissa) - 1))
    m = x.from_bits(builder.or_(fraction, ir.Constant(x.integer, bias << mantissa)))  # between ½ and 1
    e = from_integer(x, builder.lshr(bits, ir.Constant(x.integer, mantissa))) - float(bias)
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


def power_of(x: Number, exponent: Number) -> Number:
    """|x| to a power, exp(p log |x|), in float64: for float32 by series that are short, as 1e-11 is enough."""
    size = x.magnitude()
    if x.bits == 64:
        return exp_of(exponent * log_of(size))
    log = log_by_series(size.widened())
    log = log.constant(float("-inf")).choose(size.compare("==", 0.0), log)
    log = log.constant(float("inf")).choose(size.compare("==", float("inf")), log)
    product = (exponent * log).within(-110.0, 100.0)
    n = (product * 1.4426950408889634).rounded()
    r = n.times_plus(-0.6931471805599453, product)
    value = r.polynomial([1 / math.factorial(k) for k in range(9, -1, -1)]) * power_of_two(n)
    return value.narrowed().choose(x.is_number(), x)


def log_by_series(x: Number) -> Number:
    """log x of a normal number: e log 2 + 2 artanh t, with x = 2ᵉ m, m between √½ and √2, and t = (m - 1) / (m + 1)."""
    builder, mantissa = x.builder, MANTISSA[x.bits]
    bias = (1 << (x.bits - mantissa - 2)) - 1
    root = int.from_bytes(np.sqrt(0.5).tobytes(), "little")
    above = builder.sub(x.as_bits(), ir.Constant(x.integer, root - (bias << mantissa)))
    e = builder.lshr(above, width := ir.Constant(x.integer, mantissa))
    scale = builder.shl(builder.sub(e, ir.Constant(x.integer, bias)), width)
    m = x.from_bits(builder.sub(x.as_bits(), scale))
    t = (m - 1.0) / (m + 1.0)
    square = t * t
    series = square.polynomial([2 / k for k in range(13, 0, -2)]) * t
    return (from_integer(x, e) - float(bias)).times_plus(0.6931471805599453, series)


def log1p_of(x: Number) -> Number:
    """log(1 + x) = log u + (x - (u - 1)) / u, where u is 1 + x rounded."""
    u = x + 1.0
    lost = (x - (u - 1.0)) / u
    lost = lost.choose(lost.is_number(), 0.0)  # at -1 and at infinity
    return (log_of(u) + lost).choose(x.compare("!=", 0.0), x)


def tanh_of(x: Number) -> Number:
    """tanh x = 1 - 2 / (exp 2x + 1), and near zero an odd polynomial."""
    table = TABLES[x.bits]
    size = x.magnitude()
    most = {32: 9.5, 64: 20.0}[x.bits]  # from where on it is 1, long before the exponential leaves the range
    bounded = x.constant(most).choose(size.compare(">", most), size)
    p, n = reduced_exp(bounded + bounded)
    far = x.constant(1.0) - x.constant(2.0) / ((p + 1.0).times_plus(power_of_two(n), 1.0))
    z = x * x
    ratio = z.polynomial(table["tanh"])
    if x.bits == 64:
        ratio = ratio / z.polynomial(table["tanh_below"])
    near = (size * z).times_plus(ratio, size)
    return near.choose(size.compare("<", 0.625), far).with_sign_of(x)


def sigmoid_of(x: Number) -> Number:
    """1 / (1 + exp(-x)) with the exponential of -|x|, which never overflows."""
    small = exp_below_of(x.constant(0.0) - x.magnitude())
    above = x.constant(1.0).choose(x.compare(">=", 0.0), small)
    return above / (small + 1.0)


def softplus_of(x: Number) -> Number:
    """log(1 + exp x) = max(x, 0) + log(1 + exp(-|x|))."""
    return x.choose(x.compare(">", 0.0), 0.0) + log1p_of(exp_below_of(x.constant(0.0) - x.magnitude()))


def erf_of(x: Number) -> Number:
    """erf x: an odd function near zero, and 1 - exp(-t²) R(t) at t = |x| beyond."""
    table = TABLES[x.bits]
    t = x.magnitude()
    t = x.constant(8.0).choose(t.compare(">", 8.0), t)
    square = t * t
    if x.bits == 32:
        near = square.polynomial(table["erf"]).times_plus(x, x)
        far = x.constant(1.0) - exp_inside_of(t.polynomial(table["erf_tail"]).times_plus(t, x.constant(0.0) - t))
        return near.choose(t.compare("<", 0.927734375), far.with_sign_of(x)).choose(x.is_number(), x)
    near = x.times_plus(square.polynomial(table["erf"]) / square.polynomial(table["erf_below"]), x)
    ratio = t.polynomial(table["erf_tail"]) / t.polynomial(table["erf_tail_below"])
    far = x.constant(1.0) - exp_inside_of(x.constant(0.0) - square) * ratio
    return near.choose(t.compare("<", 1.0), far.with_sign_of(x)).choose(x.is_number(), x)


def exp(x):
    """exp x of a number or array."""
    return np.exp(x)


def exp_below(x):
    """exp x of a number or array that is at most 0, faster than exp."""
    return np.exp(x)


def expm1(x):
    """exp x - 1 of a number or array, accurate near zero."""
    return np.expm1(x)


def log(x):
    """Natural logarithm of a number or array."""
    return np.log(x)


def log1p(x):
    """log(1 + x) of a number or array, accurate near zero."""
    return np.log1p(x)


def tanh(x):
    """Hyperbolic tangent of a number or array."""
    return np.tanh(x)


def sigmoid(x):
    """1 / (1 + exp(-x)) of a number or array."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def softplus(x):
    """log(1 + exp x) of a number or array."""
    return np.logaddexp(x, 0)


def erf(x):
    """The error function 2/√π ∫₀ˣ exp(-t²) dt of x, a number or an array."""
    x = np.asarray(x)
    return np.vectorize(erf_or_own, otypes=[x.dtype if x.dtype.kind in "fO" else np.float64])(x)[()]


def erf_or_own(x):
    """erf of a float; of an object the result of its own method, as NumPy's functions do."""
    return x.erf() if hasattr(x, "erf") else math.erf(x)


def power(x, exponent):
    """|x| to a power; a float64 exponent."""
    return np.abs(x) ** exponent


FORMULAE = {
    exp: exp_of,
    exp_below: exp_below_of,
    expm1: expm1_of,
    log: log_of,
    log1p: log1p_of,
    tanh: tanh_of,
    sigmoid: sigmoid_of,
    softplus: softplus_of,
    erf: erf_of,
}
for plain, formula in FORMULAE.items():
    compiled_form(formula, plain)
compiled_with_setting(power_of, power)

REPLACED = {np.exp: exp, np.expm1: expm1, np.log: log, np.log1p: log1p, np.tanh: tanh}
