"""How inner functions are compiled: each once, then only linked.

numba optimises and translates a function again with each function that calls it, however deep; a plan of some layers
would take half a minute. Here a kernel or a method is optimised by itself, with the small helpers that are copied into
it, and nothing more is done to it until an entry of a plan, which Python calls, links all that it reaches.
"""

import types as python_types

import numba
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering


class InnerLibrary(JITCodeLibrary):
    """The code of a function that only compiled code calls; if `apart`, it is called, never copied into its caller."""

    apart = False

    @property
    def codegen(self):
        """Stands in for numba's, which would register the function with the Python interpreter."""
        return python_types.SimpleNamespace(set_env=lambda name, environment: None)

    def finalize(self):
        """Optimise, with the code that may be copied in; the functions that stay apart are linked by the entry."""
        self._raise_if_finalized()
        for library in unique(self._linking_libraries):
            if not isinstance(library, InnerLibrary):
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
            elif not library.apart:
                self._final_module.link_in(library.own_module(), preserve=True)
        self._optimize_final_module()
        self._finalized = True

    def get_pointer_to_function(self, name):
        """None: there is no machine code yet."""
        return 0

    def own_module(self):
        """The function's own code, to be linked."""
        return super()._get_module_for_linking()

    def reached(self, seen: dict) -> dict:
        """The libraries that stay apart and that this code calls, directly or not."""
        for library in unique(self._linking_libraries):
            if isinstance(library, InnerLibrary):
                if library.apart:
                    if library in seen:
                        continue
                    seen[library] = True
                library.reached(seen)
        return seen

    def _get_module_for_linking(self):
        """For numba's own libraries, which expect all in one."""
        if not hasattr(self, "_whole"):
            self._whole = self.own_module().clone()
            for library in self.reached({}):
                if library is not self:
                    self._whole.link_in(library.own_module(), preserve=True)
        return self._whole


class ApartLibrary(InnerLibrary):
    """The code of a kernel or a method."""

    apart = True


class EntryLibrary(JITCodeLibrary):
    """The code of a plan's entry: straight lines of calls, linked with all that they reach, which is optimised."""

    def finalize(self):
        """Link and translate."""
        self._raise_if_finalized()
        inner: dict = {}
        for library in unique(self._linking_libraries):
            if isinstance(library, InnerLibrary):
                inner[library] = True
                library.reached(inner)
            else:
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        for library in inner:
            self._final_module.link_in(library.own_module(), preserve=True)
        self._final_module.verify()
        self._finalize_final_module()


def unique(items) -> dict:
    """The items, each once, in order."""
    return dict.fromkeys(items)


class _Apart(Lower):
    def lower_normal_function(self, fndesc):
        super().lower_normal_function(fndesc)
        self.function.attributes.add("noinline")


class _InLine(Lower):
    """A function of numbers is always copied into its caller, whose loop can then be vectorised."""

    def lower_normal_function(self, fndesc):
        super().lower_normal_function(fndesc)
        values = (fndesc.restype, *fndesc.argtypes)
        if not any(isinstance(kind, types.Buffer | types.BaseTuple | types.NoneType) for kind in values):
            self.function.attributes.add("alwaysinline")


class _Lowering(NativeLowering):
    """numba's lowering, into a library of another class."""

    library: type

    def run_pass(self, state):
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().run_pass(state)


@register_pass(mutates_CFG=True, analysis_only=False)
class InnerLowering(_Lowering):
    """For helpers, which may be copied into their callers."""

    _name = "bprop_inner_lowering"
    library = InnerLibrary

    @property
    def lowering_class(self):
        return _InLine


@register_pass(mutates_CFG=True, analysis_only=False)
class ApartLowering(_Lowering):
    """For kernels and methods, which are called."""

    _name = "bprop_apart_lowering"
    library = ApartLibrary

    @property
    def lowering_class(self):
        return _Apart


@register_pass(mutates_CFG=True, analysis_only=False)
class EntryLowering(_Lowering):
    """For entries."""

    _name = "bprop_entry_lowering"
    library = EntryLibrary


def lower_by(pipeline, lowering) -> None:
    """Put `lowering` in the place of numba's own."""
    pipeline.add_pass_after(lowering, NativeLowering)
    pipeline.passes = [entry for entry in pipeline.passes if entry[0] is not NativeLowering]
    pipeline._finalized = False
    pipeline.finalize()


class EntryCompiler(CompilerBase):
    """numba's nopython pipeline for the entries of a plan."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        lower_by(pipeline, EntryLowering)
        return [pipeline]


class InnerCompiler(CompilerBase):
    """numba's nopython pipeline for what is copied into compiled code."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        lower_by(pipeline, InnerLowering)
        return [pipeline]


class KernelCompiler(CompilerBase):
    """numba's nopython pipeline for kernels."""

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
        fastmath=False,  # said, not left out, as the next: numba would take over the flags of the caller
        forceinline=False,
        nogil=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )


def apart(function):
    """Let compiled code call a plain function of arrays and numbers as a kernel, not copy it into its callers."""
    function.compiled_form = kernel(function)
    return function
