"""The random numbers of compiled code: Philox's known answers, and the distributions made of its words."""

import functools

import numba
import numpy as np
import pytest
from bprop.modules.compiler.kernel import EntryCompiler
from bprop.modules.engine.compiler import get_dispatcher
from bprop.modules.kernels import philox

from ... import references

KNOWN = [  # counter, key, words: kat_vectors of Random123, the authors' library
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
SIZE = 40_000


@functools.cache
def compile_entry(function):
    """`function(key, step, out)`, compiled as a method's helper is."""
    inner = get_dispatcher(function)
    return numba.njit(lambda key, step, out: inner(key, step, out), pipeline_class=EntryCompiler)


@pytest.fixture(params=["plain", pytest.param("compiled", marks=pytest.mark.jit)])
def draw(request):
    """Numbers of a distribution, from plain Python or compiled code."""

    def numbers(function, key, step, size, dtype=np.float64):
        out = np.full(size, np.nan, dtype)
        (compile_entry(function) if request.param == "compiled" else function)(key, step, out)
        return out

    return numbers


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected):
    assert list(philox.philox(*(np.uint64(word) for word in (*counter, *key)))) == expected
    assert references.philox(counter, key) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 64, 67])
def test_uniform_numbers_are_the_words(draw, size):
    key, step = 0x1234_5678_9ABC_DEF0, 0x0000_0007_0000_0003
    expected = [references.uniform(key, step, position) for position in range(size)]
    np.testing.assert_array_equal(draw(philox.uniform, key, step, size), expected)
    np.testing.assert_array_equal(
        draw(philox.uniform, key, step, size, np.float32), np.floor(np.array(expected) * 2.0**24) / 2.0**24
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_numbers_are_uniform(draw, dtype):
    numbers = draw(philox.uniform, 1, 2, SIZE, dtype)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, 100, (0, 1))[0]
    assert ((counts - SIZE / 100) ** 2 / (SIZE / 100)).sum() < 149.4  # chi squared, 99 degrees: above it once in 1000
    for distance in (1, 2, 4):
        assert abs(np.corrcoef(numbers[:-distance], numbers[distance:])[0, 1]) < 4 / np.sqrt(SIZE)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_numbers_are_normal(draw, dtype):
    from scipy.stats import kstest

    numbers = draw(philox.normal, 1, 2, SIZE, dtype)
    assert numbers.dtype == dtype
    assert kstest(numbers.astype(np.float64), "norm").pvalue > 0.001
    assert abs(np.mean(numbers[::2] * numbers[1::2])) < 4 / np.sqrt(SIZE / 2)
    assert np.abs(numbers).max() < 9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_numbers_are_their_equation(draw, dtype):
    numbers, words = draw(philox.normal, 5, 6, 1000, dtype), draw(philox.uniform, 5, 6, 1000, dtype).astype(np.float64)
    radius, angle = np.sqrt(-2 * np.log(1 - words[::2])), 2 * np.pi * words[1::2]
    tolerance = 1e-6 if dtype == np.float32 else 1e-15
    np.testing.assert_allclose(numbers[::2], radius * np.cos(angle), tolerance, 4 * tolerance)
    np.testing.assert_allclose(numbers[1::2], radius * np.sin(angle), tolerance, 4 * tolerance)


@pytest.mark.parametrize("function", [philox.uniform, philox.normal])
def test_numbers_depend_on_key_step_and_position_alone(draw, function):
    numbers = draw(function, 3, 4, 1000)
    for size in (2, 6, 30, 998):
        np.testing.assert_array_equal(draw(function, 3, 4, size), numbers[:size])
    for key, step in [(4, 4), (3, 5), (4, 3), (3 + 2**32, 4), (3, 4 + 2**32)]:
        assert not np.intersect1d(draw(function, key, step, 1000), numbers).size


@pytest.mark.jit
def test_compiled_numbers_are_those_of_plain_python():
    for function, tolerance in [(philox.uniform, 0), (philox.normal, 1e-6)]:
        plain, actual = np.empty(1000, np.float32), np.empty(1000, np.float32)
        function(8, 9, plain)
        compile_entry(function)(8, 9, actual)
        np.testing.assert_allclose(actual, plain, tolerance, tolerance)


@pytest.mark.jit
def test_words_are_computed_a_vector_at_a_time():
    compiled = numba.njit(philox.compiled_add_words.py_func)
    compiled(1, 2, 0, 40, 2.0**-24, np.zeros(64, np.float32))
    assert any(" x i64> " in text for text in compiled.inspect_llvm().values())
