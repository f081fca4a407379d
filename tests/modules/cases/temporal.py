"""Blocks of temporal convolutional nets."""

import numpy as np
from bprop.modules import BatchNorm1d, Conv1d, Dropout, ReLU, TemporalBlock, TemporalConvNet

from .case import Case
from .images import conv_signal
from .normalisation import batch_norm


def relu(module, x):
    return np.maximum(x, 0)


def drop(module, x):
    return x * module.mask.reshape(x.shape) if module.training else x


LAYERS = {Conv1d: conv_signal, BatchNorm1d: batch_norm, ReLU: relu, Dropout: drop}


def block(module, x):
    residual, f = module[0], x
    for layer in residual:
        f = LAYERS[type(layer)](layer, f)
    return relu(None, f + (x if residual.shortcut is None else conv_signal(residual.shortcut, x)))


def chain(module, x):
    for each in module:
        x = block(each, x)
    return x


MODULES = [
    Case(
        "TemporalBlock",
        lambda: TemporalBlock(2, 3, 3, 2),
        (3, 2, 7),
        (3, 4, 7),
        "Conv1d(2 -> 3, kernel_size=1): x has shape (3, 4, 7), expected (N, 2, L)\nin model[0].shortcut",
        reference=block,
    ),
    Case(
        "TemporalBlock, batch norm, stride",
        lambda: TemporalBlock(3, 3, 2, stride=2, norm="batch"),
        (3, 3, 7),
        reference=block,
        samples_apart=False,
    ),
    Case("TemporalConvNet", lambda: TemporalConvNet(2, [3, 3], 2, dilation_base=3), (3, 2, 6), reference=chain),
]
