"""Convolutions over a grid of settings, odd and tiny sizes, threads, fusion and wrong settings."""

import itertools

import numpy as np
import pytest
from bprop.modules import (
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Elementwise,
    MaxPool2d,
    ReLU,
    Sequential,
    Tanh,
    check_gradients,
    manual_seed,
    num_threads,
)
from bprop.modules.engine.threads import count_parallel_jobs

from ..cases.images import conv, conv_transpose
from ..engine.test_fusion import methods

pytestmark = pytest.mark.compiled  # sizes decide which kernel runs: more than the table of cases has

# kernel_size, stride, padding, dilation, groups; then height and width
GRID = [
    *((k, s, p, d, g, (7, 8)) for k, s, p, d, g in itertools.product([1, 3], [1, 2], [0, 1], [1, 2], [1, 2])),
    (1, 5, 3, 1, 1, (1, 1)),
    (1, 3, 0, 1, 1, (5, 7)),
    (2, 4, 3, 1, 2, (1, 1)),
    ((5, 1), (1, 3), (4, 0), (1, 1), 4, (1, 9)),
    (5, 2, 2, 1, 1, (5, 4)),
    ((2, 3), (3, 2), (5, 1), (4, 3), 2, (3, 8)),
    (7, 1, 3, 1, 4, (3, 2)),
    (4, 1, "same", 1, 1, (5, 6)),
    ((2, 3), 1, "same", (2, 3), 2, (4, 5)),
    (3, 2, "valid", 1, 1, (9, 3)),
]


@pytest.mark.parametrize("settings", GRID, ids=str)
def test_grid_of_settings(random, settings):
    module, x = Conv2d(4, 4, *settings[:5]).to("float64"), random.standard_normal((3, 4, *settings[5]))
    y = module.fprop(x)
    np.testing.assert_allclose(y, conv(module, x), rtol=1e-12, atol=1e-12)
    assert module.output_shape(x.shape) == y.shape
    check_gradients(module, x).raise_if_wrong()


# kernel_size, stride, padding, output_padding, groups, bias, dilation; then height and width
TRANSPOSED = [
    *((k, s, p, 0, 2, True, d, (3, 4)) for k, s, p, d in itertools.product([1, 3], [1, 2], [0, 1], [1, 2])),
    (2, 4, 0, 3, 1, True, 1, (1, 1)),
    ((1, 4), (3, 2), (0, 2), (2, 0), 4, True, (1, 3), (2, 5)),
    (1, 1, 2, 4, 1, True, 5, (4, 5)),
    (5, 2, 2, 1, 1, True, 1, (4, 3)),
]


@pytest.mark.parametrize("settings", TRANSPOSED, ids=str)
def test_grid_of_transposed_settings(random, settings):
    module, x = ConvTranspose2d(4, 4, *settings[:7]).to("float64"), random.standard_normal((3, 4, *settings[7]))
    y = module.fprop(x)
    np.testing.assert_allclose(y, conv_transpose(module, x), rtol=1e-12, atol=1e-12)
    assert module.output_shape(x.shape) == y.shape
    check_gradients(module, x).raise_if_wrong()


def test_it_is_the_transpose_of_the_convolution(random):
    conv2d, transposed = Conv2d(3, 5, 4, 3, 2, bias=False), ConvTranspose2d(5, 3, 4, 3, 2, 1, bias=False)
    transposed.weight = conv2d.weight
    x, y = random.standard_normal((2, 3, 10, 13)), random.standard_normal((2, 5, 4, 5))
    assert np.vdot(conv2d.fprop(x), y) == pytest.approx(np.vdot(x, transposed.fprop(y)), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(17, 33, 3, 1, 1), (8, 24, 5, 2, 2, 1, 4), (40, 40, 3, 1, 1, 1, 40)], ids=str)
def test_many_channels(random, settings):
    module, x = Conv2d(*settings).to("float64"), random.standard_normal((3, settings[0], 7, 9))
    np.testing.assert_allclose(module.fprop(x), conv(module, x), rtol=1e-11, atol=1e-11)
    check_gradients(module, x).raise_if_wrong()


# samples, in_channels, out_channels, height, width, padding
SQUARES = [
    (16, 16, 16, 6, 6, 1),
    (21, 16, 20, 7, 5, 1),
    (33, 24, 40, 3, 9, 0),
    (8, 17, 16, 1, 1, 1),
    (40, 32, 16, 4, 5, 2),
]


