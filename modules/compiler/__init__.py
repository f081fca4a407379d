"""The interface to numba and llvmlite: compiling, linking and loading functions, and the CPU's properties.

All that relies on what numba does not document belongs here, each thing with a docstring and a test that shows when a
release of numba breaks it. What is compiled does not: kernels are in `kernels`; the types of modules' attributes and
the source of a step are in `engine`.
"""
