"""Pooling over a grid of settings and sizes, as PyTorch counts windows; ties, NaN and wrong settings."""

import itertools
import re

import numpy as np
import pytest
from bprop.modules import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
    check_gradients,
    check_module,
    num_threads,
)

from ..cases.pooling import adaptive, avg_pool, max_pool

pytestmark = pytest.mark.compiled  # sizes decide which kernel runs: more than the table of cases has

GRID = list(itertools.product([1, 2, 3], [1, 2, 4], [0, 1], [(1, 1), (4, 5), (7, 3)], [False, True]))


@pytest.mark.parametrize(("k", "s", "p", "size", "ceil_mode"), GRID)
def test_grid_of_settings(random, k, s, p, size, ceil_mode):
    x = random.permutation(3 * 2 * size[0] * size[1]).reshape((3, 2, *size)) / 10  # no ties
    for cls, reference in ((MaxPool2d, max_pool), (AvgPool2d, avg_pool)):
        if p > k // 2:
            with pytest.raises(ValueError, match=rf"padding is {p}, expected at most {k // 2}, half of the window$"):
                cls(k, s, p)
            continue
        module = cls(k, s, p, ceil_mode=ceil_mode).to("float64")
        if min(size) + 2 * p < k and not (ceil_mode and min(size) + 2 * p >= k - s + 1):
            with pytest.raises(ValueError, match=r"expected an image that fills each window$"):
                module.output_shape(x.shape)
            continue
        shape = module.output_shape(x.shape)
        y = module.fprop(x)
        assert y.shape == shape
        np.testing.assert_allclose(y, reference(module, x), rtol=1e-12, atol=1e-12)
        check_gradients(module, x).raise_if_wrong()


def test_as_many_windows_as_pytorch():
    nn = pytest.importorskip("torch").nn
    zeros = pytest.importorskip("torch").zeros
    for k, s, p, size, ceil_mode in GRID:
        if p <= k // 2 and min(size) + 2 * p >= k:
            shape = tuple(nn.MaxPool2d(k, s, p, ceil_mode=ceil_mode)(zeros((1, 1, *size))).shape)
            assert MaxPool2d(k, s, p, ceil_mode=ceil_mode).output_shape((1, 1, *size)) == shape


@pytest.mark.parametrize("size", [1, 2, 5, (3, None), (7, 1)])
def test_windows_that_cover_the_image(random, size):
    module, x = AdaptiveAvgPool2d(size).to("float64"), random.standard_normal((2, 3, 5, 4))
    np.testing.assert_allclose(module.fprop(x), adaptive(module, x), rtol=1e-12)
    check_gradients(module, x).raise_if_wrong()


