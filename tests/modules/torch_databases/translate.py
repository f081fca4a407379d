"""From a module or loss of PyTorch to the one here that computes the same, and from its arguments to ours."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from bprop import modules as ours
from torch import nn

from .entry import Unsupported
from .functionals import Arithmetic, Joined, Settled


@dataclass
class Translation:
    """A module here and functions of PyTorch's tensors that give its inputs, its target, and y as PyTorch lays it out.

    `inputs(arguments)` are the tensors that fprop takes as x (several: a table); `target(arguments)` is a loss's.
    `y(tensor)` turns PyTorch's result into ours.
    """

    module: ours.Module
    inputs: Callable = lambda arguments: arguments
    target: Callable | None = None
    y: Callable = lambda y: y


TRANSLATORS: dict[type, Callable] = {}


def translates(*classes):
    """Register a translator for modules of these classes."""

    def register(function):
        TRANSLATORS.update(dict.fromkeys(classes, function))
        return function

    return register


def translate(module: nn.Module) -> Translation:
    """The module here for one of PyTorch, with its weights; Unsupported names what is missing."""
    translator = TRANSLATORS.get(type(module))
    if translator is None:
        raise Unsupported(f"nn.{type(module).__name__}")
    translation = translator(module)
    if not isinstance(translation, Translation):
        translation = Translation(translation)
    translation.module.to("float64").train(module.training)
    state = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    if not isinstance(translation.module, ours.Loss) and state:
        translation.module.load_state_dict(state)
    return translation


def refuse(condition, what):
    if condition:
        raise Unsupported(what)


SIMPLE = ["ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "Tanhshrink", "Softsign", "LogSigmoid"]
SIMPLE += ["Sigmoid", "Tanh", "Identity"]
SETTINGS = {
    "ELU": ["alpha"],
    "CELU": ["alpha"],
    "GELU": ["approximate"],
    "Hardtanh": ["min_val", "max_val"],
    "Hardshrink": ["lambd"],
    "Softshrink": ["lambd"],
    "Softplus": ["beta", "threshold"],
    "LeakyReLU": ["negative_slope"],
    "Threshold": ["threshold", "value"],
    "Dropout": ["p"],
    "Dropout2d": ["p"],
    "AlphaDropout": ["p"],
    "RReLU": ["lower", "upper"],
    "LocalResponseNorm": ["size", "alpha", "beta", "k"],
    "PixelShuffle": ["upscale_factor"],
    "PReLU": ["num_parameters"],
    "AvgPool1d": ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"],
    "AvgPool2d": ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"],
    "AdaptiveAvgPool2d": ["output_size"],
    "BatchNorm1d": ["num_features", "eps", "momentum", "affine", "track_running_stats"],
    "BatchNorm2d": ["num_features", "eps", "momentum", "affine", "track_running_stats"],
    "AvgPool3d": ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"],
    "AdaptiveAvgPool1d": ["output_size"],
    "AdaptiveMaxPool1d": ["output_size"],
    "AdaptiveMaxPool2d": ["output_size"],
    "BatchNorm3d": ["num_features", "eps", "momentum", "affine", "track_running_stats"],
    "PixelUnshuffle": ["downscale_factor"],
    "Unfold": ["kernel_size", "dilation", "padding", "stride"],
    "Fold": ["output_size", "kernel_size", "dilation", "padding", "stride"],
} | {name: [] for name in SIMPLE}
PADS = [f"{kind}Pad{axes}d" for kind in ("Zero", "Reflection", "Replication", "Circular") for axes in (1, 2)]
SETTINGS |= {name: ["padding"] for name in PADS} | {f"ConstantPad{axes}d": ["padding", "value"] for axes in (1, 2)}


def translate_settings(module):
    refuse(getattr(module, "affine", False) and module.bias is None, "a weight without a bias")
    refuse(getattr(module, "return_indices", False), "indices of the largest")
    refuse("Pad" in type(module).__name__ and min(module.padding) < 0, "negative padding")
    name = type(module).__name__
    settings = {setting: getattr(module, setting) for setting in SETTINGS[name]}
    return getattr(ours, name)(**settings)


for name in SETTINGS:
    TRANSLATORS[getattr(nn, name)] = translate_settings


@translates(nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.RReLU)
def translate_noise(module):
    random = module.training and ((isinstance(module, nn.RReLU) and module.lower != module.upper) or
                                  getattr(module, "p", 0) not in (0, 1))  # fmt: skip
    refuse(random, "random numbers are drawn otherwise")
    return translate_settings(module)


@translates(nn.Softmax, nn.LogSoftmax, nn.Softmin)
def translate_softmax(module):
    cls = getattr(ours, type(module).__name__)
    dim = module.dim
    refuse(dim is None, "softmax without an axis")
    if dim == -1:
        return Translation(cls())
    return Translation(
        cls(), lambda arguments: (arguments[0].movedim(dim, -1),) if arguments[0].ndim else arguments,
        y=lambda y: y.movedim(dim, -1) if y.ndim else y,
    )  # fmt: skip


@translates(nn.GLU)
def translate_glu(module):
    return Translation(
        ours.GLU(), lambda arguments: (arguments[0].movedim(module.dim, -1),), y=lambda y: y.movedim(module.dim, -1)
    )


@translates(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
def translate_max_pool(module):
    refuse(module.return_indices, "indices of the largest")
    cls = getattr(ours, type(module).__name__)
    return cls(module.kernel_size, module.stride, module.padding, module.dilation, ceil_mode=module.ceil_mode)


@translates(nn.Linear)
def translate_linear(module):
    return ours.Linear(module.in_features, module.out_features, module.bias is not None)


@translates(nn.Bilinear)
def translate_bilinear(module):
    made = ours.Bilinear(module.in1_features, module.in2_features, module.out_features, module.bias is not None)
    return Translation(made, lambda arguments: (torch.cat(arguments, -1),))


@translates(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.LazyConv1d, nn.LazyConv2d, nn.LazyConv3d)
def translate_convolution(module):
    volumes = isinstance(module, nn.Conv3d)
    refuse(volumes and module.padding_mode != "zeros", f"padding_mode {module.padding_mode} of volumes")
    cls = ours.Conv1d if isinstance(module, nn.Conv1d) else ours.Conv3d if volumes else ours.Conv2d
    settings = (module.kernel_size, module.stride, module.padding, module.dilation, module.groups)
    names = {} if volumes else {"padding_mode": module.padding_mode}
    return cls(module.in_channels, module.out_channels, *settings, module.bias is not None, **names)


@translates(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.LazyConvTranspose1d, nn.LazyConvTranspose2d)
def translate_transposed_convolution(module):
    settings = (module.kernel_size, module.stride, module.padding, module.output_padding, module.groups)
    channels = module.in_channels, module.out_channels
    cls = ours.ConvTranspose1d if isinstance(module, nn.ConvTranspose1d) else ours.ConvTranspose2d
    return cls(*channels, *settings, module.bias is not None, module.dilation)


@translates(nn.LayerNorm)
def translate_layer_norm(module):
    shape = tuple(module.normalized_shape)
    return ours.LayerNorm(shape, module.eps, module.elementwise_affine, module.bias is not None)


@translates(nn.RMSNorm)
def translate_rms_norm(module):
    return ours.RMSNorm(tuple(module.normalized_shape), module.eps, module.elementwise_affine)


@translates(nn.GroupNorm)
def translate_group_norm(module):
    refuse(module.affine and module.bias is None, "a weight without a bias")
    return ours.GroupNorm(module.num_groups, module.num_channels, module.eps, module.affine)


@translates(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
def translate_instance_norm(module):
    refuse(module.affine and module.bias is None, "a weight without a bias")
    refuse(module.track_running_stats, "running statistics in instance normalization")
    return getattr(ours, type(module).__name__)(module.num_features, module.eps, affine=module.affine)


@translates(nn.Flatten)
def translate_flatten(module):
    refuse((module.start_dim, module.end_dim) != (1, -1), "flattening of some axes")
    return ours.Flatten()


@translates(nn.Unflatten)
def translate_unflatten(module):
    refuse(True, "nn.Unflatten")


@translates(nn.Upsample)
def translate_upsample(module):
    refuse(module.mode in ("trilinear", "area"), f"interpolation {module.mode}")

    def check_images(arguments):
        refuse(arguments[0].ndim not in (3, 4), "interpolation of anything but images and signals")
        return arguments

    size, scale = module.size, module.scale_factor
    return Translation(ours.Upsample(size, scale, module.mode, bool(module.align_corners)), check_images)


@translates(Settled)
def translate_normalize(module):
    settings = dict(zip(("p", "dim", "eps"), module.settings, strict=False)) | module.names
    refuse(settings.get("out") is not None or settings.get("eps", 1e-12) != 1e-12, "normalize with eps")
    dim, p = settings.get("dim", 1), settings.get("p", 2.0)
    refuse(not isinstance(dim, int), "normalize over several axes")
    refuse(p < 1, "norms below 1")
    return Translation(
        ours.Normalize(p),
        lambda arguments: (arguments[0].movedim(dim, -1),) if arguments[0].ndim else arguments,
        y=lambda y: y.movedim(dim, -1) if y.ndim else y,
    )


MERGES = {"add": "CAddTable", "sub": "CSubTable", "mul": "CMulTable", "div": "CDivTable"}
MERGES |= {"maximum": "CMaxTable", "minimum": "CMinTable"}
UNITS = {"abs": "Abs", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "square": "Square"}
UNITS |= {"sigmoid": "Sigmoid", "tanh": "Tanh"}


@translates(Arithmetic)
def translate_arithmetic(module):
    name, settings = module.name, module.settings
    if name in UNITS:
        return getattr(ours, UNITS[name])()
    if name in MERGES:
        refuse(settings or module.names, f"{name} with {settings or module.names}")
        return Translation(getattr(ours, MERGES[name])(), require_tensors(2))
    if name == "pow":
        refuse(len(settings) != 1 or not isinstance(settings[0], int | float), "a power that is a tensor")
        return Translation(ours.Power(settings[0]), require_tensors(1))
    if name == "clamp":
        bounds = dict(zip(("min", "max"), settings, strict=False)) | module.names
        return Translation(ours.Clamp(**bounds), require_tensors(1))
    if name == "flatten":
        refuse(settings not in ((1,), (1, -1)) or module.names, "flattening of some axes")
        return ours.Flatten()
    raise Unsupported(name)


def require_tensors(count):
    def inputs(arguments):
        refuse(len(arguments) != count, "an operation of another number of tensors")
        refuse(any(each.shape != arguments[0].shape for each in arguments), "broadcasting")
        return arguments

    return inputs


@translates(Joined)
def translate_joined(module):
    dim = dict(zip(("dim",), module.settings, strict=False)) | module.names
    dim = dim.get("dim", 0)
    refuse(dim == 0, "joining along the batch")
    if module.name == "cat":
        return ours.JoinTable(dim)
    refuse(dim != 1, "stacking along another axis")
    return Translation(ours.StackTable(), require_same_shape)


def require_same_shape(arguments):
    return arguments


# -- losses ------------------------------------------------------------------------------------------------------------


def reduction_of(module):
    refuse(module.reduction not in ("mean", "sum", "none"), f"reduction {module.reduction}")
    return module.reduction


def loss(module, inputs=lambda arguments: arguments[:1], target=lambda arguments: arguments[1]):
    return Translation(module, inputs, target)


ELEMENTWISE_LOSSES = {
    nn.MSELoss: lambda module: ours.MeanSquaredError(module.reduction),
    nn.L1Loss: lambda module: ours.MeanAbsoluteError(module.reduction),
    nn.SmoothL1Loss: lambda module: ours.SmoothL1(module.beta, module.reduction),
    nn.HuberLoss: lambda module: ours.Huber(module.delta, module.reduction),
    nn.SoftMarginLoss: lambda module: ours.SoftMargin(module.reduction),
    nn.HingeEmbeddingLoss: lambda module: ours.HingeEmbedding(module.margin, module.reduction),
    nn.PoissonNLLLoss: lambda module: ours.PoissonNLL(module.log_input, module.full, module.eps, module.reduction),
    nn.BCELoss: lambda module: ours.BinaryCrossEntropy(module.reduction, column_weight(module.weight)),
}


@translates(*ELEMENTWISE_LOSSES)
def translate_elementwise_loss(module):
    reduction_of(module)
    refuse(isinstance(module, nn.PoissonNLLLoss) and module.full, "Stirling's approximation of log t!")
    refuse(isinstance(module, nn.SmoothL1Loss) and module.beta == 0, "SmoothL1 with beta 0")
    return loss(ELEMENTWISE_LOSSES[type(module)](module), inputs=same_shapes)


def column_weight(weight):
    """PyTorch's weight of elements as a list for the columns; None stays."""
    if weight is None:
        return None
    refuse(weight.ndim > 1, "a weight for each element of a minibatch")
    return weight.reshape(-1).tolist()


