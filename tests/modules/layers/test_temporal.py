"""Temporal convolutional nets: what a step sees, and what they refuse."""

import re

import numpy as np
import pytest
from bprop.modules import BatchNorm1d, Conv1d, Dropout, TemporalBlock, TemporalConvNet


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: TemporalBlock(1, 2, 3, 2), 9),
        (lambda: TemporalBlock(1, 1, 2, 2, stride=3), 9),
        (lambda: TemporalConvNet(1, [2, 2], 2, dilation_base=3), 9),
    ],
    ids=["block", "stride", "net"],
)
def test_a_step_sees_its_receptive_field_and_nothing_later(make, field):
    module = make().to("float64")
    for _, parameter in module.named_parameters():
        parameter[...] = 1  # so that no unit is off
    assert module.receptive_field == field
    x = np.ones((1, 1, 16))
    y = module.fprop(x).copy()
    stride = 16 // y.shape[2] + (16 % y.shape[2] > 0)
    last = y.shape[2] - 1
    seen = []
    for t in range(16):
        moved = x.copy()
        moved[0, 0, t] += 1
        seen.append((module.fprop(moved)[0, :, last] != y[0, :, last]).any())
    steps = np.flatnonzero(seen)
    assert steps.max() == stride * last
    assert steps.max() - steps.min() + 1 == field


def test_what_a_block_is_made_of():
    kinds = [type(layer) for layer in TemporalBlock(2, 2, 3, dropout=0.1, norm="batch")[0]]
    assert kinds.count(Conv1d) == kinds.count(BatchNorm1d) == kinds.count(Dropout) == 2
    assert TemporalBlock(2, 2, 3)[0].shortcut is None
    assert TemporalBlock(2, 2, 3, stride=2)[0].shortcut is not None
    net = TemporalConvNet(2, [3, 4, 4], 3, 0.2)
    assert [each[0][0].dilation[1] for each in net] == [1, 2, 4]
    assert net.output_shape((5, 2, 9)) == (5, 4, 9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TemporalBlock(2, 3, 3, norm="layer"), "TemporalBlock: norm is 'layer', expected none or batch"),
        (lambda: TemporalBlock(2, 3, 3, dropout=1), "TemporalBlock: dropout is 1, expected at least 0 and below 1"),
        (lambda: TemporalBlock(2, 3, 0), "Conv1d: kernel_size is 0, expected one size of at least 1"),
        (lambda: TemporalConvNet(2, []), "TemporalConvNet: channels is empty, expected those of each block"),
        (
            lambda: TemporalConvNet(2, [3], dilation_base=0),
            "TemporalConvNet: dilation_base is 0, expected at least 1",
        ),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
