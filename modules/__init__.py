"""Layers, containers, losses, initialisers and gradient checks."""

from .batch_norm import BatchNorm1d
from .bilinear import Bilinear
from .binary_losses import BinaryCrossEntropy, BinaryCrossEntropyWithLogits, Focal
from .directions import Cosine, LinearWeightNorm
from .distances import Euclidean, RadialBasis
from .distributions import Bernoulli, Categorical, Gaussian, Mixture, Poisson
from .dropout import AlphaDropout, Dropout, GaussianDropout
from .elementwise import Elementwise, Identity, ReLU, Sigmoid, Tanh
from .flatten import Flatten
from .gaussian_nll import GaussianNLL, LearntPrecision
from .glu import GLU
from .gradient_check import check_gradients
from .gradient_report import GradientError, GradientReport
from .initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    PyTorchUniform,
    manual_seed,
    new_key,
)
from .kernels.elementary import erf, sigmoid, softplus
from .label_loss import LabelLoss
from .layer_norm import LayerNorm, RMSNorm
from .linear import Linear
from .log_likelihoods import KLDivergence, NegativeLogLikelihood, PoissonNLL
from .loss import Loss
from .loss_bases import ElementwiseLoss, SampleLoss
from .margin_losses import Hinge, HingeEmbedding, MultiMargin, SoftMargin, SquaredHinge
from .maxout import Maxout
from .mixture_density import MixtureDensity
from .module import Module
from .multi_loss import LossPart, MultiLoss
from .noise import GaussianNoise, Noise, RReLU
from .normalize import Normalize
from .pair_losses import CosineEmbedding, MarginRanking, Triplet
from .parameter import Buffer, Counter, Parameter
from .regression_losses import Huber, LogCosh, MeanAbsoluteError, MeanSquaredError, SmoothL1
from .scalings import Add, CMul, Mul
from .sequential import Sequential
from .softmax import LogSoftmax, Softmax, Softmin
from .softmax_cross_entropy import SoftmaxCrossEntropy

__all__ = [
    "GLU",
    "Add",
    "AlphaDropout",
    "BatchNorm1d",
    "Bernoulli",
    "Bilinear",
    "BinaryCrossEntropy",
    "BinaryCrossEntropyWithLogits",
    "Buffer",
    "CMul",
    "Categorical",
    "Constant",
    "Cosine",
    "CosineEmbedding",
    "Counter",
    "Dropout",
    "Elementwise",
    "ElementwiseLoss",
    "Euclidean",
    "Flatten",
    "Focal",
    "Gaussian",
    "GaussianDropout",
    "GaussianNLL",
    "GaussianNoise",
    "GlorotNormal",
    "GlorotUniform",
    "GradientError",
    "GradientReport",
    "HeNormal",
    "HeUniform",
    "Hinge",
    "HingeEmbedding",
    "Huber",
    "Identity",
    "Initializer",
    "KLDivergence",
    "LabelLoss",
    "LayerNorm",
    "LearntPrecision",
    "Linear",
    "LinearWeightNorm",
    "LogCosh",
    "LogSoftmax",
    "Loss",
    "LossPart",
    "MarginRanking",
    "Maxout",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Mixture",
    "MixtureDensity",
    "Module",
    "Mul",
    "MultiLoss",
    "MultiMargin",
    "NegativeLogLikelihood",
    "Noise",
    "Normalize",
    "Parameter",
    "Poisson",
    "PoissonNLL",
    "PyTorchUniform",
    "RMSNorm",
    "RReLU",
    "RadialBasis",
    "ReLU",
    "SampleLoss",
    "Sequential",
    "Sigmoid",
    "SmoothL1",
    "SoftMargin",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Softmin",
    "SquaredHinge",
    "Tanh",
    "Triplet",
    "check_gradients",
    "erf",
    "manual_seed",
    "new_key",
    "sigmoid",
    "softplus",
]
