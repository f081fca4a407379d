"""A net whose depth is one number, so that a sweep can vary it: see depth.yaml."""

from itertools import pairwise

from bprop.modules import Flatten, HeNormal, Linear, ReLU, Sequential


class DeepNet(Sequential):
    """`depth` hidden layers of `width` rectified linear units, and a linear output.

    Shapes: x (N, ...) of `in_features` numbers in all, y (N, out_features).
    Args: in_features, out_features: sizes of input and output; depth: number of hidden layers, from 0 on; width: units
        of each.
    """

    def __init__(self, in_features: int, out_features: int, depth: int = 1, width: int = 32):
        sizes = [in_features, *[width] * depth]
        hidden = []
        for n, m in pairwise(sizes):
            hidden += [Linear(n, m, weight_init=HeNormal()), ReLU()]
        super().__init__(Flatten(), *hidden, Linear(sizes[-1], out_features))
