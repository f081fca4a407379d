"""Losses, with the gradient of each by hand, and the distributions of the target that they define.

Metrics that are only reported belong in `trainers/metrics`; penalties on weights in `trainers/optimizers`.
"""

from .binary import BinaryCrossEntropy, BinaryCrossEntropyWithLogits, Focal
from .contrastive_divergence import ContrastiveDivergence
from .ctc import CTC
from .distributions import Bernoulli, Categorical, Gaussian, Mixture, MultivariateGaussian, Poisson
from .gaussian_nll import GaussianNLL, LearntPrecision
from .label_loss import LabelLoss
from .log_likelihoods import KLDivergence, NegativeLogLikelihood, PoissonNLL
from .loss import Loss
from .loss_bases import ElementwiseLoss, SampleLoss
from .margin import Hinge, HingeEmbedding, MultiMargin, Perceptron, SoftMargin, SquaredHinge
from .mean_output import MeanOutput
from .mixture_density import MixtureDensity
from .multi_label import MultiLabelSoftMargin
from .multi_loss import LossPart, MultiLoss
from .multivariate_gaussian_nll import MultivariateGaussianNLL
from .pairwise import CosineEmbedding, MarginRanking, Triplet
from .regression import Huber, LogCosh, MeanAbsoluteError, MeanSquaredError, SmoothL1
from .reinforce import Reinforce
from .softmax_cross_entropy import SoftmaxCrossEntropy
from .variational_bound import VariationalBound

__all__ = [
    "CTC",
    "Bernoulli",
    "BinaryCrossEntropy",
    "BinaryCrossEntropyWithLogits",
    "Categorical",
    "ContrastiveDivergence",
    "CosineEmbedding",
    "ElementwiseLoss",
    "Focal",
    "Gaussian",
    "GaussianNLL",
    "Hinge",
    "HingeEmbedding",
    "Huber",
    "KLDivergence",
    "LabelLoss",
    "LearntPrecision",
    "LogCosh",
    "Loss",
    "LossPart",
    "MarginRanking",
    "MeanAbsoluteError",
    "MeanOutput",
    "MeanSquaredError",
    "Mixture",
    "MixtureDensity",
    "MultiLabelSoftMargin",
    "MultiLoss",
    "MultiMargin",
    "MultivariateGaussian",
    "MultivariateGaussianNLL",
    "NegativeLogLikelihood",
    "Perceptron",
    "Poisson",
    "PoissonNLL",
    "Reinforce",
    "SampleLoss",
    "SmoothL1",
    "SoftMargin",
    "SoftmaxCrossEntropy",
    "SquaredHinge",
    "Triplet",
    "VariationalBound",
]
