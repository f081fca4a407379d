"""Register tiles compiled for processors that this machine is none of."""

from typing import NamedTuple

from bprop.modules.compiler import arrays
from bprop.modules.compiler.numba_api import cgutils, ir, llvm, types
from bprop.modules.kernels.matmul import micro_kernels
from numba.core.registry import cpu_target


class Target(NamedTuple):
    """A processor of LLVM's, and how its assembly is read: patterns of a multiply-add and of an access to the stack."""

    triple: str
    cpu: str
    vector_bytes: int  # of a SIMD vector in LLVM's text
    registers: int  # that one of these takes
    multiply_add: str
    stack: str


TARGETS = {
    "avx2": Target("x86_64-unknown-linux-gnu", "haswell", 32, 1, r"vfmadd\w+p[sd]\s.*%ymm", r"\(%r[sb]p\)"),
    "avx512": Target("x86_64-unknown-linux-gnu", "skylake-avx512", 64, 1, r"vfmadd\w+p[sd]\s.*%zmm", r"\(%r[sb]p\)"),
    "neon": Target("aarch64-unknown-linux-gnu", "neoverse-n1", 32, 2, r"fmla\s", r"\[sp"),
}
# The arguments of both tiles: A array, n number, b flag.
OUTER, DOT = "AnnnAnnAnnnnbn", "AnnAnnAnnnnnnnb"


def compile_tile(tile, arguments: str, dtype, target: str, monkeypatch):
    """(LLVM's machine, its module) of a function `tile` whose arguments are a tile's, arrays as pointers."""
    triple, cpu, size, *_ = TARGETS[target]
    monkeypatch.setattr(arrays, "VECTOR_BYTES", size)
    monkeypatch.setattr(micro_kernels, "MULTIPLY_ADD", "fma")
    context = cpu_target.target_context
    array, scalar = types.Array(dtype, 1, "C"), context.get_value_type(dtype)
    kinds = [{"A": array, "n": types.intp, "b": types.boolean}[letter] for letter in arguments]
    parameters = [scalar.as_pointer() if kind is array else context.get_value_type(kind) for kind in kinds]
    module = ir.Module("tile")
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), parameters), "tile")
    builder = ir.IRBuilder(function.append_basic_block())
    values = [
        arrays.vector_at(context, builder, dtype, value, cgutils.intp_t(0)) if kind is array else value
        for kind, value in zip(kinds, function.args, strict=True)
    ]
    signature, generate = tile._defn(None, *kinds)
    generate(context, builder, signature, values)
    builder.ret_void()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    code = llvm.parse_assembly(str(module))
    code.data_layout = str(machine.target_data)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(3))
    passes.getModulePassManager().run(code, passes)
    return machine, code
