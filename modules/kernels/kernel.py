"""Kernels that are compiled once and called, never copied into their callers.

LLVM would inline a large kernel into each method, and the method into each plan, and optimise it again each time.
"""

import numba
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering


class _Apart(Lower):
    def lower_normal_function(self, fndesc):
        super().lower_normal_function(fndesc)
        self.function.attributes.add("noinline")


@register_pass(mutates_CFG=True, analysis_only=False)
class ApartLowering(NativeLowering):
    """numba's lowering, with the function marked `noinline`."""

    _name = "bprop_apart_lowering"

    @property
    def lowering_class(self):
        return _Apart


class _Linked(Lower):
    def lower_normal_function(self, fndesc):
        super().lower_normal_function(fndesc)
        self.library._optimize_final_module = lambda: None


@register_pass(mutates_CFG=True, analysis_only=False)
class LinkedLowering(NativeLowering):
    """numba's lowering, for a function that only calls others: what it links is optimised already, and left so."""

    _name = "bprop_linked_lowering"

    @property
    def lowering_class(self):
        return _Linked


class EntryCompiler(CompilerBase):
    """numba's nopython pipeline for the entries of a plan, which are straight lines of calls."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        lower_by(pipeline, LinkedLowering)
        return [pipeline]


def lower_by(pipeline, lowering) -> None:
    """Put `lowering` in the place of numba's own."""
    pipeline.add_pass_after(lowering, NativeLowering)
    pipeline.passes = [entry for entry in pipeline.passes if entry[0] is not NativeLowering]
    pipeline._finalized = False
    pipeline.finalize()


class KernelCompiler(CompilerBase):
    """numba's nopython pipeline, ending in a function of its own."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        lower_by(pipeline, ApartLowering)
        return [pipeline]


def kernel(function):
    """Compile a function for use by compiled code only."""
    return numba.njit(
        function,
        pipeline_class=KernelCompiler,
        error_model="numpy",
        fastmath=False,  # said, not left out: numba would take over the flags of the caller
        nogil=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )
