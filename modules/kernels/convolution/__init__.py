"""Kernels of convolutions (shifted rows, Winograd, depthwise, pointwise) and of pooling, on arrays of planes.

The choice among them is in `layers/convolution`; the layers themselves, with their backward passes, are there and in
`layers/pooling`.
"""