def same_shapes(arguments):
    refuse(arguments[0].shape != arguments[1].shape, "broadcasting of y and target")
    return arguments[:1]


@translates(nn.BCEWithLogitsLoss)
def translate_logits(module):
    weight = column_weight(module.weight)
    positive = module.pos_weight
    if positive is not None:
        refuse(positive.ndim > 1, "pos_weight of several axes")
        positive = positive.tolist()
    return loss(ours.BinaryCrossEntropyWithLogits(positive, reduction_of(module), weight), inputs=same_shapes)


@translates(nn.KLDivLoss)
def translate_divergence(module):
    refuse(module.reduction not in ("batchmean", "sum"), f"reduction {module.reduction} of KLDivLoss")
    reduction = "mean" if module.reduction == "batchmean" else "sum"
    return loss(ours.KLDivergence(module.log_target, reduction), inputs=same_shapes)


def class_axis_last(arguments):
    return (arguments[0].movedim(1, -1),) if arguments[0].ndim > 1 else arguments[:1]


def label_target(arguments):
    refuse(arguments[1].dtype.is_floating_point, "targets that are distributions")
    return arguments[1]


@translates(nn.CrossEntropyLoss, nn.NLLLoss)
def translate_classification(module):
    weights = None if module.weight is None else module.weight.tolist()
    settings = {"class_weights": weights, "ignore_index": module.ignore_index, "reduction": reduction_of(module)}
    if isinstance(module, nn.NLLLoss):
        return loss(ours.NegativeLogLikelihood(**settings), class_axis_last, label_target)
    smoothing = module.label_smoothing or None
    return loss(ours.SoftmaxCrossEntropy(label_smoothing=smoothing, **settings), class_axis_last, label_target)


