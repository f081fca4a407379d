"""Layers, containers, losses, initialisers and gradient checks."""

from .avg_pool import AdaptiveAvgPool2d, AvgPool1d, AvgPool2d
from .batch_norm import BatchNorm1d
from .batch_norm2d import BatchNorm2d
from .bernoulli_units import BernoulliUnits
from .bilinear import Bilinear
from .binary_losses import BinaryCrossEntropy, BinaryCrossEntropyWithLogits, Focal
from .combinations import CAddTable, CDivTable, CMaxTable, CMinTable, CMulTable, CSubTable
from .concat import Concat
from .conv import Conv1d, Conv2d
from .conv_transpose import ConvTranspose2d
from .convolution import Convolution
from .directions import Cosine, LinearWeightNorm
from .distances import Euclidean, RadialBasis
from .distributions import Bernoulli, Categorical, Gaussian, Mixture, Poisson
from .dropout import AlphaDropout, Dropout, Dropout2d, GaussianDropout
from .elementwise import Elementwise, Identity, ReLU, Sigmoid, Tanh
from .engine.threads import num_threads
from .exponential_units import CELU, ELU, SELU, LogSigmoid, Softplus
from .flatten import Flatten, Reshape
from .gated_units import GELU, Mish, SiLU
from .gaussian_nll import GaussianNLL, LearntPrecision
from .gaussian_sample import GaussianSample
from .glu import GLU
from .gradient_check import check_gradients
from .gradient_report import GradientError, GradientReport
from .graph import Graph, Share
from .group_norm import GroupNorm, InstanceNorm2d
from .initializers import (
    Constant,
    Initializer,
    Normal,
    PyTorchUniform,
    TruncatedNormal,
    Uniform,
    get_generator,
    manual_seed,
    new_key,
)
from .joining import JoinTable, NarrowTable, SplitTable, StackTable
from .kernels.elementary import erf, sigmoid, softplus
from .label_loss import LabelLoss
from .layer_norm import LayerNorm, RMSNorm
from .learnt_units import LearntElementwise, PReLU
from .linear import Linear
from .local_response_norm import LocalResponseNorm
from .log_likelihoods import KLDivergence, NegativeLogLikelihood, PoissonNLL
from .loss import Loss
from .loss_bases import ElementwiseLoss, SampleLoss
from .margin_losses import Hinge, HingeEmbedding, MultiMargin, SoftMargin, SquaredHinge
from .matrix_initializers import Eye, Orthogonal, Sparse, initialize
from .max_pool import MaxPool1d, MaxPool2d
from .maxout import Maxout, MaxoutChannels
from .mixture_density import MixtureDensity
from .module import Module
from .module_check import ModuleReport, check_module
from .multi_loss import LossPart, MultiLoss
from .noise import GaussianNoise, Noise, RReLU
from .normalize import Normalize
from .pair_losses import CosineEmbedding, MarginRanking, Triplet
from .parameter import Buffer, Counter, Parameter
from .piecewise_units import Clamp, Hardsigmoid, Hardswish, Hardtanh, LeakyReLU, ReLU6, Threshold
from .pooling import Pooling
from .power_units import Abs, Exp, Log, Power, Sqrt, Square
from .regression_losses import Huber, LogCosh, MeanAbsoluteError, MeanSquaredError, SmoothL1
from .reinforce import Reinforce
from .resampling import PixelShuffle, Upsample, ZeroPad2d
from .residual import Residual
from .scaled_initializers import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LeCunNormal,
    LeCunUniform,
    calculate_gain,
)
from .scalings import Add, CMul, Mul
from .sequential import Sequential
from .shrinkage_units import Hardshrink, Softshrink, Softsign, Tanhshrink
from .softmax import LogSoftmax, Softmax, Softmin
from .softmax_cross_entropy import SoftmaxCrossEntropy
from .standardize import Standardize
from .tables import ConcatTable, MapTable, Parallel, ParallelTable
from .variational_bound import VariationalBound

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Abs",
    "AdaptiveAvgPool2d",
    "Add",
    "AlphaDropout",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bernoulli",
    "BernoulliUnits",
    "Bilinear",
    "BinaryCrossEntropy",
    "BinaryCrossEntropyWithLogits",
    "Buffer",
    "CAddTable",
    "CDivTable",
    "CMaxTable",
    "CMinTable",
    "CMul",
    "CMulTable",
    "CSubTable",
    "Categorical",
    "Clamp",
    "Concat",
    "ConcatTable",
    "Constant",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Convolution",
    "Cosine",
    "CosineEmbedding",
    "Counter",
    "Dropout",
    "Dropout2d",
    "Elementwise",
    "ElementwiseLoss",
    "Euclidean",
    "Exp",
    "Eye",
    "Flatten",
    "Focal",
    "Gaussian",
    "GaussianDropout",
    "GaussianNLL",
    "GaussianNoise",
    "GaussianSample",
    "GlorotNormal",
    "GlorotUniform",
    "GradientError",
    "GradientReport",
    "Graph",
    "GroupNorm",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HeNormal",
    "HeUniform",
    "Hinge",
    "HingeEmbedding",
    "Huber",
    "Identity",
    "Initializer",
    "InstanceNorm2d",
    "JoinTable",
    "KLDivergence",
    "LabelLoss",
    "LayerNorm",
    "LeCunNormal",
    "LeCunUniform",
    "LeakyReLU",
    "LearntElementwise",
    "LearntPrecision",
    "Linear",
    "LinearWeightNorm",
    "LocalResponseNorm",
    "Log",
    "LogCosh",
    "LogSigmoid",
    "LogSoftmax",
    "Loss",
    "LossPart",
    "MapTable",
    "MarginRanking",
    "MaxPool1d",
    "MaxPool2d",
    "Maxout",
    "MaxoutChannels",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Mish",
    "Mixture",
    "MixtureDensity",
    "Module",
    "ModuleReport",
    "Mul",
    "MultiLoss",
    "MultiMargin",
    "NarrowTable",
    "NegativeLogLikelihood",
    "Noise",
    "Normal",
    "Normalize",
    "Orthogonal",
    "PReLU",
    "Parallel",
    "ParallelTable",
    "Parameter",
    "PixelShuffle",
    "Poisson",
    "PoissonNLL",
    "Pooling",
    "Power",
    "PyTorchUniform",
    "RMSNorm",
    "RReLU",
    "RadialBasis",
    "ReLU",
    "ReLU6",
    "Reinforce",
    "Reshape",
    "Residual",
    "SampleLoss",
    "Sequential",
    "Share",
    "SiLU",
    "Sigmoid",
    "SmoothL1",
    "SoftMargin",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Sparse",
    "SplitTable",
    "Sqrt",
    "Square",
    "SquaredHinge",
    "StackTable",
    "Standardize",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "Triplet",
    "TruncatedNormal",
    "Uniform",
    "Upsample",
    "VariationalBound",
    "ZeroPad2d",
    "calculate_gain",
    "check_gradients",
    "check_module",
    "erf",
    "get_generator",
    "initialize",
    "manual_seed",
    "new_key",
    "num_threads",
    "sigmoid",
    "softplus",
]
