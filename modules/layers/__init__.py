"""Layers: linear and distance layers, dropout and noise, reshaping; convolutions and others in folders below.

Activations, convolution, pooling, padding and normalization have folders of their own. A layer is one file with fprop
and bprop; what it computes at length is a kernel in `kernels`.
"""

from .bernoulli_units import BernoulliUnits
from .bilinear import Bilinear
from .columns import Columns, ZeroScore
from .distances import Euclidean, RadialBasis
from .dropout import AlphaDropout, Dropout, Dropout2d, GaussianDropout
from .gaussian_sample import GaussianSample
from .linear import Linear
from .masked_linear import MaskedLinear
from .maxout import Maxout, MaxoutChannels
from .noise import GaussianNoise, Noise, RReLU
from .pair_measures import CosineSimilarity, PairwiseDistance
from .permute import Permute, Transpose
from .pixel_shuffle import PixelShuffle, PixelUnshuffle
from .reshape import Flatten, Reshape
from .scale_and_shift import Add, CMul, Mul
from .upsample import Upsample
from .weight_norm import Cosine, LinearWeightNorm

__all__ = [
    "Add",
    "AlphaDropout",
    "BernoulliUnits",
    "Bilinear",
    "CMul",
    "Columns",
    "Cosine",
    "CosineSimilarity",
    "Dropout",
    "Dropout2d",
    "Euclidean",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GaussianSample",
    "Linear",
    "LinearWeightNorm",
    "MaskedLinear",
    "Maxout",
    "MaxoutChannels",
    "Mul",
    "Noise",
    "PairwiseDistance",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "RReLU",
    "RadialBasis",
    "Reshape",
    "Transpose",
    "Upsample",
    "ZeroScore",
]