def test_of_equal_numbers_the_first_gets_the_gradient():
    module = MaxPool2d(2, 1)
    np.testing.assert_array_equal(module.fprop(np.ones((1, 1, 2, 3))), np.ones((1, 1, 1, 2)))
    np.testing.assert_array_equal(module.bprop([[[[1.0, 10.0]]]]), [[[[1, 10, 0], [0, 0, 0]]]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lines_of_several_vectors(random, dtype):
    """With NaN, infinity and many equal numbers; places as PyTorch's."""
    torch = pytest.importorskip("torch")
    x = random.integers(-3, 3, (2, 3, 7, 83)).astype(dtype)
    x[0, 0, 2, 5::9], x[1, 1], x[1, 2, :, 40:] = np.nan, -np.inf, np.inf
    for k, s, p, d in [(2, 2, 0, 1), (3, 2, 1, 2), (3, 1, 1, 1), (3, 4, 1, 1), ((1, 4), (1, 3), (0, 2), 1)]:
        module = MaxPool2d(k, s, p, d).to(dtype)
        y, expected = (
            module.fprop(x),
            torch.nn.functional.max_pool2d(torch.from_numpy(x), k, s, p, d, return_indices=True),
        )
        np.testing.assert_array_equal(y, expected[0].numpy())
        np.testing.assert_array_equal(module.largest.reshape(y.shape), expected[1].numpy())


@pytest.mark.jit
def test_pooling_by_threads_is_the_same(random):
    x = random.standard_normal((64, 16, 30, 30)).astype(np.float32)
    results = []
    for threads in (1, 2):
        with num_threads(threads):
            results.append(MaxPool2d(3, 2, 1).fprop(x))
    np.testing.assert_array_equal(*results)


def test_nan_and_infinity_are_not_hidden():
    module = MaxPool2d(2)
    y = module.fprop([[[[1.0, np.nan, -np.inf, -np.inf], [np.nan, 2.0, -np.inf, -np.inf]]]])
    np.testing.assert_array_equal(y, [[[[np.nan, -np.inf]]]])
    np.testing.assert_array_equal(module.bprop([[[[1.0, 2.0]]]]), [[[[0, 1, 2, 0], [0, 0, 0, 0]]]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxPool2d(0), "^MaxPool2d: kernel_size is 0, expected one size or 2 of at least 1$"),
        (lambda: MaxPool2d(3, (1, 0)), r"^MaxPool2d: stride is \(1, 0\), expected one size or 2 of at least 1$"),
        (lambda: MaxPool1d((2, 2)), r"^MaxPool1d: kernel_size is \(2, 2\), expected one size of at least 1$"),
        (lambda: AvgPool2d(3, padding=2), "^AvgPool2d: padding is 2, expected at most 1, half of the window$"),
        (lambda: AvgPool2d(3, divisor_override=0), "^AvgPool2d: divisor_override is 0, expected at least 1$"),
        (
            lambda: AdaptiveAvgPool2d((0, None)),
            r"^AdaptiveAvgPool2d: output_size is \(0, 1\), expected one size or 2 of",
        ),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_window_without_a_place_of_the_image_is_refused():
    with pytest.raises(ValueError, match=r"expected an image that fills each window$"):
        MaxPool2d(2, 1, 2, 3).output_shape((1, 1, 1, 1))


def test_the_repr_shows_what_differs_from_the_defaults():
    assert repr(MaxPool2d((3, 2), 1, 1, ceil_mode=True)) == (
        "MaxPool2d(kernel_size=(3, 2), stride=1, padding=1, ceil_mode=True)"
    )
    assert repr(AvgPool2d(2, count_include_pad=False, divisor_override=3)) == (
        "AvgPool2d(kernel_size=2, count_include_pad=False, divisor_override=3)"
    )
    assert repr(AdaptiveAvgPool2d((None, 2))) == "AdaptiveAvgPool2d((None, 2))"


def test_ties_in_overlapping_windows_are_kinks_and_no_mistake(random):
    x = np.maximum(random.standard_normal((4, 3, 8, 8)), 0)  # as behind a ReLU: zeros beside zeros
    report = check_module(MaxPool2d(3, 2, 1), x)
    assert report.ok, str(report)
    assert "beside the trace of fprop" in str(report)


@pytest.mark.parametrize(
    ("make", "shape", "places"),
    [
        (lambda: MaxPool2d(2), (1, 1, 2**16, 2**15), 2**31),
        (lambda: MaxPool2d(3, stride=1, padding=1), (4, 3, 46341, 46341), 46341**2),
        (lambda: MaxPool1d(2), (1, 1, 2**31), 2**31),
    ],
)
def test_an_image_whose_places_do_not_fit_32_bits_is_refused(make, shape, places):
    expected = (
        rf"^MaxPool\dd\(.*\): x has shape {re.escape(str(shape))}, {places} places in an image, expected fewer than"
    )
    with pytest.raises(ValueError, match=expected):
        make().output_shape(shape)


def test_the_largest_image_is_not_refused():
    assert MaxPool2d(2).output_shape((1, 1, 46340, 46341)) == (1, 1, 23170, 23170)
