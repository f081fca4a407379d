"""The register tiles as machine code of several instruction sets: sums in registers, no spill in the inner loop.

LLVM compiles the same tile for processors that this machine is none of; what it emits is counted, not run.
"""

import re

import pytest
from bprop.modules.compiler.numba_api import llvm, types
from bprop.modules.kernels.matmul import register_tiles
from bprop.modules.kernels.matmul.micro_kernels import make_dot_product_tile, make_outer_product_tile

from .other_targets import DOT, OUTER, TARGETS, compile_tile


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
    how, tiles = TARGETS[target], register_tiles.TILES[target]
    if what == "dot products":
        rows, columns = tiles.dots
        tile, arguments, loads = make_dot_product_tile(rows, columns), DOT, (rows + columns) * how.registers
    else:
        rows, columns = tiles.packed_rows if what == "packed" else tiles.rows, 2
        tile, arguments, loads = make_outer_product_tile(rows, columns), OUTER, 2 * how.registers + rows
    machine, code = compile_tile(tile, arguments, dtype, target, monkeypatch)
    loop = find_inner_loop(machine.emit_assembly(code).splitlines(), how.multiply_add)
    products = [line for line in loop if re.search(how.multiply_add, line)]
    sums = {re.split(r"[\s,]+", line.strip())[1 if target == "neon" else -1] for line in products}
    assert len(sums) == rows * columns * how.registers
    times = len(products) // len(sums)  # as often as LLVM has unrolled the loop
    assert len(products) == times * len(sums)
    assert sum(count_loads(line) for line in loop) == times * loads
    if times == 1 or llvm.llvm_version_info >= (21,):  # LLVM 20 keeps pointers of rows in memory where it unrolls
        assert not [line for line in loop if re.search(how.stack, line)], "a spill"


def count_loads(line: str) -> int:
    """How many vectors or numbers a line loads."""
    if re.match(r"\s(ldr|ldur|ld1r?)\s", line):
        return 1
    return 2 if re.match(r"\sldp\s", line) else int(bool(re.match(r"\sv\w+\s.*\(%", line)))
