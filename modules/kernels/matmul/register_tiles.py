"""The register tiles of matrix products, and their blocks, by instruction set.

A tile of c = a b keeps its sums in registers while it goes through the terms: at each, it loads vectors of a row of b
and broadcasts a number from each row of a. A core that begins two multiply-adds a cycle and ends each after four needs
eight sums at least, and a few more hide the loads. Vectors are of 64 bytes with AVX-512 and of 32 elsewhere: LLVM
splits those into halves where registers have 16 bytes.

BLIS uses, for its rows and columns of float32: Haswell and Zen 6 x 16, Skylake-X 12 x 32, ARMv8 8 x 12, SSE 8 x 4.
Source: Van Zee and van de Geijn, BLIS: a framework for rapidly instantiating BLAS functionality (2015), section 3.
"""

from dataclasses import dataclass

from ...compiler.instruction_set import VECTOR_BYTES, cpu_features, is_x86


@dataclass(frozen=True)
class RegisterTiles:
    """The tiles and blocks of one instruction set; the tiles of sums are two vectors wide, all work for both types.

    packed_rows: of a tile of packed operands; rows: of a tile that reads its operands where they lie; dots: rows and
    columns of a tile of dot products, whose sums are vectors; block_rows: of a
    packed block at most, whole tiles; shared_rows: of a block of a small batch's product, so that there are some to
    share. An operand is not packed for few rows of out (`few_rows`), or for `some_rows` of at most `few_terms` terms,
    or for `many_rows` of at most `very_few_terms` terms.
    """

    packed_rows: int
    rows: int
    block_rows: int
    shared_rows: int
    dots: tuple[int, int] = (4, 3)
    few_rows: int = 12
    some_rows: int = 48
    few_terms: int = 128
    many_rows: int = 256
    very_few_terms: int = 32


TILES = {
    "avx512": RegisterTiles(packed_rows=8, rows=4, block_rows=128, shared_rows=32, some_rows=256),
    "avx2": RegisterTiles(packed_rows=6, rows=6, block_rows=132, shared_rows=36),
    "neon": RegisterTiles(
        packed_rows=6, rows=6, block_rows=132, shared_rows=36, dots=(3, 3)
    ),  # vectors are two registers
    "other": RegisterTiles(packed_rows=4, rows=4, block_rows=128, shared_rows=32, some_rows=256),  # AVX; SSE in halves
}


NARROW = is_x86() and VECTOR_BYTES == 64  # whether the last columns of out may be half a SIMD vector


def choose_tiles() -> RegisterTiles:
    """The tiles of the instruction set that code is compiled for."""
    if not is_x86():
        return TILES["neon"]
    return TILES["avx512" if VECTOR_BYTES == 64 else "avx2" if "avx2" in cpu_features() else "other"]
