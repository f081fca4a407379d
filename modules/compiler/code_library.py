"""Code libraries: each kernel and method is optimised and compiled once, then only linked."""

import types as python_types
import weakref
from collections.abc import Iterable

from .environments import CONSTANTS, bind_environments
from .llvm_passes import Result, call_by_public_names
from .llvm_worker import NUMBERS, compile_queue
from .numba_api import (
    CodeLibrary,
    JITCodeLibrary,
    ObjectFileRef,
    cpu_target,
    normalize_ir_text,
    parse_assembly,
    parse_bitcode,
)

UNRESOLVED = ".numba.unresolved$"


class InnerLibrary(CodeLibrary):
    """The code of a function for calls from compiled code only; never inlined if `noinline`."""

    noinline = False
    symbol = ""  # by which callers refer to a kernel

    def __init__(self, codegen, name: str):
        super().__init__(codegen, name)
        self.number = next(NUMBERS)
        self.texts: list[tuple[str, str]] = []
        self.links: dict = {}
        self.environments: set[str] = set()  # symbols of the constants that its own code refers to
        self.process_bound = False  # whether it, or what it calls, refers to this process
        self.result: Result | None = None

    @property
    def codegen(self):
        """Replace numba's method, which would look for the variable that `bind_environments` has replaced."""
        return python_types.SimpleNamespace(set_env=lambda name, environment: None)

    def add_linking_library(self, library) -> None:
        """Add a library that the function calls."""
        library._ensure_finalized()
        self.links[to_inner_library(library)] = None

    def add_ir_module(self, ir_module) -> None:
        """Add LLVM code from numba."""
        self.process_bound |= any(name.startswith(UNRESOLVED) for name in ir_module.globals)
        text, environments = bind_environments(normalize_ir_text(str(ir_module)))
        self.environments |= environments
        self.texts.append((ir_module.name, text))

    def finalize(self) -> None:
        """Submit the code for optimisation, with the libraries that may be inlined; entries link kernels."""
        self._raise_if_finalized()
        self.process_bound |= any(library.process_bound for library in self.links)
        compile_queue.submit(self)
        self._finalized = True

    def inlined_libraries(self) -> list["InnerLibrary"]:
        """The libraries that are linked in and may be inlined."""
        return [library for library in self.links if not library.noinline]

    def called_libraries(self) -> dict["InnerLibrary", bool]:
        """The kernels that this code calls directly."""
        libraries: dict = {}
        for library in self.links:
            libraries |= {library: True} if library.noinline else library.called_libraries()
        return libraries

    def collect_calls(self, calls: dict) -> dict:
        """Add the kernels that this code calls, directly or indirectly, to `calls`."""
        for library in self.links:
            if library.noinline:
                if library in calls:
                    continue
                calls[library] = True
            library.collect_calls(calls)
        return calls

    def constants(self) -> dict[str, list]:
        """The constants in environments that its code, and all callees, use, by symbol."""
        libraries: dict[InnerLibrary, bool] = {self: True}
        waiting = [self]
        while waiting:
            new = [library for library in waiting.pop().links if library not in libraries]
            libraries |= dict.fromkeys(new, True)
            waiting += new
        return {symbol: CONSTANTS[symbol] for library in libraries for symbol in sorted(library.environments)}

    def bitcode(self) -> list[bytes]:
        """Its bitcode."""
        return [compile_queue.result(self)[0]]

    def bitcodes(self) -> list[bytes]:
        """The bitcode of the library and of all callees."""
        self._ensure_finalized()
        return list(dict.fromkeys(code for library in (self, *self.collect_calls({})) for code in library.bitcode()))

    def _get_module_for_linking(self):
        """Link all code into one module, for numba's own libraries."""
        if not hasattr(self, "_whole"):
            self._whole = link_modules(self.bitcodes())
        return self._whole

    def get_pointer_to_function(self, name: str) -> int:
        """None: there is no machine code yet."""
        return 0

    def get_function(self, name: str):
        """Get a function of the LLVM module."""
        return self._get_module_for_linking().get_function(name)

    def get_llvm_str(self) -> str:
        """The LLVM code of all libraries, as text."""
        return str(self._get_module_for_linking())

    def get_asm_str(self) -> str:
        """The assembler code of all libraries, as text."""
        return str(self._codegen._tm.emit_assembly(self._get_module_for_linking()))


