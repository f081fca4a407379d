"""Specialised functions: LLVM compiles a function again with constants in place of some arguments, and times it.

Like the compile worker (see llvm_passes.py) it imports nothing of numba and runs as a program: requests come on its
standard input, results go to its standard output.
"""

import contextlib
import ctypes
import hashlib
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from llvmlite import binding as llvm

if __package__:
    from .llvm_passes import LLVMCompiler, from_line, to_line
else:
    sys.path.insert(0, str(Path(__file__).parent))
    from llvm_passes import LLVMCompiler, from_line, to_line  # type: ignore[import-not-found,no-redef]

MOMENT = 2e-5  # seconds of calls that are timed at once
ROUNDS = 200  # so many that some are not disturbed, where the cores are busy
ONES = {4: b"\x00\x00\x80\x3f", 8: b"\x00\x00\x00\x00\x00\x00\xf0\x3f"}  # the number 1 by the bytes of its type


class Function(NamedTuple):
    """A compiled function: its code with all that it calls, as text; its symbol there, its name in the object files."""

    text: str
    symbol: str
    public: str
    kinds: list[str]  # LLVM's types of its arguments


class Specializer:
    """Specialises functions that return a status and take pointers and numbers."""

    def __init__(self, settings: dict):
        self.compiler = LLVMCompiler(settings)
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self.compiler.machine)
        self.functions: dict[str, Function] = {}
        self.results: dict[int, tuple[str, bytes]] = {}
        self.nothing = ctypes.create_string_buffer(1 << 18)  # what the code refers to and does not use

    def load_function(self, name: str, bitcodes: list[bytes], objects: list[bytes], symbol: str, public: str) -> None:
        """Load a function's bitcode and machine code, and those of all that it calls."""
        whole, *others = (llvm.parse_bitcode(code) for code in bitcodes)
        for other in others:
            whole.link_in(other)
        for each in (*whole.functions, *whole.global_variables):
            if each.is_declaration and not each.name.startswith("llvm."):
                self._define(each.name)
        for code in objects:
            self.engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        kinds = [str(each.type) for each in whole.get_function(symbol).arguments]
        text = re.sub(r"\bnoinline\b", "mustprogress", str(whole))  # a group of attributes may not be empty
        self.functions[name] = Function(text, symbol, public, kinds)

    def _define(self, name: str) -> None:
        """Define a name by memory that nothing uses, unless the system has it."""
        if not llvm.address_of_symbol(name):
            llvm.add_symbol(name, ctypes.addressof(self.nothing))

    def specialize(
        self, number: int, name: str, arguments: list, sizes: list[int], item_size: int, worth: float
    ) -> None:
        """Specialise a function; the result is its name and machine code.

        It is ("", b"") if that takes more than `worth` of the general function's time. `arguments` has LLVM's constant
        for each argument, or None for an argument of the result: pointers to two words for what it returns, and to
        numbers of `item_size` bytes, as many as `sizes` says, and at last a flag.
        """
        function = self.functions[name]
        digest = hashlib.sha256(repr((function.text, arguments, self.compiler.settings)).encode()).hexdigest()[:24]
        name = f"bprop.general.{digest}"
        kinds = [kind for kind, argument in zip(function.kinds, arguments, strict=True) if argument is None]
        values = self._allocate(sizes, item_size)
        declared = f"{self._head()}declare i32 {quote(function.public)}({', '.join(function.kinds)})\n"
        self._emit(self._parse(declared + self._wrap(name, function.public, function.kinds, arguments), name))
        general = self._clock(name, kinds)
        self.results[number] = "", b""
        for name, unrolling in ((f"bprop.unrolled.{digest}", True), (f"bprop.loops.{digest}", False)):
            text = function.text + self._wrap(name, function.symbol, function.kinds, arguments)
            code = self._emit(self._optimise(self._parse(text, name), unrolling))
            before, after = time_in_turn(general, self._clock(name, kinds), values)
            if after <= worth * before:
                self.results[number] = name, code
                break

    def _head(self) -> str:
        settings = self.compiler.settings
        return f'target triple = "{settings["triple"]}"\ntarget datalayout = "{settings["layout"]}"\n'

    def _wrap(self, name: str, callee: str, kinds: Sequence[str], arguments: Sequence[str | None]) -> str:
        """Write the function that calls another one with constants and its own arguments."""
        pairs = list(enumerate(zip(kinds, arguments, strict=True)))
        own = ", ".join(f"{kind} %a{k}" for k, (kind, argument) in pairs if argument is None)
        passed = ", ".join(f"{kind} {f'%a{k}' if argument is None else argument}" for k, (kind, argument) in pairs)
        return f"\ndefine i32 {quote(name)}({own}) {{\n%r = call i32 {quote(callee)}({passed})\nret i32 %r\n}}\n"

    def _parse(self, text: str, name: str):
        """Parse a module of which the function `name` alone is called from elsewhere."""
        module = llvm.parse_assembly(text)
        for each in module.functions:
            if not each.is_declaration:
                each.linkage = "external" if each.name == name else "internal"
        return module

    def _optimise(self, module, unrolling: bool):
        """Optimise a module; constants reach what its function calls, as nothing else calls that."""
        builder = self.compiler.make_builder(unrolling)
        first = llvm.create_new_module_pass_manager()
        for _ in range(3):  # what is not called any more is left out, before it costs time
            first.add_ipsccp_pass()
            first.add_simplify_cfg_pass()
            first.add_global_dead_code_eliminate_pass()
        first.run(module, builder)
        builder.getModulePassManager().run(module, builder)
        return module

    def _emit(self, module) -> bytes:
        """Emit a module's machine code, and load it here."""
        code = self.compiler.machine.emit_object(module)
        self.engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        return code

    def _clock(self, name: str, kinds: Sequence[str]):
        """Make the function that calls another one several times: (times, addresses as numbers)."""
        numbers = "".join(f", i64 %x{k}" for k in range(len(kinds)))
        casts = ["inttoptr" if kind[0] != "i" or "*" in kind else "trunc" for kind in kinds]
        lines = "\n".join(f"%a{k} = {casts[k]} i64 %x{k} to {kind}" for k, kind in enumerate(kinds))
        passed = ", ".join(f"{kind} %a{k}" for k, kind in enumerate(kinds))
        text = f"""{self._head()}declare i32 {quote(name)}({", ".join(kinds)})
define void {quote("clock." + name)}(i64 %times{numbers}) {{
{lines}
br label %loop
loop:
%k = phi i64 [%times, %0], [%left, %loop]
call i32 {quote(name)}({passed})
%left = sub i64 %k, 1
%more = icmp sgt i64 %left, 0
br i1 %more, label %loop, label %end
end:
ret void
}}
"""
        self._emit(llvm.parse_assembly(text))
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * (1 + len(kinds)))
        return kind(self.engine.get_function_address("clock." + name))

    def _allocate(self, sizes: list[int], item_size: int) -> list[int]:
        """Allocate the arguments of a function that is timed; returns them as numbers."""
        self.memory = [ctypes.create_string_buffer(ONES[item_size] * size + bytes(64)) for size in sizes]
        words = ctypes.addressof(self.nothing)
        return [words, words + 8, *[(ctypes.addressof(each) + 63) // 64 * 64 for each in self.memory], 0]


def time_in_turn(first, second, values: list[int]) -> tuple[float, float]:
    """Measure the least seconds of a call of each of two functions that repeat a call."""
    times, seconds = 1, [float("inf"), float("inf")]
    while clock(first, times, values) < MOMENT:
        times *= 2
    for _ in range(ROUNDS):
        for k, function in enumerate((first, second)):
            seconds[k] = min(seconds[k], clock(function, times, values) / times)
    return seconds[0], seconds[1]


def clock(function, times: int, values: list[int]) -> float:
    """Measure the seconds of several calls."""
    start = time.perf_counter()
    function(times, *values)
    return time.perf_counter() - start


def quote(name: str) -> str:
    """A global name in LLVM's text."""
    return f'@"{name}"'


def main() -> None:
    """Answer requests (method, arguments) until the end of the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process stops it
    settings, options = from_line(sys.stdin.buffer.readline())
    with contextlib.suppress(AttributeError, OSError):  # while the function is in use elsewhere
        os.nice(10)
    for option in options:
        llvm.set_option("bprop", option)
    specializer = Specializer(settings)
    for line in sys.stdin.buffer:
        what, arguments = from_line(line)
        getattr(specializer, what)(*arguments)
    sys.stdout.buffer.write(to_line(list(specializer.results.items())))


if __name__ == "__main__":
    main()
