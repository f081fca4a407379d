"""Matrix products (GEMM): blocking, packing and dispatch to threads in `gemm`, the register tiles in `micro_kernels`.

Layers call `gemm`. Products of other shapes (windows of images) are in `kernels/convolution`.
"""
