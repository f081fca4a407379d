"""Convolutions and pooling as kernels of arrays: by shifted rows, Winograd tiles, channel by channel, point by point.

The choice among them and the modules themselves are in `layers/convolution` and `layers/pooling`.
"""
