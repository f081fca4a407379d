"""Patches of volumes beside each other as columns (im2col), so that a convolution is a matrix product; and back."""

from ...compiler.kernel import noinline


def inside_columns(offset, stride, width, columns):
    """The columns (first, end) whose place, offset + stride column, is one of `width`."""
    first = min(columns, max(0, (stride - 1 - offset) // stride))
    return first, max(first, min(columns, (width - offset + stride - 1) // stride))


def fill_columns(first, last, x, kernel_size, stride, before, dilation, y_shape, columns):
    """columns[c, (h, i, j), (q, r, s)] = x[c] at place (h, i, j) of the patch of (q, r, s); 0 outside.

    Args: x: (C, D, H, W) of one sample; columns: (C, taps, places) for some channels c; y_shape: Q, R and S.
    """
    depth, height, width = x.shape[1], x.shape[2], x.shape[3]
    for c in range(first, last):
        tap = 0
        for h in range(kernel_size[0]):
            for i in range(kernel_size[1]):
                for j in range(kernel_size[2]):
                    place, row, offset = 0, columns[c, tap], dilation[2] * j - before[2]
                    begin, end = inside_columns(offset, stride[2], width, y_shape[2])
                    for q in range(y_shape[0]):
                        a = stride[0] * q + dilation[0] * h - before[0]
                        for r in range(y_shape[1]):
                            b, line = stride[1] * r + dilation[1] * i - before[1], row[place : place + y_shape[2]]
                            if 0 <= a < depth and 0 <= b < height:
                                line[:begin] = 0
                                line[end:] = 0
                                source = x[c, a, b]
                                for s in range(begin, end):
                                    line[s] = source[offset + stride[2] * s]
                            else:
                                line[:] = 0
                            place += y_shape[2]
                    tap += 1


def add_columns(first, last, columns, kernel_size, stride, before, dilation, y_shape, grad_x):
    """grad_x[c] = the sum of the columns' numbers at the places where they come from: transpose of `fill_columns`."""
    depth, height, width = grad_x.shape[1], grad_x.shape[2], grad_x.shape[3]
    grad_x[first:last] = 0
    for c in range(first, last):
        tap = 0
        for h in range(kernel_size[0]):
            for i in range(kernel_size[1]):
                for j in range(kernel_size[2]):
                    place, row, offset = 0, columns[c, tap], dilation[2] * j - before[2]
                    begin, end = inside_columns(offset, stride[2], width, y_shape[2])
                    for q in range(y_shape[0]):
                        a = stride[0] * q + dilation[0] * h - before[0]
                        for r in range(y_shape[1]):
                            b = stride[1] * r + dilation[1] * i - before[1]
                            if 0 <= a < depth and 0 <= b < height:
                                line, target = row[place : place + y_shape[2]], grad_x[c, a, b]
                                for s in range(begin, end):
                                    target[offset + stride[2] * s] += line[s]
                            place += y_shape[2]
                    tap += 1


@noinline
def add_channel_bias(y, bias):
    """y[n, o, p] += bias[o]; y (N, out, P)."""
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            for p in range(y.shape[2]):
                y[n, o, p] += bias[o]


@noinline
def sum_places(grad_y, out, add):
    """out[o] = Σₙ Σₚ grad_y[n, o, p], or out += it; grad_y (N, out, P)."""
    for o in range(out.size):
        total = out.dtype.type(0)
        for n in range(grad_y.shape[0]):
            part = out.dtype.type(0)
            for p in range(grad_y.shape[2]):
                part += grad_y[n, o, p]
            total += part
        out[o] = out[o] + total if add else total