@translates(nn.MultiMarginLoss)
def translate_multi_margin(module):
    weights = None if module.weight is None else module.weight.tolist()
    return loss(ours.MultiMargin(module.p, module.margin, weights, reduction=reduction_of(module)))


def pairs(count):
    """Several tensors (N, ...) as one y (N, count, ...)."""

    def inputs(arguments):
        tensors = torch.broadcast_tensors(*arguments[:count])
        return (torch.stack(tensors, 1 if tensors[0].ndim else 0),)

    return inputs


@translates(nn.CosineEmbeddingLoss)
def translate_cosine_embedding(module):
    return loss(ours.CosineEmbedding(module.margin, reduction_of(module)), pairs(2), lambda arguments: arguments[2])


@translates(nn.MarginRankingLoss)
def translate_ranking(module):
    def inputs(arguments):
        tensors = torch.broadcast_tensors(*arguments)[:2]
        refuse(module.reduction == "none" and tensors[0].ndim != 1, "values of pairs in several axes")
        return (torch.stack([each.reshape(-1) for each in tensors], 1),)

    def target(arguments):
        return torch.broadcast_tensors(*arguments)[2].reshape(-1)

    return loss(ours.MarginRanking(module.margin, reduction_of(module)), inputs, target)


@translates(nn.TripletMarginLoss)
def translate_triplet(module):
    refuse(module.swap, "Triplet with swapped anchors")
    made = ours.Triplet(module.margin, module.p, module.eps, reduction_of(module))
    return loss(made, pairs(3), lambda arguments: torch.ones(len(arguments[0]), dtype=arguments[0].dtype))


@translates(nn.GaussianNLLLoss)
def translate_gaussian(module):
    made = ours.GaussianNLL(None, module.full, reduction_of(module))
    return loss(made, gaussian_outputs)


def gaussian_outputs(arguments):
    """Means and raw precisions r beside each other, of which softplus(r) is 1 / variance."""
    mean, target, variance = arguments
    variance = torch.as_tensor(variance, dtype=mean.dtype)
    if variance.ndim and variance.shape != mean.shape and variance.shape == mean.shape[:-1]:
        variance = variance[..., None]
    mean, variance, _ = torch.broadcast_tensors(mean, variance, target)
    refuse(bool((variance <= 1e-6).any()), "variances at their lower bound")
    precision = 1 / variance
    raw = precision + torch.log(-torch.expm1(-precision))
    return (torch.cat([mean, raw], -1),)