class NumbaLibrary(InnerLibrary):
    """The code of one of numba's own libraries, with all its dependencies."""

    def __init__(self, library):
        super().__init__(library._codegen, library.name)
        module = library._get_module_for_linking()
        self.process_bound = has_unresolved_calls(module)
        text, self.environments = bind_environments(str(module))
        module = parse_assembly(text)
        self.result = module.as_bitcode(), "", b""
        self._finalized = True


class KernelLibrary(InnerLibrary):
    """The code of a kernel or method, compiled once; its public name is a digest of the code."""

    noinline = True

    def load(self) -> list[str]:
        """Load the machine code, once; returns the public name."""
        _, public, code = compile_queue.result(self)
        load_machine_code(public, code)
        return [public]

    def names(self) -> list[str]:
        """Load this kernel and all that it calls; returns their public names."""
        self._ensure_finalized()
        return list(dict.fromkeys(name for library in (self, *self.collect_calls({})) for name in library.load()))


class CachedLibrary(KernelLibrary):
    """A kernel from the code cache: public names, machine code and bitcode, first its own, then its callees'."""

    def __init__(
        self, codegen, symbol: str, names: list[str], code: dict[str, bytes], bitcodes: list[bytes], constants
    ):
        super().__init__(codegen, symbol)
        self.environments = set(constants)
        self.symbol, self._names, self._bitcodes = symbol, names, bitcodes
        self.result = bitcodes[0], names[0], code[names[0]]
        self._finalized = True
        for name in names:
            load_machine_code(name, code[name])

    def load(self) -> list[str]:
        return self._names

    def bitcode(self) -> list[bytes]:
        return self._bitcodes


class EntryLibrary(JITCodeLibrary):
    """The code of a plan's entry: straight-line calls, linked with all kernels that they reach.

    `needs` are the public names of the kernels; `constants` what all of it finds in environments.
    """

    needs: tuple[str, ...] = ()
    constants: dict[str, list]

    def finalize(self):
        """Link, optimise and compile."""
        self._raise_if_finalized()
        inner = []
        for library in dict.fromkeys(self._linking_libraries):
            if isinstance(library, InnerLibrary):
                inner.append(library)
            else:
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        apart: dict = {}
        for library in inner:
            apart |= library.collect_calls({library: True} if library.noinline else {})
        self.constants = {symbol: values for library in inner for symbol, values in library.constants().items()}
        if any(library.process_bound for library in inner):
            self._link(code for library in inner for code in library.bitcodes())
        else:
            self._link(code for library in inner if not library.noinline for code in library.bitcode())
            self.needs = tuple(dict.fromkeys(name for library in apart for name in library.names()))
            names = [(library.symbol, compile_queue.result(library)[1]) for library in apart]
            self._final_module = call_by_public_names(self._final_module, names)
        self._final_module.verify()
        self._finalize_final_module()

    def _link(self, codes: Iterable[bytes]) -> None:
        for code in dict.fromkeys(codes):
            self._final_module.link_in(parse_bitcode(code))


MACHINE_CODE: dict[str, bytes] = {}  # what is loaded, by public name


def load_machine_code(name: str, code: bytes) -> None:
    """Load machine code, unless it is loaded already."""
    if name not in MACHINE_CODE:
        cpu_target.target_context.codegen()._engine._ee.add_object_file(ObjectFileRef.from_data(code))
        MACHINE_CODE[name] = code


def find_code_address(name: str) -> int:
    """Find the address of loaded machine code by its public name."""
    return cpu_target.target_context.codegen()._engine._ee.get_function_address(name)


def to_inner_library(library) -> InnerLibrary:
    """Convert one of numba's libraries to an InnerLibrary."""
    if isinstance(library, InnerLibrary):
        return library
    if library not in NUMBA_LIBRARIES:
        NUMBA_LIBRARIES[library] = NumbaLibrary(library)
    return NUMBA_LIBRARIES[library]


NUMBA_LIBRARIES: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def has_unresolved_calls(module) -> bool:
    """Whether code calls, by address, functions that are compiled later (recursion through children)."""
    return any(variable.name.startswith(UNRESOLVED) for variable in module.global_variables)


def link_modules(codes: Iterable[bytes]):
    """Link several modules into one."""
    first, *others = (parse_bitcode(code) for code in codes)
    for each in others:
        first.link_in(each)
    return first
