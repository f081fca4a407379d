"""From a call of torch.nn.functional or of a tensor's method to the torch.nn module that computes the same."""

import torch
from torch import nn

from .entry import Unsupported


def build_activation(cls):
    """A module without parameters, whose constructor takes what the function takes after the input."""

    def build(x, *args, inplace=False, **names):
        return cls(*args, **names), (x,)

    return build


def build_loss(cls, count=2, lacking=("size_average", "reduce")):
    """A loss of `count` tensors, whose constructor takes what the function takes after them."""

    def build(*args, **names):
        if any(names.pop(name, None) is not None for name in lacking):
            raise Unsupported("size_average and reduce")
        return cls(*args[count:], **names), args[:count]

    return build


class Arithmetic(nn.Module):
    """An elementwise function of one or several tensors, by its name in torch."""

    def __init__(self, name, *settings, **names):
        super().__init__()
        self.name, self.settings, self.names = name, settings, names

    def forward(self, *tensors):
        return getattr(torch, self.name)(*tensors, *self.settings, **self.names)


class Joined(Arithmetic):
    """`torch.cat` or `torch.stack` of several tensors."""

    def forward(self, *tensors):
        return getattr(torch, self.name)(tensors, *self.settings, **self.names)


class Settled(nn.Module):
    """A function of nn.functional with settings, where no module does the same."""

    def __init__(self, name, *settings, **names):
        super().__init__()
        self.name, self.settings, self.names = name, settings, names

    def forward(self, x):
        return getattr(nn.functional, self.name)(x, *self.settings, **self.names)


def build_pointwise(name):
    """An elementwise function; further arguments that are tensors are inputs, numbers are settings."""

    def build(*args, **names):
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        if any(isinstance(value, torch.Tensor) for value in names.values()) or args[: len(tensors)] != tuple(tensors):
            raise Unsupported("a tensor among the settings")
        return Arithmetic(name, *args[len(tensors) :], **names), tuple(tensors)

    return build


def build_joined(name):
    def build(tensors, *args, **names):
        return Joined(name, *args, **names), tuple(tensors)

    return build


def build_settled(name):
    def build(x, *args, **names):
        return Settled(name, *args, **names), (x,)

    return build


def with_weights(module, **values):
    """A module whose parameters and buffers are these tensors."""
    own = dict(module.named_parameters()) | dict(module.named_buffers())
    for name, value in values.items():
        if value is not None:
            if own[name].shape != value.shape:
                raise Unsupported(f"{name} of another shape")
            own[name].data = value.detach().clone()
    return module


def build_convolution(cls, transposed=False):
    def build(x, weight, bias=None, stride=1, padding=0, *rest, **names):
        order = ("output_padding", "groups", "dilation") if transposed else ("dilation", "groups")
        names = dict(zip(order, rest, strict=False)) | names
        groups = names.get("groups", 1)
        channels = [weight.shape[0], weight.shape[1] * groups]
        in_channels, out_channels = channels if transposed else channels[::-1]
        names |= {"stride": stride, "padding": padding, "bias": bias is not None}
        module = cls(in_channels, out_channels, tuple(weight.shape[2:]), dtype=weight.dtype, **names)
        return with_weights(module, weight=weight, bias=bias), (x,)

    return build


def build_linear(x, weight, bias=None):
    if weight.ndim != 2:
        raise Unsupported("a weight that is a vector")
    module = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, dtype=weight.dtype)
    return with_weights(module, weight=weight, bias=bias), (x,)


def build_bilinear(x1, x2, weight, bias=None):
    module = nn.Bilinear(*weight.shape[1:], weight.shape[0], bias is not None, dtype=weight.dtype)
    return with_weights(module, weight=weight, bias=bias), (x1, x2)


def build_layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if weight is None and bias is not None:
        raise Unsupported("a bias without a weight")
    module = nn.LayerNorm(normalized_shape, eps, weight is not None, bias is not None, dtype=x.dtype)
    return with_weights(module, weight=weight, bias=bias), (x,)


