"""Compilation of kernels and inner functions: each is compiled once, then only linked.

numba optimises and compiles a function again with each function that calls it, however deep; a plan of some layers
would take half a minute. Here a kernel or a method is optimised and compiled by itself, with the small functions that
are inlined into it; an entry of a plan, which Python calls, is linked with them by name.
"""

import numba

from .bounds_check import note_lowering, report_indices
from .code_library import EntryLibrary, InnerLibrary, KernelLibrary
from .gc_free_call import call_without_gc
from .llvm_worker import compile_queue
from .numba_api import (
    CompilerBase,
    DefaultPassBuilder,
    Lower,
    NativeLowering,
    numba_ir,
    register_pass,
    signature,
    types,
)


class _Lower(Lower):
    """Lowers attribute assignments without numba's checks, and records the lines of bounds checks."""

    def lower_inst(self, inst):
        note_lowering(self)
        if isinstance(inst, numba_ir.SetAttr):
            target, value = self.typeof(inst.target.name), self.typeof(inst.value.name)
            del self.fndesc.calltypes[inst]
            self.fndesc.calltypes[inst] = signature(types.void, target, value)
        return super().lower_inst(inst)


class _KernelLower(_Lower):
    def lower_normal_function(self, fndesc):
        super().lower_normal_function(fndesc)
        self.function.attributes.add("noinline")
        self.library.symbol = fndesc.llvm_func_name


class _InlineLower(_Lower):
    """Lowers functions of numbers, which are always inlined, so that the caller's loop can be vectorised."""

    def lower_normal_function(self, fndesc):
        super().lower_normal_function(fndesc)
        values = (fndesc.restype, *fndesc.argtypes)
        if not any(isinstance(kind, types.Buffer | types.BaseTuple | types.NoneType) for kind in values):
            self.function.attributes.add("alwaysinline")


class _Lowering(NativeLowering):
    """numba's lowering pass, into a library of another class."""

    library: type

    def run_pass(self, state):
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        with report_indices():
            changed = super().run_pass(state)
        if compile_queue.use_worker and isinstance(state.library, InnerLibrary):
            state.library._ensure_finalized()  # now, not when it is linked: while numba reads the next function
        return changed


@register_pass(mutates_CFG=True, analysis_only=False)
class InnerLowering(_Lowering):
    """The lowering of small functions, which may be inlined."""

    _name = "bprop_inner_lowering"
    library = InnerLibrary

    @property
    def lowering_class(self):
        return _InlineLower


@register_pass(mutates_CFG=True, analysis_only=False)
class KernelLowering(_Lowering):
    """The lowering of kernels and methods, which are called."""

    _name = "bprop_kernel_lowering"
    library = KernelLibrary

    @property
    def lowering_class(self):
        return _KernelLower


@register_pass(mutates_CFG=True, analysis_only=False)
class EntryLowering(_Lowering):
    """The lowering of entries."""

    _name = "bprop_entry_lowering"
    library = EntryLibrary


def lower_by(pipeline, lowering) -> None:
    """Replace numba's lowering pass in a pipeline."""
    pipeline.add_pass_after(lowering, NativeLowering)
    pipeline.passes = [entry for entry in pipeline.passes if entry[0] is not NativeLowering]
    pipeline._finalized = False
    pipeline.finalize()


class BaseCompiler(CompilerBase):
    """numba's nopython pipeline with its own lowering, run without the garbage collector; the base of all compilers."""

    lowering: type

    def compile_extra(self, func):
        with compile_queue.session():
            return call_without_gc(super().compile_extra, func)

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        lower_by(pipeline, self.lowering)
        return [pipeline]


class EntryCompiler(BaseCompiler):
    """Compiles the entries of a plan."""

    lowering = EntryLowering


class KernelCompiler(BaseCompiler):
    """Compiles kernels."""

    lowering = KernelLowering


KERNELS: list = []


def kernel(function):
    """Compile a function for use by compiled code only."""
    dispatcher = numba.njit(
        function,
        pipeline_class=KernelCompiler,
        error_model="numpy",
        fastmath=False,  # said, not left out, as the next: numba would take over the flags of the caller
        forceinline=False,
        nogil=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )
    KERNELS.append(dispatcher)
    return dispatcher


def noinline(function):
    """Decorate a plain function of arrays and numbers: compiled code calls it as a kernel and never inlines it."""
    function.compiled_form = kernel(function)
    return function
