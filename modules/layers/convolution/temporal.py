"""Temporal convolutional nets: residual blocks of dilated causal convolutions over sequences (N, C, T)."""

from typing import Literal

from ...containers.residual import Residual
from ...containers.sequential import Sequential
from ...core.module import Module
from ..activations.elementwise import ReLU
from ..dropout import Dropout
from ..normalization.batch_norm import BatchNorm1d
from .conv import Conv1d

TemporalNorm = Literal["none", "batch"]


class TemporalBlock(Sequential):
    """Two dilated causal convolutions with a skip connection: no step of y sees a later step of x.

        f(x)   = relu(norm₂(conv₂(relu(norm₁(conv₁(x))))))
        y      = relu(f(x) + shortcut(x))
        g      = grad_y where y > 0, else 0
        grad_x = Fᵀ g + Sᵀ g

    with F and S the Jacobians of f and of the shortcut: x itself, or a convolution with kernels of one step where
    channels or stride differ. Dropout follows both inner activations.

    Shapes: x (N, in, T), y (N, out, ⌈T / stride⌉).
    Args: in_channels, out_channels, kernel_size, dilation: as of Conv1d; stride: of the first convolution; dropout: the
        probability of leaving an element out; norm: none, or batch (BatchNorm1d after each convolution).
    `receptive_field`: how many steps of x a step of y sees.
    Errors: ValueError for such settings, and for an x of other channels.
    Source: Bai, Kolter and Koltun, An empirical evaluation of generic convolutional and recurrent networks for sequence
        modeling (2018), section 3 and figure 1, where the norm is that of the weights.
    """

    framework_base = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        dilation: int = 1,
        dropout: float = 0.0,
        *,
        stride: int = 1,
        norm: TemporalNorm = "none",
    ):
        if norm not in ("none", "batch"):
            raise ValueError(f"TemporalBlock: norm is {norm!r}, expected none or batch")
        if not 0 <= dropout < 1:
            raise ValueError(f"TemporalBlock: dropout is {dropout}, expected at least 0 and below 1")
        layers: list[Module] = []
        for channels, step in ((in_channels, stride), (out_channels, 1)):
            bias = norm == "none"
            layers.append(Conv1d(channels, out_channels, kernel_size, step, "causal", dilation, bias=bias))
            layers += [BatchNorm1d(out_channels)] if norm == "batch" else []
            layers.append(ReLU())
            layers += [Dropout(dropout)] if dropout > 0 else []
        alike = in_channels == out_channels and stride == 1
        shortcut = None if alike else Conv1d(in_channels, out_channels, 1, stride)
        super().__init__(Residual(*layers, shortcut=shortcut), ReLU())
        vars(self)["receptive_field"] = 1 + (1 + stride) * dilation * (kernel_size - 1)


class TemporalConvNet(Sequential):
    """A chain of TemporalBlocks, each of which sees farther than the one before: a temporal convolutional net.

        y      = block_L(... block₁(x)), where block i has dilation dilation_base^(i - 1)
        grad_x = B₁ᵀ ... B_Lᵀ grad_y

    with B the Jacobians of the blocks. Its last step sees 1 + 2 (kernel_size - 1) Σᵢ dilation_base^(i - 1) steps of x.

    Shapes: x (N, in, T), y (N, the last of channels, T).
    Args: in_channels; channels: those of each block's output, at least one; kernel_size, dropout, norm: as of
        TemporalBlock; dilation_base: at least 1.
    `receptive_field`: how many steps of x a step of y sees.
    Errors: as of TemporalBlock; ValueError for no channels.
    Source: as of TemporalBlock; its authors' TemporalConvNet.
    """

    framework_base = True

    def __init__(
        self,
        in_channels: int,
        channels: list[int] | tuple[int, ...],
        kernel_size: int = 2,
        dropout: float = 0.0,
        *,
        dilation_base: int = 2,
        norm: TemporalNorm = "none",
    ):
        if not channels:
            raise ValueError("TemporalConvNet: channels is empty, expected those of each block")
        if dilation_base < 1:
            raise ValueError(f"TemporalConvNet: dilation_base is {dilation_base}, expected at least 1")
        blocks = [
            TemporalBlock(before, after, kernel_size, dilation_base**k, dropout, norm=norm)
            for k, (before, after) in enumerate(zip([in_channels, *channels[:-1]], channels, strict=True))
        ]
        super().__init__(*blocks)
        vars(self)["receptive_field"] = 1 + sum(block.receptive_field - 1 for block in blocks)
