"""Layers of signals, volumes and patches where the table does not reach: settings, sizes, threads, whole nets."""

import numpy as np
import pytest
from bprop.modules import (
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool3d,
    BatchNorm3d,
    CircularPad1d,
    ConstantPad2d,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    Flatten,
    Fold,
    GlobalAvgPool,
    GlobalMaxPool,
    InstanceNorm3d,
    Linear,
    MaxPool3d,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    ReflectionPad2d,
    ReflectionPad3d,
    ReplicationPad3d,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    Transpose,
    Unfold,
    Upsample,
    ZeroPad1d,
    check_gradients,
    num_threads,
)
from bprop.trainers import SGD, compile_step
from bprop.trainers.configs.config import parse_config

from ..cases.images import conv_volumes
from ..cases.pooling import adaptive_max, max_pool_volumes

pytestmark = pytest.mark.compiled  # sizes decide which kernel runs: more than the table of cases has


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Permute((1, 0, 2)), r"^Permute: dims is \(1, 0, 2\), expected all axes once, 0 \(the batch\) first"),
        (lambda: Permute((0, 2, 2)), r"^Permute: dims is \(0, 2, 2\), expected all axes once"),
        (lambda: Permute(()), r"^Permute: dims is \(\), expected all axes once"),
        (lambda: Transpose(0, 1), "^Transpose: dim0 is 0, the axis of the batch, expected another$"),
        (lambda: Transpose(2, 0), "^Transpose: dim1 is 0, the axis of the batch, expected another$"),
        (lambda: ZeroPad1d(-1), "^ZeroPad1d: padding is -1, expected one size or 2 of at least 0$"),
        (
            lambda: CircularPad1d((1, 2, 3)),
            r"^CircularPad1d: padding is \(1, 2, 3\), expected one size or 2 of at least",
        ),
        (
            lambda: ReflectionPad2d((1, 2)),
            r"^ReflectionPad2d: padding is \(1, 2\), expected one size or 4 of at least 0$",
        ),
        (lambda: ConstantPad2d(1, np.inf), "^ConstantPad2d: value is inf, expected a finite number$"),
        (lambda: PixelUnshuffle(0), "^PixelUnshuffle: downscale_factor is 0, expected at least 1$"),
        (lambda: Unfold(0), "^Unfold: kernel_size is 0, expected one size or 2 of at least 1$"),
        (lambda: Unfold(2, padding=-1), "^Unfold: padding is -1, expected one size or 2 of at least 0$"),
        (lambda: Fold((2, 3), 4), r"^Fold: output_size is \(2, 3\), expected an image of at least one patch$"),
        (lambda: Conv3d(2, 3, (3, 3)), r"^Conv3d: kernel_size is \(3, 3\), expected one size or 3 of at least 1$"),
        (lambda: Conv3d(2, 3, 3, groups=2), "^Conv3d: out_channels is 3, expected a multiple of groups, 2$"),
        (lambda: Conv3d(2, 3, 3, padding="full"), "^Conv3d: padding is 'full', expected sizes, 'same' or 'valid'$"),
        (lambda: Conv3d(2, 3, 3, 2, "same"), "^Conv3d: padding is 'same' with a stride above 1, expected stride 1$"),
        (
            lambda: ConvTranspose1d(2, 3, 3, 2, output_padding=2),
            "^ConvTranspose1d: output_padding is 2, expected less than 2, the stride or the dilation$",
        ),
        (
            lambda: Conv2d(2, 3, 3, padding=1, padding_mode="mirror"),
            "^Conv2d: padding_mode is 'mirror', expected 'zeros', 'reflect', 'replicate' or 'circular'$",
        ),
        (lambda: MaxPool3d(0), "^MaxPool3d: kernel_size is 0, expected one size or 3 of at least 1$"),
        (lambda: MaxPool3d(3, padding=2), "^MaxPool3d: padding is 2, expected at most 1, half of the window$"),
        (lambda: AvgPool3d(3, divisor_override=0), "^AvgPool3d: divisor_override is 0, expected at least 1$"),
        (lambda: AdaptiveMaxPool1d(0), r"^AdaptiveMaxPool1d: output_size is 0, expected one size of at least 1$"),
        (
            lambda: AdaptiveMaxPool2d((0, None)),
            r"^AdaptiveMaxPool2d: output_size is \(0, 1\), expected one size or 2 of",
        ),
        (
            lambda: Upsample(2, mode="cubic"),
            "^Upsample: mode is 'cubic' with align_corners False, expected 'nearest', 'n",
        ),
        (
            lambda: Upsample(2, mode="nearest-exact", align_corners=True),
            "^Upsample: mode is 'nearest-exact' with align_corners True, expected",
        ),
        (lambda: Upsample((1, 2, 3, 4)), r"^Upsample: size is \(1, 2, 3, 4\), expected one size, 2 or 3 sizes of at"),
        (
            lambda: Upsample((1, 2), mode="trilinear"),
            r"^Upsample: size is \(1, 2\), expected one size or 3 of at least 1$",
        ),
        (
            lambda: Upsample(scale_factor=(2, 2), mode="linear"),
            r"scale_factor is \(2, 2\), expected one factor above 0$",
        ),
        (
            lambda: Upsample(2, mode="area", align_corners=True),
            "^Upsample: mode is 'area' with align_corners True, exp",
        ),
        (lambda: ReplicationPad3d((1, 2)), r"^ReplicationPad3d: padding is \(1, 2\), expected one size or 6 of at lea"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (Permute((0, 2, 1)), (2, 3), r"^Permute\(\(0, 2, 1\)\): x has shape \(2, 3\), expected 3 axes$"),
        (Transpose(1, 3), (2, 3, 4), r"^Transpose\(1, 3\): x has shape \(2, 3, 4\), which has no axis 3$"),
        (Transpose(1, -3), (2, 3, 4), r"^Transpose\(1, -3\): x has shape \(2, 3, 4\), which has no axis -3$"),
        (
            ReflectionPad2d((0, 0, 0, 3)),
            (1, 1, 3, 4),
            r"x has shape \(1, 1, 3, 4\), expected at least 4 places beside a padding of 3$",
        ),
        (CircularPad1d(3), (1, 1, 2), r"x has shape \(1, 1, 2\), expected at least 3 places beside a padding of 3$"),
        (Upsample((2, 3)), (1, 1, 4), r"x has shape \(1, 1, 4\), a signal, expected an image for 2 sizes$"),
        (Upsample((2, 3, 4)), (1, 1, 4, 4), r"x has shape \(1, 1, 4, 4\), an image, expected a volume for 3 sizes$"),
        (
            ReflectionPad3d((0, 0, 0, 0, 2, 0)),
            (1, 1, 2, 3, 4),
            r"x has shape \(1, 1, 2, 3, 4\), expected at least 3 places beside a padding of 2$",
        ),
        (Upsample(scale_factor=0.1), (1, 1, 4), r"x has shape \(1, 1, 4\), of which it would leave 0 places$"),
        (Upsample(4, mode="linear"), (1, 1, 4, 4), r"x has shape \(1, 1, 4, 4\), expected \(N, C, L\)$"),
        (
            ConvTranspose1d(1, 1, 1, padding=2),
            (1, 1, 4),
            r"x has shape \(1, 1, 4\), of which the padding leaves 0 places$",
        ),
        (
            InstanceNorm3d(2),
            (1, 2, 1, 1, 1),
            r"x has shape \(1, 2, 1, 1, 1\), expected more than one number in a group$",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(module, shape, message):
    with pytest.raises(ValueError, match=message):
        module.fprop(np.zeros(shape))


@pytest.mark.parametrize("settings", [(3,), (2, 2, 1), ((1, 2, 3), (2, 1, 1), (0, 1, 1), (1, 2, 1)), (1, 1, 0, 1, 4)])
def test_volumes_of_several_sizes(random, settings):
    module = Conv3d(4, 8, *settings).to("float64")
    for shape in ((1, 4, 4, 3, 5), (3, 4, 3, 5, 4)):
        x = random.standard_normal(shape)
        np.testing.assert_allclose(module.fprop(x), conv_volumes(module, x), rtol=1e-12, atol=1e-12)
        check_gradients(module, x).raise_if_wrong()


def test_pools_with_ties_nan_and_infinity():
    x = np.array([[[1.0, np.nan, 3.0, 3.0, -np.inf, -np.inf]]])
    for module, expected, place in (
        (AdaptiveMaxPool1d(3), [[[np.nan, 3, -np.inf]]], [[[0, 1, 2, 0, 3, 0]]]),
        (GlobalMaxPool(), [[np.nan]], [[[0, 1, 0, 0, 0, 0]]]),
    ):
        y = module.fprop(x)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(module.bprop(np.arange(1.0, 1 + y.size).reshape(y.shape)), place)
    assert np.isnan(GlobalAvgPool().fprop(x)).all()


def test_max_pool_of_volumes_finds_the_place(random):
    module, x = (
        MaxPool3d((2, 3, 2), 2, (1, 1, 0)).to("float64"),
        random.permutation(2 * 3 * 60).reshape((2, 3, 3, 5, 4)) / 7,
    )
    np.testing.assert_array_equal(module.fprop(x), max_pool_volumes(module, x))
    np.testing.assert_array_equal(module.largest.shape, (6, 2, 3, 2))
    check_gradients(module, x).raise_if_wrong()


@pytest.mark.parametrize("size", [1, 2, 5, (3, None), (7, 1)])
def test_largest_of_windows_that_cover_the_image(random, size):
    module, x = AdaptiveMaxPool2d(size).to("float64"), random.permutation(120).reshape((2, 3, 5, 4)) / 7
    np.testing.assert_array_equal(module.fprop(x), adaptive_max(module, x))
    check_gradients(module, x).raise_if_wrong()


def test_fold_undoes_unfold_but_for_the_overlaps(random):
    x = random.standard_normal((2, 3, 5, 6))
    unfold, fold = Unfold(3, padding=1).to("float64"), Fold((5, 6), 3, padding=1).to("float64")
    counts = fold.fprop(unfold.fprop(np.ones_like(x)))
    np.testing.assert_allclose(fold.fprop(unfold.fprop(x)), counts * x, rtol=1e-12)
    assert counts.max() == 9
    weight = Conv2d(3, 4, 3, padding=1, bias=False).to("float64")
    product = np.einsum("ok,nkp->nop", weight.weight.reshape((4, 27)), unfold.fprop(x))
    np.testing.assert_allclose(weight.fprop(x), product.reshape((2, 4, 5, 6)), rtol=1e-10)


def test_pixels_shuffled_and_back(random):
    x = random.standard_normal((2, 3, 6, 9)).astype(np.float32)
    np.testing.assert_array_equal(PixelShuffle(3).fprop(PixelUnshuffle(3).fprop(x)), x)


@pytest.mark.jit
def test_threads_change_no_bit(random):
    volumes, images = random.standard_normal((4, 8, 6, 12, 12)), random.standard_normal((16, 8, 40, 40))
    cases = [(lambda: Conv3d(8, 16, 3, padding=1), volumes), (lambda: MaxPool3d(2), volumes)]
    cases += [
        (lambda: Conv2d(8, 8, 3, padding=1, padding_mode="circular"), images),
        (lambda: ReflectionPad2d(3), images),
    ]
    for make, x in cases:
        module, results = make(), []
        for threads in (1, 2):
            with num_threads(threads):
                y = module.fprop(x.astype(np.float32))
                results.append((y.copy(), module.bprop(np.ones_like(y)).copy()))
        for one, two in zip(*results, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_net_of_volumes_learns_like_pytorchs(random):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    net = Sequential(
        Conv3d(2, 4, (1, 3, 3), padding=(0, 1, 1)), BatchNorm3d(4), Tanh(), MaxPool3d(2), Flatten(), Linear(16, 3)
    ).to("float64")
    other = nn.Sequential(
        nn.Conv3d(2, 4, (1, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(4), nn.Tanh(),
        nn.MaxPool3d(2), nn.Flatten(), nn.Linear(16, 3),
    ).double()  # fmt: skip
    train_beside(torch, net, other, random.standard_normal((4, 6, 2, 2, 4, 5)))


def test_a_net_of_signals_learns_like_pytorchs(random):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    net = Sequential(
        Conv1d(2, 4, 3, 2, 2, padding_mode="reflect"), Tanh(), ConvTranspose1d(4, 3, 3, 2, 1, 1),
        Upsample(10, mode="linear"), Flatten(), Linear(30, 3),
    ).to("float64")  # fmt: skip
    other = nn.Sequential(
        nn.Conv1d(2, 4, 3, 2, 2, padding_mode="reflect"), nn.Tanh(), nn.ConvTranspose1d(4, 3, 3, 2, 1, 1),
        nn.Upsample(10, mode="linear"), nn.Flatten(), nn.Linear(30, 3),
    ).double()  # fmt: skip
    train_beside(torch, net, other, random.standard_normal((4, 6, 2, 7)))


def train_beside(torch, net, other, minibatches):
    """Some steps of SGD in float64, here in one compiled step; then all parameters and buffers."""
    net.load_state_dict({name: value.numpy() for name, value in other.state_dict().items()})
    step, sgd = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.2)), torch.optim.SGD(other.parameters(), lr=0.2)
    labels = np.array([0, 1, 2, 2, 1, 0])
    for x in minibatches:
        sgd.zero_grad()
        loss = torch.nn.functional.cross_entropy(other(torch.tensor(x)), torch.tensor(labels))
        loss.backward()
        sgd.step()
        assert step(x, labels) == pytest.approx(loss.item(), rel=1e-10)
    for name, value in other.state_dict().items():
        np.testing.assert_allclose(net.state_dict()[name], value.numpy(), rtol=1e-10, atol=1e-12, err_msg=name)


def test_a_config_of_signals():
    text = """\
dataset: Digits
model:
  - Reshape: {shape: [8, 8]}
  - Transpose: {dim0: 1, dim1: 2}
  - Permute: {dims: [0, 2, 1]}
  - Conv1d: {in_channels: 8, out_channels: 8, kernel_size: 3, padding: 1, padding_mode: circular}
  - ReplicationPad1d: {padding: [1, 0]}
  - AdaptiveAvgPool1d: {output_size: 4}
  - Upsample: {size: 6, mode: linear, align_corners: true}
  - InstanceNorm1d: {num_features: 8}
  - GlobalMaxPool
  - Linear: {in_features: 8, out_features: 10}
loss: SoftmaxCrossEntropy
optimizer:
  Muon: {lr: 0.02, adamw: ["9.*"], adamw_factor: 0.1}
"""
    experiment = parse_config(text, source="c.yaml").build()
    x, y = experiment.dataset.train[:16]
    step = compile_step(experiment.model, experiment.loss, experiment.optimizer)
    losses = [step(x, y) for _ in range(30)]
    assert losses[-1] < losses[0]