def build_rms_norm(x, normalized_shape, weight=None, eps=None):
    return with_weights(nn.RMSNorm(normalized_shape, eps, weight is not None, dtype=x.dtype), weight=weight), (x,)


def build_group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    if (weight is None) != (bias is None):
        raise Unsupported("a weight without a bias")
    module = nn.GroupNorm(num_groups, x.shape[1], eps, weight is not None, dtype=x.dtype)
    return with_weights(module, weight=weight, bias=bias), (x,)


def build_batch_norm(
    x, running_mean=None, running_var=None, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    if (weight is None) != (bias is None):
        raise Unsupported("a weight without a bias")
    cls = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}.get(x.ndim)
    if cls is None:
        raise Unsupported(f"batch normalization of {x.ndim} axes")
    module = cls(x.shape[1], eps, momentum, weight is not None, running_mean is not None, dtype=x.dtype)
    with_weights(module, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    return module.train(training), (x,)


def build_instance_norm(
    x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    if running_mean is not None or not use_input_stats:
        raise Unsupported("running statistics in instance normalization")
    if (weight is None) != (bias is None):
        raise Unsupported("a weight without a bias")
    cls = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}[x.ndim]
    return with_weights(cls(x.shape[1], eps, momentum, weight is not None, dtype=x.dtype), weight=weight, bias=bias), (
        x,
    )


def build_prelu(x, weight):
    return with_weights(nn.PReLU(weight.numel(), dtype=x.dtype), weight=weight.reshape(-1)), (x,)


def build_dropout(cls):
    def build(x, p=0.5, training=True, inplace=False):
        return cls(p).train(training), (x,)

    return build


def build_rrelu(x, lower=1 / 8, upper=1 / 3, training=False, inplace=False):
    return nn.RReLU(lower, upper).train(training), (x,)


def build_pooling(cls):
    def build(x, *args, return_indices=False, **names):
        return cls(*args, **names), (x,)

    return build


def build_softmax(cls):
    def build(x, dim=None, *args, dtype=None, _stacklevel=3, **names):
        if args or (dtype is not None and dtype != x.dtype):
            raise Unsupported("a result of another dtype")
        return cls(dim), (x,)

    return build


def build_gaussian_nll(y, target, var, **names):
    return nn.GaussianNLLLoss(**names), (y, target, var)


PADS = {"reflect": "ReflectionPad", "replicate": "ReplicationPad", "circular": "CircularPad", "constant": "ConstantPad"}


def build_pad(x, pad, mode="constant", value=None):
    if (len(pad), x.ndim) not in ((2, 3), (4, 4)):
        raise Unsupported("padding of anything but images and signals")
    settings = (tuple(pad), value or 0.0) if mode == "constant" else (tuple(pad),)
    return getattr(nn, f"{PADS[mode]}{len(pad) // 2}d")(*settings), (x,)


def build_interpolate(mode):
    def build(x, size=None, scale_factor=None, align_corners=None, **names):
        names.pop("mode", None)
        if any(value is not None and value is not False for value in names.values()):
            raise Unsupported(f"interpolation with {' and '.join(names)}")
        return nn.Upsample(size, scale_factor, mode, align_corners), (x,)

    return build


ACTIVATIONS = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "elu": nn.ELU,
    "celu": nn.CELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "glu": nn.GLU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardtanh": nn.Hardtanh,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "hardshrink": nn.Hardshrink,
    "softshrink": nn.Softshrink,
    "tanhshrink": nn.Tanhshrink,
    "softsign": nn.Softsign,
    "softplus": nn.Softplus,
    "logsigmoid": nn.LogSigmoid,
    "leaky_relu": nn.LeakyReLU,
    "threshold": nn.Threshold,
    "pixel_shuffle": nn.PixelShuffle,
    "pixel_unshuffle": nn.PixelUnshuffle,
    "unfold": nn.Unfold,
    "fold": nn.Fold,
}
POOLING = {
    "avg_pool1d": nn.AvgPool1d,
    "avg_pool2d": nn.AvgPool2d,
    "avg_pool3d": nn.AvgPool3d,
    "max_pool1d": nn.MaxPool1d,
    "max_pool2d": nn.MaxPool2d,
    "max_pool3d": nn.MaxPool3d,
    "adaptive_avg_pool1d": nn.AdaptiveAvgPool1d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "adaptive_max_pool1d": nn.AdaptiveMaxPool1d,
    "adaptive_max_pool2d": nn.AdaptiveMaxPool2d,
    "local_response_norm": nn.LocalResponseNorm,
}
LOSSES = {
    "cross_entropy": nn.CrossEntropyLoss,
    "nll_loss": nn.NLLLoss,
    "mse_loss": nn.MSELoss,
    "l1_loss": nn.L1Loss,
    "smooth_l1_loss": nn.SmoothL1Loss,
    "huber_loss": nn.HuberLoss,
    "kl_div": nn.KLDivLoss,
    "poisson_nll_loss": nn.PoissonNLLLoss,
    "binary_cross_entropy": nn.BCELoss,
    "binary_cross_entropy_with_logits": nn.BCEWithLogitsLoss,
    "soft_margin_loss": nn.SoftMarginLoss,
    "hinge_embedding_loss": nn.HingeEmbeddingLoss,
    "multi_margin_loss": nn.MultiMarginLoss,
}
FUNCTIONALS = {
    **{name: build_activation(cls) for name, cls in ACTIVATIONS.items()},
    **{name: build_pooling(cls) for name, cls in POOLING.items()},
    **{name: build_loss(cls) for name, cls in LOSSES.items()},
    "margin_ranking_loss": build_loss(nn.MarginRankingLoss, 3),
    "cosine_embedding_loss": build_loss(nn.CosineEmbeddingLoss, 3),
    "triplet_margin_loss": build_loss(nn.TripletMarginLoss, 3),
    "gaussian_nll_loss": build_gaussian_nll,
    "softmin": build_softmax(nn.Softmin),
    "linear": build_linear,
    "bilinear": build_bilinear,
    "conv1d": build_convolution(nn.Conv1d),
    "conv2d": build_convolution(nn.Conv2d),
    "conv3d": build_convolution(nn.Conv3d),
    "conv_transpose1d": build_convolution(nn.ConvTranspose1d, transposed=True),
    "conv_transpose2d": build_convolution(nn.ConvTranspose2d, transposed=True),
    "layer_norm": build_layer_norm,
    "rms_norm": build_rms_norm,
    "group_norm": build_group_norm,
    "batch_norm": build_batch_norm,
    "instance_norm": build_instance_norm,
    "prelu": build_prelu,
    "rrelu": build_rrelu,
    "dropout": build_dropout(nn.Dropout),
    "dropout2d": build_dropout(nn.Dropout2d),
    "alpha_dropout": build_dropout(nn.AlphaDropout),
    "normalize": build_settled("normalize"),
    "pad": build_pad,
    "interpolate.nearest": build_interpolate("nearest"),
    "interpolate.nearest-exact": build_interpolate("nearest-exact"),
    "interpolate.linear": build_interpolate("linear"),
    "interpolate.bicubic": build_interpolate("bicubic"),
    "interpolate.bilinear": build_interpolate("bilinear"),
    "upsample_nearest": build_interpolate("nearest"),
    "upsample_bilinear": build_interpolate("bilinear"),
}
POINTWISE = ("abs", "exp", "log", "sqrt", "square", "sigmoid", "tanh", "pow", "clamp", "add", "sub", "mul", "div")
POINTWISE += ("maximum", "minimum", "special.log_softmax", "special.softmax", "flatten", "reshape")
OPERATIONS = {
    **{name: build_pointwise(name) for name in POINTWISE},
    "softmax": build_softmax(nn.Softmax),
    "log_softmax": build_softmax(nn.LogSoftmax),
    "cat": build_joined("cat"),
    "stack": build_joined("stack"),
}
