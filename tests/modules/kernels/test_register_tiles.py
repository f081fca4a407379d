"""The register tiles of each instruction set: enough sums to hide latency, and as many registers as there are."""

import itertools

import numpy as np
import pytest
from bprop.modules.kernels.matmul import gemm, register_tiles

from .test_kernels import compile_entry

REGISTERS = {"avx512": (32, 64), "avx2": (16, 32), "neon": (32, 16), "other": (16, 32)}  # how many, of how many bytes


@pytest.mark.parametrize("name", REGISTERS)
def test_sums_fit_into_registers(name):
    tiles, (count, size) = register_tiles.TILES[name], REGISTERS[name]
    halves = max(1, 32 // size)  # registers of a vector
    for rows in (tiles.packed_rows, tiles.rows):
        sums = 2 * rows * halves
        assert sums >= 8, "two multiply-adds a cycle, each of four cycles"
        assert sums + 2 * halves + 1 <= count
    assert tiles.dots[0] * tiles.dots[1] * halves + (tiles.dots[1] + 1) * halves <= count
    assert tiles.block_rows % tiles.packed_rows == tiles.shared_rows % tiles.packed_rows == 0


@pytest.mark.parametrize(
    ("x86", "vector_bytes", "features", "name"),
    [
        (True, 64, {"avx512f", "avx2"}, "avx512"),
        (True, 32, {"avx2"}, "avx2"),
        (True, 32, set(), "other"),
        (False, 32, set(), "neon"),
    ],
)
def test_the_instruction_set_decides(x86, vector_bytes, features, name, monkeypatch):
    monkeypatch.setattr(register_tiles, "is_x86", lambda: x86)
    monkeypatch.setattr(register_tiles, "VECTOR_BYTES", vector_bytes)
    monkeypatch.setattr(register_tiles, "cpu_features", lambda: features)
    assert register_tiles.choose_tiles() is register_tiles.TILES[name]


@pytest.mark.jit
@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
def test_groups_of_any_number_of_rows(dtype):
    """Operands are read where they lie; the last group has the rows that are left, the last panel may overlap."""
    random, product = np.random.default_rng(0), compile_entry(gemm.matmul_into)
    for rows, columns in itertools.product(range(1, 20), (16, 24, 37)):
        a, b = random.random((rows, 9)).astype(dtype), random.random((9, columns)).astype(dtype)
        for left in (a, np.asfortranarray(a)):
            out = np.full((rows, columns), 2, dtype)
            product(left, b, out, True)
            np.testing.assert_allclose(out, 2 + a @ b, rtol=1e-6, err_msg=f"{rows} x {columns}")


@pytest.mark.parametrize(
    ("rows", "terms", "few"), [(32, 64, True), (200, 32, True), (200, 64, gemm.SOME_ROWS >= 200), (300, 8, False)]
)
def test_few_rows_are_not_packed(rows, terms, few):
    plain = getattr(gemm.are_few, "py_func", gemm.are_few)  # itself where numba is switched off
    assert plain(rows, terms) == few