@pytest.mark.parametrize("sizes", SQUARES, ids=str)
def test_kernels_of_three_by_three_by_winograd_tiles(random, sizes):
    samples, inner, outer, height, width, padding = sizes
    module = Conv2d(inner, outer, 3, padding=padding).to("float64")
    assert module.method == "winograd"
    x = random.standard_normal((samples, inner, height, width))
    y = module.fprop(x)
    np.testing.assert_allclose(y, conv(module, x), rtol=1e-12, atol=1e-12)
    check_gradients(module, x).raise_if_wrong()
    back = ConvTranspose2d(outer, inner, 3, padding=padding).to("float64")
    assert back.method == "winograd"
    np.testing.assert_allclose(back.fprop(y), conv_transpose(back, y), rtol=1e-12, atol=1e-12)
    check_gradients(back, y).raise_if_wrong()


# samples, channels, side of the kernel; then height and width: rows shorter and longer than a vector, or the kernel
CHANNELS = [(3, 2, 3, (5, 6)), (2, 3, 5, (9, 11)), (1, 2, 3, (16, 8)), (2, 1, 5, (1, 3)), (2, 2, 3, (33, 1))]


@pytest.mark.parametrize("sizes", CHANNELS, ids=str)
def test_each_channel_by_itself(random, sizes):
    samples, channels, side, image = sizes
    settings = {"padding": side // 2, "groups": channels}
    for shape in (image, (image[0] + 1, image[1] + 1)):
        x = random.standard_normal((samples, channels, *shape))
        for layer, reference in ((Conv2d, conv), (ConvTranspose2d, conv_transpose)):
            module = layer(channels, channels, side, **settings).to("float64")
            assert module.method == "channels"
            np.testing.assert_allclose(module.fprop(x), reference(module, x), rtol=1e-12, atol=1e-12)
            check_gradients(module, x).raise_if_wrong()


def test_what_lies_beyond_a_row_is_not_touched(random):
    module, x = Conv2d(2, 2, 3, padding=1, groups=2), random.standard_normal((2, 2, 5, 7))
    x[:, :, :, 0] = np.nan
    y = module.fprop(x)
    assert np.isfinite(y[:, :, :, 2:]).all()
    assert np.isnan(y[:, :, :, :2]).all()


# samples, in_channels, out_channels; then height and width: strips of many samples, of one and a part, of a part
POINTS = [(5, 3, 7, (1, 1)), (7, 9, 5, (3, 3)), (3, 5, 40, (9, 11)), (32, 33, 6, (5, 4)), (1, 2, 3, (2, 2))]


@pytest.mark.parametrize("sizes", POINTS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_kernels_of_one_pixel(random, sizes, bias):
    samples, inner, outer, image = sizes
    x = random.standard_normal((samples, inner, *image))
    for layer, reference in ((Conv2d, conv), (ConvTranspose2d, conv_transpose)):
        module = layer(inner, outer, 1, bias=bias).to("float64")
        assert module.method == "points"
        np.testing.assert_allclose(module.fprop(x), reference(module, x), rtol=1e-12, atol=1e-12)
        check_gradients(module, x).raise_if_wrong()


@pytest.mark.jit
def test_the_error_of_winograd_tiles_in_float32(random):
    manual_seed(0)
    module, exact = (Conv2d(64, 32, 3, padding=1) for _ in range(2))
    exact.to("float64").load_state_dict(module.state_dict())
    x = random.standard_normal((32, 64, 14, 14)).astype(np.float32)
    y, expected = module.fprop(x), exact.fprop(x.astype(np.float64))
    grad_y = random.standard_normal(y.shape).astype(np.float32)
    grad_x, expected_grad_x = module.bprop(grad_y), exact.bprop(grad_y.astype(np.float64))
    pairs = [(y, expected, 1e-6), (grad_x, expected_grad_x, 1e-6), (module.grad_weight, exact.grad_weight, 3e-6)]
    for got, right, bound in pairs:
        assert np.abs(got - right).max() < bound * np.abs(right).max()


# a net, and the shape of its minibatch
SHARED = {
    "sums": (
        lambda: [Conv2d(3, 20, 5, 2, 2), BatchNorm2d(20), Tanh(), MaxPool2d(3, 2), Conv2d(20, 24, 3, groups=2), ReLU()],
        (64, 3, 41, 37),
    ),
    "winograd": (lambda: [Conv2d(32, 48, 3), ReLU(), Conv2d(48, 16, 3, padding=1)], (48, 32, 20, 21)),
    "channels": (lambda: [Conv2d(40, 40, 3, padding=1, groups=40), Conv2d(40, 40, 3, groups=40)], (32, 40, 14, 14)),
    "points": (lambda: [Conv2d(24, 64, 1), Tanh(), Conv2d(64, 20, 1, bias=False)], (256, 24, 13, 11)),
}


@pytest.mark.jit
@pytest.mark.parametrize("name", SHARED)
def test_same_bits_with_any_number_of_threads(random, name):
    layers, shape = SHARED[name]
    x, before, results = random.standard_normal(shape).astype(np.float32), count_parallel_jobs(), []
    for threads in (1, 2, 3, 4):
        manual_seed(0)
        net = Sequential(*layers())
        assert name in [getattr(module, "method", "") for module in net]
        with num_threads(threads):
            y = net.fprop(x)
            results.append((y, net.bprop(y), net.flat_gradients.copy()))
        assert (count_parallel_jobs() != before) == (threads > 1)
    for others in results[1:]:
        for got, expected in zip(others, results[0], strict=True):
            np.testing.assert_array_equal(got, expected)


class Small(Elementwise):
    """y = x, which must be small."""

    def function(self, x):
        if x > 20:
            raise ValueError("a number is too large")
        return x

    def derivative(self, x, y):
        return 1


@pytest.mark.jit
@pytest.mark.parametrize("fused", [True, False])
def test_an_error_in_another_thread_is_raised(random, fused):
    net = Sequential(Conv2d(8, 8, 3), *([] if fused else [BatchNorm2d(8)]), Small())
    net[0].weight[:] = 0.1
    x = random.standard_normal((64, 8, 30, 30)).astype(np.float32)
    with num_threads(2):
        net.fprop(x)
        for sample in (0, 63):
            wrong = x.copy()
            wrong[sample, 0, 3, 3] = 1e6
            for _ in range(20):  # whichever thread finds it
                with pytest.raises(ValueError, match=r"^a number is too large$"):
                    net.fprop(wrong)
        np.testing.assert_array_equal(net.fprop(x), net.copy().fprop(x))


@pytest.mark.jit
@pytest.mark.parametrize("bias", [True, False])
def test_fused_with_a_unit_it_computes_the_same(random, bias):
    net = Sequential(Conv2d(2, 3, 3, bias=bias), Tanh(), Conv2d(3, 4, 2, 2, bias=bias), ReLU())
    assert methods(net) == ["fprop_then", "fprop_then", "bprop_after", "bprop_after"]
    apart, x = net.copy(), random.standard_normal((5, 2, 8, 9)).astype(np.float32)
    for _ in range(2):  # the second time gradients add
        y = value = net.fprop(x)
        grad_x = net.bprop(y)
        value, grad = x, y
        for module in apart:
            value = module.fprop(value)
        for module in list(apart)[::-1]:
            grad = module.bprop(grad)
    np.testing.assert_array_equal(y, value)
    np.testing.assert_allclose(grad_x, grad, 1e-5, 1e-7)
    np.testing.assert_allclose(net.flat_gradients, apart.flat_gradients, 1e-5, 1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(0, 2, 3), "^Conv2d: in_channels is 0, expected at least 1$"),
        (lambda: Conv2d(2, 2, 0), "^Conv2d: kernel_size is 0, expected one size or 2 of at least 1$"),
        (lambda: Conv2d(2, 2, (3,)), r"^Conv2d: kernel_size is \(3,\), expected one size or 2 of at least 1$"),
        (lambda: Conv2d(2, 2, 3, stride=0), "^Conv2d: stride is 0, expected one size or 2 of at least 1$"),
        (lambda: Conv2d(2, 2, 3, padding=-1), "^Conv2d: padding is -1, expected one size or 2 of at least 0$"),
        (
            lambda: Conv2d(2, 2, 3, dilation=[1, 0]),
            r"^Conv2d: dilation is \[1, 0\], expected one size or 2 of at least 1$",
        ),
        (lambda: Conv2d(2, 2, 3, 2, "same"), "^Conv2d: padding is 'same' with a stride above 1, expected stride 1$"),
        (lambda: Conv2d(2, 2, 3, padding="full"), "^Conv2d: padding is 'full', expected sizes, 'same' or 'valid'$"),
        (lambda: Conv2d(2, 2, 3, padding="causal"), "^Conv2d: padding is 'causal', expected sizes, 'same' or 'valid'$"),
        (
            lambda: Conv1d(2, 2, 3, padding="full"),
            "^Conv1d: padding is 'full', expected sizes, 'same', 'valid' or 'causal'$",
        ),
        (lambda: Conv1d(2, 2, (3, 3)), r"^Conv1d: kernel_size is \(3, 3\), expected one size of at least 1$"),
        (
            lambda: ConvTranspose2d(2, 2, 3, 2, output_padding=2),
            "^ConvTranspose2d: output_padding is 2, expected less than 2, the stride or the dilation$",
        ),
        (
            lambda: ConvTranspose2d(2, 3, 3, groups=2),
            "^ConvTranspose2d: out_channels is 3, expected a multiple of groups",
        ),
        (lambda: Conv2d(3, 4, 3, groups=2), "^Conv2d: in_channels is 3, expected a multiple of groups, 2$"),
        (lambda: Conv2d(4, 3, 3, groups=2), "^Conv2d: out_channels is 3, expected a multiple of groups, 2$"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_repr_shows_what_differs_from_the_defaults():
    module = Conv2d(4, 6, (3, 5), 1, "same", (1, 2), 2, False)
    assert repr(module) == "Conv2d(4 -> 6, kernel_size=(3, 5), padding=same, dilation=(1, 2), groups=2, bias=False)"


def test_a_padding_that_leaves_nothing_is_refused():
    message = r"^ConvTranspose2d\(1 -> 1, kernel_size=1, padding=1\): x has shape \(1, 1, 2, 3\), of which the padding"
    with pytest.raises(ValueError, match=rf"{message} leaves \(0, 1\) places$"):
        ConvTranspose2d(1, 1, 1, padding=1).fprop(np.zeros((1, 1, 2, 3)))


def test_an_empty_image_is_refused():
    with pytest.raises(ValueError, match=r"x has shape \(2, 3, 0, 4\), expected no axis of size 0$"):
        Conv2d(3, 2, 1, padding=1).fprop(np.zeros((2, 3, 0, 4)))


@pytest.mark.parametrize("make", [lambda: Conv2d(2, 3, 3, 2, 1), lambda: ConvTranspose2d(2, 3, 3, 2, 1)])
def test_nan_stays_where_it_is_seen(random, make):
    module, x = make(), random.standard_normal((3, 2, 5, 5))
    clean = module.fprop(x)
    grad_y = random.standard_normal(clean.shape)
    clean_grad_x = module.bprop(grad_y)
    x[1, 0, 2, 2], grad_y[1, 0, 0, 0] = np.nan, np.nan
    y, grad_x = module.fprop(x), module.bprop(grad_y)
    assert np.isnan(y[1]).any()
    assert np.isnan(grad_x[1]).any()
    assert not np.isnan(y[1]).all()
    assert not np.isnan(grad_x[1]).all()
    np.testing.assert_array_equal(y[::2], clean[::2])
    np.testing.assert_array_equal(grad_x[::2], clean_grad_x[::2])


def test_sizes_and_dtypes_may_change_between_calls(random):
    module = Conv2d(3, 4, 3, 2, 1)
    for shape, dtype in [((5, 3, 4, 6), "float32"), ((5, 3, 6, 4), "float32"), ((7, 3, 6, 4), "float64")]:
        x = random.standard_normal(shape).astype(dtype)
        module.to(dtype)
        np.testing.assert_allclose(module.fprop(x), conv(module, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: Conv2d(3, 4, 3, padding=1, stride=2), (5, 3, 7, 6)),  # by sums
        (lambda: Conv2d(16, 16, 3, padding=1), (20, 16, 6, 6)),  # by Winograd's
        (lambda: Conv2d(4, 4, 3, padding=1, groups=4), (5, 4, 7, 6)),  # by channels
        (lambda: Conv2d(3, 4, 1), (5, 3, 7, 6)),  # by points
        (lambda: Conv1d(3, 4, 3), (5, 3, 9)),
        (lambda: ConvTranspose2d(3, 4, 3, stride=2), (5, 3, 4, 4)),
        (lambda: ConvTranspose2d(3, 4, 1), (5, 3, 4, 4)),
    ],
)
def test_what_nobody_needs_is_not_computed(layer, shape, monkeypatch):
    """grad_x keeps its bits without the parameters' gradients, and no chunk of samples computes them."""
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    module, calls = layer(), []
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    grad_y = np.random.default_rng(1).standard_normal(module.output_shape(shape)).astype(np.float32)
    module.fprop(x)
    expected = module.bprop(grad_y).copy()
    some_gradient = type(module).some_gradient
    monkeypatch.setattr(type(module), "some_gradient", lambda *args: calls.append(1) or some_gradient(*args))
    for needs_grad_x, needs_grad_parameters in ((True, False), (False, False), (True, True)):
        module.needs_grad_x, module.needs_grad_parameters = needs_grad_x, needs_grad_parameters
        module.zero_grad()
        calls.clear()
        module.fprop(np.ones_like(x))  # so that planes hold something else
        module.fprop(x)
        grad_x = module.bprop(grad_y)
        if needs_grad_x:
            np.testing.assert_array_equal(grad_x, expected)
        assert bool(calls) == bool(module.flat_gradients.any()) == needs_grad_parameters
