"""How inner functions are compiled: each once, then only linked.

numba optimises and translates a function again with each function that calls it, however deep; a plan of some layers
would take half a minute. Here a kernel or a method is optimised and translated by itself, with the small helpers that
are copied into it; an entry of a plan, which Python calls, only finds what it reaches by name.
"""

import contextlib
import hashlib
import types as python_types
import weakref
from collections.abc import Callable

import numba
from llvmlite.binding import ObjectFileRef, create_new_module_pass_manager, parse_bitcode
from numba.core import ir, registry, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering
from numba.core.typing import signature

from .compiling import quickly

UNRESOLVED = ".numba.unresolved$"


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

    def _optimize_functions(self, module):
        """Optimise each function by itself; numba also prepares that for those that are only declared."""
        module.data_layout = self._codegen._data_layout
        for each in module.functions:
            if not each.is_declaration:
                passes, settings = self._codegen._function_pass_manager()
                passes.run(each, settings)

    def _optimize_final_module(self):
        """Counts of references that cancel out away, then all of LLVM's -O3: numba does some of it once more before."""
        first, (full, settings) = create_new_module_pass_manager(), self._codegen._module_pass_manager()
        first.add_refprune_pass()
        for passes in first, full:
            passes.run(self._final_module, settings)

    def get_pointer_to_function(self, name):
        """None: there is no machine code yet."""
        return 0

    def own_module(self):
        """The function's own code, to be linked."""
        return super()._get_module_for_linking()

    def called(self) -> dict:
        """The libraries that stay apart and that this code calls directly."""
        found: dict = {}
        for library in unique(self._linking_libraries):
            if isinstance(library, InnerLibrary):
                found |= {library: True} if library.apart else library.called()
        return found

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
    """The code of a kernel or a method, which is translated once, under a name that is a digest of it."""

    apart = True
    symbol = ""  # by which callers know it
    public = ""  # by which the linker does

    def load(self) -> str:
        """Hand the code, and all that it calls, to the engine if they are not there; the public name."""
        if not self.public:
            self._ensure_finalized()
            module = self._final_module.clone()
            call_by_public_names(module, self.called())
            for each in module.functions:
                if not each.is_declaration:
                    each.linkage = "internal"
            function = module.get_function(self.symbol)
            function.linkage, function.name = "external", "it"
            self.public = function.name = f"bprop.{hashlib.sha256(module.as_bitcode()).hexdigest()[:24]}"
            if self.public not in MACHINE_CODE:
                MACHINE_CODE[self.public] = self._get_compiled_object
                module._CPUCodeLibrary__library = weakref.proxy(self)  # where numba leaves the machine code
                self._codegen._add_module(module)
        return self.public

    def names(self) -> list[str]:
        """The public names of this and of all that it reaches, which the engine then has."""
        found = [self.load()]
        for library in self.reached({}):  # one of another process knows by name alone what it calls itself
            found += library.names() if isinstance(library, KeptLibrary) else [library.load()]
        return list(unique(found))


class KeptLibrary(ApartLibrary):
    """A kernel of another process: names of its machine code and of all that this needs; bitcode for numba's own."""

    def __init__(self, codegen, symbol: str, names: list[str], bitcode: bytes):
        super().__init__(codegen, symbol)
        self.symbol, self.public, self._names, self.bitcode = symbol, names[0], names, bitcode
        self._finalized = True

    def names(self) -> list[str]:
        return self._names

    def own_module(self):
        """All in one."""
        return parse_bitcode(self.bitcode)


class EntryLibrary(JITCodeLibrary):
    """The code of a plan's entry: straight lines of calls, linked with all that they reach, which is optimised.

    `needs` are the public names of what lies apart.
    """

    needs: tuple[str, ...] = ()

    def finalize(self):
        """Link and translate."""
        self._raise_if_finalized()
        apart: dict = {}
        for library in unique(self._linking_libraries):
            if isinstance(library, ApartLibrary):
                apart |= {library: True} | library.reached({})
            elif isinstance(library, InnerLibrary):
                self._final_module.link_in(library.own_module(), preserve=True)
                apart |= library.reached({})
            else:
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        if any(refers_to_this_process(library._final_module) for library in apart):
            for library in apart:
                self._final_module.link_in(library.own_module(), preserve=True)
        else:
            self.needs = tuple(unique(name for library in apart for name in library.names()))
            call_by_public_names(self._final_module, apart)
        self._final_module.verify()
        self._finalize_final_module()


MACHINE_CODE: dict[str, Callable[[], bytes]] = {}  # what the engine has under a public name


def load_machine_code(name: str, code: bytes) -> None:
    """Hand machine code of another process to the engine, unless it has that already."""
    if name not in MACHINE_CODE:
        registry.cpu_target.target_context.codegen()._engine._ee.add_object_file(ObjectFileRef.from_data(code))
        MACHINE_CODE[name] = lambda: code


def call_by_public_names(module, libraries) -> None:
    """Let a module's calls of what lies apart go to the public names."""
    for library in libraries:
        with contextlib.suppress(NameError):  # of a function that it does not call
            module.get_function(library.symbol).name = library.load()


def refers_to_this_process(module) -> bool:
    """Whether code calls, by its address, what is compiled later: itself, on a module within its own."""
    return any(variable.name.startswith(UNRESOLVED) for variable in module.global_variables)


def unique(items) -> dict:
    """The items, each once, in order."""
    return dict.fromkeys(items)


class _Lower(Lower):
    """Assigns attributes as they come: who owns them says what fits, and in which words."""

    def lower_inst(self, inst):
        if isinstance(inst, ir.SetAttr):
            target, value = self.typeof(inst.target.name), self.typeof(inst.value.name)
            del self.fndesc.calltypes[inst]
            self.fndesc.calltypes[inst] = signature(types.void, target, value)
        return super().lower_inst(inst)


class _Apart(_Lower):
    def lower_normal_function(self, fndesc):
        super().lower_normal_function(fndesc)
        self.function.attributes.add("noinline")
        self.library.symbol = fndesc.llvm_func_name


class _InLine(_Lower):
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


class QuickCompiler(CompilerBase):
    """numba's compiler of functions, spared what takes time for nothing."""

    def compile_extra(self, func):
        return quickly(super().compile_extra, func)


class EntryCompiler(QuickCompiler):
    """numba's nopython pipeline for the entries of a plan."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        lower_by(pipeline, EntryLowering)
        return [pipeline]


class InnerCompiler(QuickCompiler):
    """numba's nopython pipeline for what is copied into compiled code."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        lower_by(pipeline, InnerLowering)
        return [pipeline]


class KernelCompiler(QuickCompiler):
    """numba's nopython pipeline for kernels."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        lower_by(pipeline, ApartLowering)
        return [pipeline]


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


def apart(function):
    """Let compiled code call a plain function of arrays and numbers as a kernel, not copy it into its callers."""
    function.compiled_form = kernel(function)
    return function
