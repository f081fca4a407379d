"""From the methods of modules to one compiled step: tracing, generated source, state blocks, code cache, entry points.

It calls modules only by the methods of `Stateful`, which all of them inherit. What numba needs for it is in `compiler`,
what a module is to its user in `core`.
"""
