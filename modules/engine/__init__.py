"""From the methods of modules to one compiled step: tracing, generated source, state blocks, code cache, entry points.

Here numba's type of each attribute and argument is chosen: a trace runs the methods once as plain Python and looks.
The engine calls modules only by the methods of `Stateful`, which all of them inherit. What of numba it relies on is
in `compiler`, what a module is to its user in `core`.
"""
