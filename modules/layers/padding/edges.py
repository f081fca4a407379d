"""Signals, images and volumes continued beyond their edges: mirrored, by the last place, or around."""

from ...kernels.rearrange import CIRCULAR, REFLECT, REPLICATE
from .pad import Pad1d, Pad2d, Pad3d


class ReflectionPad1d(Pad1d):
    """A signal mirrored at its ends, which are not repeated.

        y[n, c, i]      = x[n, c, r(i - left)],   r(-k) = k,   r(L - 1 + k) = L - 1 - k
        grad_x[n, c, p] = Σ grad_y[n, c, i] over the places of y that p stands at

    Shapes: x (N, C, L), y (N, C, L + left + right).
    Args: padding: one size for both sides, or (left, right), at least 0.
    Errors: ValueError for other paddings, and for an x that is no signal or not longer than the padding.
    Source: PyTorch's ReflectionPad1d.
    """

    mode = REFLECT


class ReflectionPad2d(Pad2d):
    """An image mirrored at its edges, which are not repeated.

        y[n, c, i, j]      = x[n, c, r(i - top), r(j - left)],   r(-k) = k,   r(size - 1 + k) = size - 1 - k
        grad_x[n, c, p, q] = Σ grad_y[n, c, i, j] over the places of y that (p, q) stands at

    Shapes: x (N, C, H, W), y (N, C, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom), at least 0.
    Errors: ValueError for other paddings, and for an x that is no image or not larger than the padding.
    Source: PyTorch's ReflectionPad2d.
    """

    mode = REFLECT


class ReflectionPad3d(Pad3d):
    """A volume mirrored at its faces, which are not repeated.

        y[n, c, h, i, j] = x[n, c, r(h - front), r(i - top), r(j - left)],   r(-k) = k,   r(size - 1 + k) = size - 1 - k
        grad_x[n, c, p]  = Σ grad_y[n, c, h, i, j] over the places of y that p stands at

    Shapes: x (N, C, D, H, W), y (N, C, D + front + back, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom, front, back), at least 0.
    Errors: ValueError for other paddings, and for an x that is no volume or not larger than the padding.
    Source: PyTorch's ReflectionPad3d.
    """

    mode = REFLECT


class ReplicationPad1d(Pad1d):
    """A signal whose ends go on.

        y[n, c, i]      = x[n, c, r(i - left)],   r(k) = min(max(k, 0), L - 1)
        grad_x[n, c, p] = Σ grad_y[n, c, i] over the places of y that p stands at

    Shapes: x (N, C, L), y (N, C, L + left + right).
    Args: padding: one size for both sides, or (left, right), at least 0.
    Errors: ValueError for other paddings, and for an x that is no signal.
    Source: PyTorch's ReplicationPad1d.
    """

    mode = REPLICATE


class ReplicationPad2d(Pad2d):
    """An image whose edges go on.

        y[n, c, i, j]      = x[n, c, r(i - top), r(j - left)],   r(k) = min(max(k, 0), size - 1)
        grad_x[n, c, p, q] = Σ grad_y[n, c, i, j] over the places of y that (p, q) stands at

    Shapes: x (N, C, H, W), y (N, C, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom), at least 0.
    Errors: ValueError for other paddings, and for an x that is no image.
    Source: PyTorch's ReplicationPad2d.
    """

    mode = REPLICATE


class ReplicationPad3d(Pad3d):
    """A volume whose faces go on.

        y[n, c, h, i, j] = x[n, c, r(h - front), r(i - top), r(j - left)],   r(k) = min(max(k, 0), size - 1)
        grad_x[n, c, p]  = Σ grad_y[n, c, h, i, j] over the places of y that p stands at

    Shapes: x (N, C, D, H, W), y (N, C, D + front + back, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom, front, back), at least 0.
    Errors: ValueError for other paddings, and for an x that is no volume.
    Source: PyTorch's ReplicationPad3d.
    """

    mode = REPLICATE


class CircularPad1d(Pad1d):
    """A signal that goes on with its other end, as one period of many.

        y[n, c, i]      = x[n, c, (i - left) mod L]
        grad_x[n, c, p] = Σ grad_y[n, c, i] over the places of y that p stands at

    Shapes: x (N, C, L), y (N, C, L + left + right).
    Args: padding: one size for both sides, or (left, right), at least 0.
    Errors: ValueError for other paddings, and for an x that is no signal or shorter than the padding.
    Source: PyTorch's CircularPad1d.
    """

    mode = CIRCULAR


class CircularPad2d(Pad2d):
    """An image that goes on with its other edge, as on a torus.

        y[n, c, i, j]      = x[n, c, (i - top) mod H, (j - left) mod W]
        grad_x[n, c, p, q] = Σ grad_y[n, c, i, j] over the places of y that (p, q) stands at

    Shapes: x (N, C, H, W), y (N, C, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom), at least 0.
    Errors: ValueError for other paddings, and for an x that is no image or smaller than the padding.
    Source: PyTorch's CircularPad2d.
    """

    mode = CIRCULAR


class CircularPad3d(Pad3d):
    """A volume that goes on with its other face, as a crystal's cell.

        y[n, c, h, i, j] = x[n, c, (h - front) mod D, (i - top) mod H, (j - left) mod W]
        grad_x[n, c, p]  = Σ grad_y[n, c, h, i, j] over the places of y that p stands at

    Shapes: x (N, C, D, H, W), y (N, C, D + front + back, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom, front, back), at least 0.
    Errors: ValueError for other paddings, and for an x that is no volume or smaller than the padding.
    Source: PyTorch's CircularPad3d.
    """

    mode = CIRCULAR
