"""The table of small matrix products whose sizes are constants of their machine code.

`multiply` looks each small product up by its sizes, as LIBXSMM's dispatch does (Heinecke et al., LIBXSMM: accelerating
small matrix multiplications by runtime code generation, 2016). Where the table has no code it counts the calls: what
is called often is compiled in another process and entered here (see engine/specialization.py). The results are the
same bits.
"""

from dataclasses import dataclass

import numpy as np

from ...compiler.kernel import kernel
from ...compiler.numba_api import cgutils, ir
from ..shared_words import make_shared_words
from ..threads import PART_FLOPS

SMALL_FLOPS = 2 * PART_FLOPS  # below, a product runs in one thread, and it is looked up
SLOTS, SLOT, KEY, ADDRESS, COUNT = 4096, 4, 0, 1, 2  # a slot's words: the sizes, the code's address, calls without it
PROBES = 16  # slots in which a product may be: of 1,536 products, four left ten without one
DATA = 4  # the place of the pointer to the numbers among the words of an array
HASH = 0x1E3779B97F4A7C15  # odd, its bits well mixed
SIZE_BITS = 16  # bits of a size in a key
FLOPS, CALL_SECONDS = 3e10, 1e-7  # about: operations a second, and seconds of a call

TABLE, load, store, _, compare_exchange = make_shared_words("bprop_products", SLOTS * SLOT)


@dataclass(frozen=True)
class Product:
    """A product out (m, n) = a (m, k) b (k, n) of numbers of `item_size` bytes.

    Operands lie by rows, or by columns if `a_by_columns` and `b_by_columns`; out lies by rows.
    """

    m: int
    n: int
    k: int
    a_by_columns: bool
    b_by_columns: bool
    item_size: int

    @classmethod
    def from_key(cls, key: int) -> "Product":
        """The product of a key of the table."""
        m, n, k = (key >> SIZE_BITS * place & 0xFFFF for place in range(3))
        flags = key >> 3 * SIZE_BITS
        return cls(m, n, k, bool(flags & 1), bool(flags & 2), 8 if flags & 4 else 4)

    def key(self) -> int:
        """The key in the table."""
        flags = make_flags(self.a_by_columns, self.b_by_columns, self.item_size)
        return self.m | self.n << SIZE_BITS | self.k << 2 * SIZE_BITS | flags << 3 * SIZE_BITS

    def strides(self) -> tuple[int, int, int, int]:
        """The strides a_i, a_k, b_k, b_j that `multiply` takes."""
        a = (1, self.m) if self.a_by_columns else (self.k, 1)
        return *a, *((1, self.k) if self.b_by_columns else (self.n, 1))


def make_flags(a_by_columns: bool, b_by_columns: bool, item_size: int) -> int:
    """The part of a key that is not sizes."""
    return int(a_by_columns) + 2 * int(b_by_columns) + 4 * int(item_size == 8)


@kernel
def find_specialized(m, n, k, flags):
    """Find the address of a product's own code; 0 without it: then the call is counted."""
    if min(m, n, k) < 1 or max(m, n, k) > 0xFFFF or 2 * m * n * k >= SMALL_FLOPS:
        return 0
    key = m | n << SIZE_BITS | k << 2 * SIZE_BITS | flags << 3 * SIZE_BITS
    slot = key * HASH >> 40 & SLOTS - 1
    for probe in range(PROBES):
        place = (slot ^ probe) * SLOT
        owner = load(place + KEY)
        if owner == 0:
            owner = compare_exchange(place + KEY, 0, key)
        if owner == key or owner == 0:
            address = load(place + ADDRESS)
            if address == 0:
                store(place + COUNT, load(place + COUNT) + 1)
            return address
    return 0


def call_specialized(context, builder, address, vectors, add):
    """Call a product's own code, at an address, with three arrays and whether to add to the last; all LLVM values."""
    memory = cgutils.alloca_once(builder, cgutils.intp_t, 2)  # for what functions of numba return
    data = [builder.extract_value(vector, DATA) for vector in vectors]
    values = [builder.bitcast(pointer, cgutils.voidptr_t) for pointer in (memory, memory, *data)]
    kind = ir.FunctionType(ir.IntType(32), [*[cgutils.voidptr_t] * 5, ir.IntType(8)])
    builder.call(builder.inttoptr(address, kind.as_pointer()), [*values, builder.zext(add, ir.IntType(8))])


def list_called(least: float = -1.0) -> list[tuple[Product, float]]:
    """List the products without code of their own that have taken more than `least` seconds; with these, about."""
    table = TABLE.reshape(SLOTS, SLOT)
    keys, calls = table[(table[:, KEY] != 0) & (table[:, ADDRESS] == 0)][:, (KEY, COUNT)].T
    flops = 2.0 * np.prod([keys >> SIZE_BITS * place & 0xFFFF for place in range(3)], axis=0)
    seconds = calls * (CALL_SECONDS + flops / FLOPS)
    return [(Product.from_key(int(keys[k])), float(seconds[k])) for k in np.flatnonzero(seconds > least)]


def enter_code(product: Product, address: int) -> None:
    """Enter the address of a product's own code, which calls from now on use."""
    table = TABLE.reshape(SLOTS, SLOT)
    table[table[:, KEY] == product.key(), ADDRESS] = address
