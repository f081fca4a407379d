"""The register tiles as machine code of several instruction sets: sums in registers, no spill in the inner loop.

LLVM compiles the same tile for processors that this machine is none of; what it emits is counted, not run.
"""

import re

import pytest
from bprop.modules.compiler import arrays
from bprop.modules.compiler.numba_api import cgutils, ir, llvm, types
from bprop.modules.kernels.matmul import micro_kernels, register_tiles
from bprop.modules.kernels.matmul.micro_kernels import make_dot_product_tile, make_outer_product_tile
from numba.core.registry import cpu_target

# Triple, processor, bytes of a SIMD vector in LLVM's text; patterns of a multiply-add and of an access to the stack.
TARGETS = {
    "avx2": ("x86_64-unknown-linux-gnu", "haswell", 32, r"vfmadd\w+p[sd]\s.*%ymm", r"\(%r[sb]p\)"),
    "avx512": ("x86_64-unknown-linux-gnu", "skylake-avx512", 64, r"vfmadd\w+p[sd]\s.*%zmm", r"\(%r[sb]p\)"),
    "neon": ("aarch64-unknown-linux-gnu", "neoverse-n1", 32, r"fmla\s", r"\[sp"),
}
HALVES = {"avx2": 1, "avx512": 1, "neon": 2}  # registers of a SIMD vector
# The arguments of both tiles: A array, n number, b flag.
OUTER, DOT = "AnnnAnnAnnnnbn", "AnnAnnAnnnnnnnb"


def emit(tile, arguments: str, dtype, target: str, monkeypatch) -> list[str]:
    """The lines of assembly of a function whose arguments are a tile's, arrays as pointers."""
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
    return machine.emit_assembly(code).splitlines()


def find_inner_loop(lines: list[str], multiply_add: str) -> list[str]:
    """The lines from a label to a jump back to it, of all such loops the one with the most multiply-adds."""
    loops, first = [], {}
    for place, line in enumerate(lines):
        if label := re.match(r"(\.?L?\w+):", line):
            first = {label[1]: place}  # a loop within this one has a label, too
        for label, begin in first.items():
            if re.search(rf"\sj?b?\S*\s+{re.escape(label)}$", line):
                loops.append(lines[begin : place + 1])
    return max(loops, key=lambda loop: sum(bool(re.search(multiply_add, line)) for line in loop))


@pytest.mark.parametrize("dtype", [types.float32, types.float64], ids=str)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("what", ["packed", "unpacked", "dot products"])
def test_inner_loops(what, target, dtype, monkeypatch):
    """As many multiply-adds as the tile has sums, all in registers; loads of vectors and numbers, each once."""
    _, _, _, multiply_add, stack = TARGETS[target]
    tiles = register_tiles.TILES[target]
    if what == "dot products":
        rows, columns = tiles.dots
        tile, arguments, loads = make_dot_product_tile(rows, columns), DOT, (rows + columns) * HALVES[target]
    else:
        rows, columns = tiles.packed_rows if what == "packed" else tiles.rows, 2
        tile, arguments, loads = make_outer_product_tile(rows, columns), OUTER, 2 * HALVES[target] + rows
    loop = find_inner_loop(emit(tile, arguments, dtype, target, monkeypatch), multiply_add)
    products = [line for line in loop if re.search(multiply_add, line)]
    sums = {re.split(r"[\s,]+", line.strip())[1 if target == "neon" else -1] for line in products}
    assert len(sums) == rows * columns * HALVES[target]
    times = len(products) // len(sums)  # as often as LLVM has unrolled the loop
    assert len(products) == times * len(sums)
    assert sum(count_loads(line) for line in loop) == times * loads
    if times == 1 or llvm.llvm_version_info >= (21,):  # LLVM 20 keeps pointers of rows in memory where it unrolls
        assert not [line for line in loop if re.search(stack, line)], "a spill"


def count_loads(line: str) -> int:
    """How many vectors or numbers a line loads."""
    if re.match(r"\s(ldr|ldur|ld1r?)\s", line):
        return 1
    return 2 if re.match(r"\sldp\s", line) else int(bool(re.match(r"\sv\w+\s.*\(%", line)))
