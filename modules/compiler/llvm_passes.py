"""LLVM's part of compiling: from LLVM IR, as numba emits it, to optimised bitcode and machine code.

It imports nothing of bprop and nothing of numba, as it also runs as a program of its own: the compile worker (see
llvm_worker.py). Then requests come on its standard input, a line of JSON each, and results go to its standard output.
"""

import base64
import contextlib
import hashlib
import json
import re
import signal
import sys
from collections.abc import Iterable

from llvmlite import binding as llvm

Result = tuple[bytes, str, bytes]  # bitcode to link with others; of a kernel, the public name and the object file


DOUBLE = "bprop_double_"  # how the second kernel of the same code is called while calls of it are replaced


class LLVMCompiler:
    """Optimises and compiles functions in the order of submission; later ones refer to earlier ones by number."""

    def __init__(self, settings: dict):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.settings = settings
        self.machine = llvm.Target.from_triple(settings["triple"]).create_target_machine(**settings["machine"])
        self.modules: dict[int, llvm.ModuleRef] = {}
        self.names: dict[int, str] = {}
        self.results: dict[int, Result] = {}

    def load_bitcode(self, number: int, bitcode: bytes) -> None:
        """Load bitcode that later functions are linked with."""
        self.modules[number] = llvm.parse_bitcode(bitcode)

    def compile(self, number: int, name: str, texts: list, copied: list[int], called: list, symbol: str) -> None:
        """Optimise a function and, if it has a `symbol`, emit its machine code.

        `texts` are its modules: what each is called, and what is in it. `copied` is the code that is linked with it
        and may be copied into it; `called` what it only calls: the symbol, and the number or the public name.
        Without a symbol it is copied into others, with which it is optimised.
        """
        self.modules[number] = module = self._link(name, texts, copied)
        if symbol:
            self._optimise(module)
        for each in module.functions:
            if not each.is_declaration and each.linkage == llvm.Linkage.external:
                each.linkage = "linkonce_odr"
        public, code = "", b""
        if symbol:
            public, code = self._emit(module.clone(), symbol, called)
            self.names[number] = public
        self.results[number] = module.as_bitcode(), public, code

    def take_results(self) -> dict[int, Result]:
        """Take the results since the last call."""
        results, self.results = self.results, {}
        return results

    def _link(self, name: str, texts: Iterable[tuple[str, str]], copied: Iterable[int]):
        """Link the modules of a function, simplified one by one, with the code that may be copied into it."""
        triple, layout = self.settings["triple"], self.settings["layout"]
        whole = llvm.parse_assembly(f'target triple = "{triple}"\ntarget datalayout = "{layout}"')
        whole.name = name
        for part, text in texts:
            module = llvm.parse_assembly(text)
            module.name, module.data_layout = part, layout
            module.verify()
            for each in module.functions:
                if not each.is_declaration:
                    self._run(llvm.PassBuilder.getFunctionPassManager, each)
            whole.link_in(module)
        for number in copied:
            whole.link_in(self.modules[number], preserve=True)
        return whole

    def _optimise(self, module) -> None:
        first = llvm.create_new_module_pass_manager()
        self._add_pruning(first)
        first.run(module, self.make_builder())
        self._run(llvm.PassBuilder.getModulePassManager, module)

    def _run(self, manager, code) -> None:
        builder = self.make_builder()
        passes = manager(builder)
        self._add_pruning(passes)
        passes.run(code, builder)

    def _add_pruning(self, passes) -> None:
        if self.settings["prune"] is not None:  # counts of references that cancel out
            passes.add_refprune_pass(self.settings["prune"])

    def make_builder(self, unrolling: bool = True):
        """Make the builder of passes, with numba's settings; with `unrolling`, loops may be unrolled."""
        tuning = llvm.create_pipeline_tuning_options(self.settings["speed"])
        tuning.loop_vectorization = self.settings["loops"]
        tuning.slp_vectorization, tuning.loop_unrolling = self.settings["lines"], unrolling
        return llvm.create_pass_builder(self.machine, tuning)

    def _emit(self, module, symbol: str, called: Iterable[tuple[str, int | str]]) -> tuple[str, bytes]:
        """Emit the object code; returns it and the public name, a digest of the code."""
        names = [(other, self.names[of] if isinstance(of, int) else of) for other, of in called]
        module = call_by_public_names(module, names)
        for each in module.functions:
            if not each.is_declaration:
                each.linkage = "internal"
        function = module.get_function(symbol)
        function.linkage, function.name = "external", "it"
        function.name = public = f"bprop.{hashlib.sha256(module.as_bitcode()).hexdigest()[:24]}"
        return public, self.machine.emit_object(module)


def call_by_public_names(module, names: Iterable[tuple[str, str]]):
    """Replace calls of kernels by symbol by calls of their public names; returns the module, or one in its place.

    Kernels of the same code have one public name; LLVM would give the second one a number.
    """
    doubles: dict[str, str] = {}
    for symbol, public in names:
        with contextlib.suppress(NameError):  # of a function that it does not call
            function = module.get_function(symbol)
            function.name = public
            if function.name != public:
                function.name = f"{DOUBLE}{len(doubles)}"
                doubles[function.name] = public
    if not doubles:
        return module
    lines = [line for line in str(module).splitlines() if not (line.startswith("declare") and f"@{DOUBLE}" in line)]
    text = re.sub(rf"@({DOUBLE}\d+)\b", lambda match: f"@{doubles[match[1]]}", "\n".join(lines))
    merged = llvm.parse_assembly(text)
    merged.name = module.name
    return merged


def to_line(message) -> bytes:
    """Encode lists, texts, numbers and bytes as a line."""
    return json.dumps(message, default=lambda code: {"base64": base64.b64encode(code).decode()}).encode() + b"\n"


def from_line(line: bytes):
    """What `to_line` was given, tuples as lists. Errors: EOFError for no line at all; ValueError for half a line."""
    if not line:
        raise EOFError
    return json.loads(line, object_hook=lambda item: base64.b64decode(item["base64"]) if "base64" in item else item)


def main() -> None:
    """Answer requests (method, arguments) until the end of the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process stops it
    settings, options = from_line(sys.stdin.buffer.readline())
    for option in options:
        llvm.set_option("bprop", option)
    compiler = LLVMCompiler(settings)
    for line in sys.stdin.buffer:
        what, arguments = from_line(line)
        answer = getattr(compiler, what)(*arguments)
        if what == "take_results":
            sys.stdout.buffer.write(to_line(list(answer.items())))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
