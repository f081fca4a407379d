"""Layers of images where the table does not reach: settings, infinities, sizes that fit nothing, whole channels."""

import numpy as np
import pytest
from bprop.modules import (
    Dropout2d,
    GroupNorm,
    InstanceNorm2d,
    LocalResponseNorm,
    MaxoutChannels,
    PixelShuffle,
    Reshape,
    Upsample,
    ZeroPad2d,
    check_gradients,
)

from ..cases.resampling import upsample

pytestmark = pytest.mark.compiled  # sizes decide which kernel runs: more than the table of cases has


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupNorm(0, 4), "^GroupNorm: num_groups is 0, expected at least 1$"),
        (lambda: GroupNorm(3, 4), "^GroupNorm: num_channels is 4, expected a multiple of num_groups, 3$"),
        (lambda: GroupNorm(2, 4, -1.0), "^GroupNorm: eps is -1.0, expected at least 0$"),
        (lambda: InstanceNorm2d(0), "^InstanceNorm2d: num_features is 0, expected at least 1$"),
        (lambda: LocalResponseNorm(0), "^LocalResponseNorm: size is 0, expected at least 1$"),
        (lambda: LocalResponseNorm(3, -1.0), "^LocalResponseNorm: alpha is -1.0, expected at least 0$"),
        (lambda: LocalResponseNorm(3, beta=-1.0), "^LocalResponseNorm: beta is -1.0, expected at least 0$"),
        (lambda: LocalResponseNorm(3, k=0.0), "^LocalResponseNorm: k is 0.0, expected above 0$"),
        (lambda: Dropout2d(1.5), "^Dropout2d: p is 1.5, expected 0 to 1$"),
        (lambda: ZeroPad2d(-1), "^ZeroPad2d: padding is -1, expected one size or 4 of at least 0$"),
        (lambda: ZeroPad2d((1, 2)), r"^ZeroPad2d: padding is \(1, 2\), expected one size or 4 of at least 0$"),
        (lambda: PixelShuffle(0), "^PixelShuffle: upscale_factor is 0, expected at least 1$"),
        (lambda: Reshape([2, 0]), r"^Reshape: shape is \[2, 0\], expected sizes of at least 1$"),
        (lambda: MaxoutChannels(0), "^MaxoutChannels: pieces is 0, expected at least 1$"),
        (lambda: Upsample(), "^Upsample: expected a size or a scale_factor, and not both$"),
        (lambda: Upsample(2, 2), "^Upsample: expected a size or a scale_factor, and not both$"),
        (lambda: Upsample(0), "^Upsample: size is 0, expected one size, 2 or 3 sizes of at least 1$"),
        (
            lambda: Upsample(scale_factor=0.0),
            "^Upsample: scale_factor is 0.0, expected one factor, 2 or 3 factors above",
        ),
        (lambda: Upsample(2, mode="cubic"), "^Upsample: mode is 'cubic' with align_corners False, expected 'nearest'"),
        (
            lambda: Upsample(2, align_corners=True),
            "^Upsample: mode is 'nearest' with align_corners True, expected 'near",
        ),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (GroupNorm(4, 4), (2, 4), r"x has shape \(2, 4\), expected more than one number in a group$"),
        (InstanceNorm2d(3), (2, 3, 1, 1), r"x has shape \(2, 3, 1, 1\), expected more than one number in a group$"),
        (
            Upsample(scale_factor=0.25),
            (1, 1, 8, 3),
            r"x has shape \(1, 1, 8, 3\), of which it would leave \(2, 0\) places$",
        ),
    ],
)
def test_sizes_that_fit_nothing_are_refused(module, shape, message):
    with pytest.raises(ValueError, match=message):
        module.fprop(np.zeros(shape))


@pytest.mark.parametrize("names", [{}, {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True}], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (9, 4)])
def test_sizes_of_resampled_images(random, size, names):
    for shape in ((2, 1, 1, 1), (2, 2, 4, 5)):
        module, x = Upsample(size, **names).to("float64"), random.standard_normal(shape)
        np.testing.assert_allclose(module.fprop(x), upsample(module, x), rtol=1e-12, atol=1e-12)
        check_gradients(module, x).raise_if_wrong()


def test_an_infinite_pixel_stays_where_it_is():
    x = np.zeros((1, 1, 2, 2))
    x[0, 0, 0, 0] = np.inf
    module = Upsample(4)
    y = module.fprop(x)
    assert np.isinf(y[0, 0, :2, :2]).all()
    assert (y[0, 0, 2:] == 0).all()
    np.testing.assert_array_equal(module.bprop(y), x)


def test_whole_channels_are_left_out():
    module = Dropout2d(0.4)
    y = module.fprop(np.ones((200, 50, 2, 3)))
    first = y[:, :, :1, :1]
    np.testing.assert_array_equal(y, np.broadcast_to(first, y.shape))
    mask = first != 0
    assert abs(mask.mean() - 0.6) < 4 * np.sqrt(0.24 / first.size)
    np.testing.assert_allclose(first[mask], 1 / 0.6, rtol=1e-6)
    np.testing.assert_array_equal(module.bprop(np.ones_like(y)), y)


def test_a_channel_left_out_hides_infinity():
    module = Dropout2d(1.0)
    assert (module.fprop(np.full((2, 3, 2, 2), np.inf)) == 0).all()


def test_constant_images_stay_finite():
    for module in (GroupNorm(1, 2), InstanceNorm2d(2), LocalResponseNorm(2)):
        for value in (0.0, 5.0, -1e10):
            assert np.isfinite(module.fprop(np.full((2, 2, 3, 3), value))).all()
            assert np.isfinite(module.bprop(np.ones((2, 2, 3, 3)))).all()


def test_of_equal_pieces_the_first_gets_the_gradient():
    module = MaxoutChannels()
    np.testing.assert_array_equal(module.fprop(np.ones((1, 4, 1))), np.ones((1, 2, 1)))
    np.testing.assert_array_equal(module.bprop(np.ones((1, 2, 1))), [[[1], [0], [1], [0]]])
    assert np.isnan(module.fprop([[[1.0], [np.nan], [np.nan], [2.0]]])).all()
