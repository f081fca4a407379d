"""Functions of arrays and scalars that numba compiles: loops, elementary functions, sums, random numbers, threads.

They know nothing of modules. Matrix products are in `matmul`, convolutions and pooling in `convolution`; how a kernel
is compiled is in `compiler`.
"""
