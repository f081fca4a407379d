"""The register tiles as NEON code, run by QEMU where it and a compiler for ARM are installed: right numbers.

On Debian: apt install qemu-user gcc-aarch64-linux-gnu.
"""

import shutil
import subprocess

import numpy as np
import pytest
from bprop.modules.compiler.numba_api import types
from bprop.modules.kernels.matmul import register_tiles
from bprop.modules.kernels.matmul.micro_kernels import make_dot_product_tile, make_outer_product_tile

from .other_targets import DOT, OUTER, compile_tile

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
pytestmark = pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR)), reason=f"{COMPILER} or {EMULATOR} is not installed"
)
TILES = register_tiles.TILES["neon"]
MAIN = """
#include <stdio.h>
void tile({parameters});
static {scalar} a[{sizes[0]}], b[{sizes[1]}], c[{sizes[2]}];
int main(void) {{
    if (fread(a, sizeof *a, {sizes[0]}, stdin) + fread(b, sizeof *b, {sizes[1]}, stdin)
        + fread(c, sizeof *c, {sizes[2]}, stdin) != {sizes[0]} + {sizes[1]} + {sizes[2]}) return 1;
{calls}
    fwrite(c, sizeof *c, {sizes[2]}, stdout);
    return 0;
}}
"""


def run_on_arm(tile, letters: str, dtype, calls, data, folder, monkeypatch):
    """c after calls of a tile, each a list of its arguments without the arrays (a, b, c), of vectors of numbers."""
    machine, code = compile_tile(tile, letters, dtype, "neon", monkeypatch)
    (folder / "tile.o").write_bytes(machine.emit_object(code))
    scalar = {"float32": "float", "float64": "double"}[str(dtype)]
    lines = []
    for call in calls:
        arrays, others = iter("abc"), iter(call)
        words = [next(arrays) if letter == "A" else str(int(next(others))) for letter in letters]
        lines.append(f"    tile({', '.join(words)});")
    kinds = {"A": f"{scalar} *", "n": "long", "b": "_Bool"}
    text = MAIN.format(
        parameters=", ".join(kinds[letter] for letter in letters),
        scalar=scalar,
        sizes=[array.size for array in data],
        calls="\n".join(lines),
    )
    (folder / "main.c").write_text(text)
    command = [COMPILER, "-static", "-O1", "-o", folder / "main", folder / "main.c", folder / "tile.o"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    given = b"".join(array.tobytes() for array in data)
    done = subprocess.run([EMULATOR, folder / "main"], input=given, check=True, capture_output=True, timeout=120)
    return np.frombuffer(done.stdout, data[2].dtype).reshape(data[2].shape)


@pytest.mark.parametrize("dtype", [types.float32, types.float64], ids=str)
@pytest.mark.parametrize("rows", sorted({TILES.packed_rows, TILES.rows}))
def test_outer_products(rows, dtype, random, tmp_path, monkeypatch):
    """A whole tile; fewer rows, of other strides; and a tile added where another has been."""
    columns, terms = 2 * 32 // (dtype.bitwidth // 8), 7
    a, b, c = (random.standard_normal(shape).astype(str(dtype)) for shape in ((9, 24), (9, 80), (3 * rows, columns)))
    few = rows - 1
    calls = [
        # a: offset, strides of i and k; b: offset, stride of k; c: offset, stride of i; rows, terms, add, skip
        [0, 1, 24, 0, 80, 0, columns, rows, terms, False, 0],
        [2, 24, 1, 80, 80, rows * columns, columns, few, terms, False, 0],
        [0, 1, 24, 0, 80, 2 * rows * columns, columns, rows, terms, True, 3],
    ]
    expected = c.astype(np.float64)
    wide, tall = a.astype(np.float64), b.astype(np.float64)
    expected[:rows] = wide[:terms, :rows].T @ tall[:terms, :columns]
    expected[rows : rows + few] = wide[:few, 2 : 2 + terms] @ tall[1 : 1 + terms, :columns]
    expected[2 * rows :, 3:] += (wide[:terms, :rows].T @ tall[:terms, :columns])[:, 3:]
    actual = run_on_arm(make_outer_product_tile(rows, 2), OUTER, dtype, calls, (a, b, c), tmp_path, monkeypatch)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 if dtype is types.float32 else 1e-13)


@pytest.mark.parametrize("dtype", [types.float32, types.float64], ids=str)
def test_dot_products(dtype, random, tmp_path, monkeypatch):
    """A whole tile with a rest of terms, fewer rows and columns, and terms in two runs, added."""
    rows, columns = TILES.dots
    a, b, c = (random.standard_normal(shape).astype(str(dtype)) for shape in ((rows, 50), (columns, 50), (3 * rows, 9)))
    calls = [
        # a: offset, stride; b: offset, stride; c: offset, stride; rows, columns, runs, from run to run, terms, add
        [0, 50, 0, 50, 0, 9, rows, columns, 1, 0, 37, False],
        [0, 50, 0, 50, 9 * rows, 9, rows - 1, columns - 1, 1, 0, 16, False],
        [0, 50, 0, 50, 18 * rows, 9, rows, columns, 2, 25, 11, True],
    ]
    expected, left, right = c.astype(np.float64), a.astype(np.float64), b.astype(np.float64)
    expected[:rows, :columns] = left[:, :37] @ right[:, :37].T
    expected[rows : 2 * rows - 1, : columns - 1] = left[: rows - 1, :16] @ right[: columns - 1, :16].T
    expected[2 * rows :, :columns] += left[:, :11] @ right[:, :11].T + left[:, 25:36] @ right[:, 25:36].T
    actual = run_on_arm(make_dot_product_tile(rows, columns), DOT, dtype, calls, (a, b, c), tmp_path, monkeypatch)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 if dtype is types.float32 else 1e-13)
