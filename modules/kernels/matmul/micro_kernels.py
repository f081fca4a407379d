"""GEMM micro-kernels: small tiles of matrix products in SIMD vectors, whose sums stay in registers.

BLAS packs its operands first; for the matrices of small models that costs more than the product. A tile here reads them
where they lie. Two forms cover the three products of a linear layer: sums over rows of the right operand (grad_x and
grad_weight), and dot products of rows (y = x Wᵀ).
"""

from ...compiler.arrays import simd_lanes
from ...compiler.instruction_set import cpu_features, is_x86
from ...compiler.numba_api import cgutils, intrinsic, ir, types

# Where there is no fused multiply-add, LLVM calls a function of libm for each number of `fma`.
MULTIPLY_ADD = "fma" if not is_x86() or "fma" in cpu_features() else "fmuladd"


class Tile:
    """Base of all micro-kernels: pointers, SIMD vectors, sums in registers."""

    def __init__(self, context, builder, dtype, width=None):
        self.builder, width = builder, width or simd_lanes(dtype)
        self.scalar = context.get_value_type(dtype)
        self.vector = ir.VectorType(self.scalar, width) if width > 1 else self.scalar
        self.width, self.align = width, dtype.bitwidth // 8

    def pointer(self, base, *offsets):
        for offset in offsets:
            base = self.builder.gep(base, [offset])
        return base

    def times(self, count: int, stride):
        return self.builder.mul(cgutils.intp_t(count), stride)

    def load(self, pointer):
        return self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.align)

    def load_some(self, pointer, mask):
        """Load the SIMD lanes of the mask; the others are zero."""
        name = f"v{self.width}f{self.align * 8}"
        pointer = self.builder.bitcast(pointer, self.vector.as_pointer())
        masks = ir.VectorType(ir.IntType(1), self.width)
        kind = ir.FunctionType(self.vector, [pointer.type, ir.IntType(32), masks, self.vector])
        load = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.load.{name}.p0")
        zero = self.broadcast(ir.Constant(self.scalar, 0.0))
        return self.builder.call(load, [pointer, ir.Constant(ir.IntType(32), self.align), mask, zero])

    def store_some(self, value, pointer, mask):
        """Store the SIMD lanes of the mask."""
        pointer = self.builder.bitcast(pointer, self.vector.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [self.vector, pointer.type, ir.IntType(32), mask.type])
        name = f"llvm.masked.store.v{self.width}f{self.align * 8}.p0"
        write = cgutils.get_or_insert_function(self.builder.module, kind, name)
        self.builder.call(write, [value, pointer, ir.Constant(ir.IntType(32), self.align), mask])

    def store(self, value, pointer):
        self.builder.store(value, self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.align)

    def broadcast(self, number):
        if self.width == 1:
            return number
        undefined = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.builder.shuffle_vector(one, undefined, mask)

    def sums(self, count):
        slots = [cgutils.alloca_once(self.builder, self.vector) for _ in range(count)]
        for slot in slots:
            self.builder.store(self.broadcast(ir.Constant(self.scalar, 0.0)), slot)
        return slots

    def add_product(self, slot, a, b):
        name = f"f{self.align * 8}" if self.width == 1 else f"v{self.width}f{self.align * 8}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        fma = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{MULTIPLY_ADD}.{name}")
        self.builder.store(self.builder.call(fma, [a, b, self.builder.load(slot)]), slot)

    def total(self, value):
        """Sum a SIMD vector's elements, by halves."""
        width = self.width
        while width > 1:
            half = width // 2
            low, high = ([*range(k * half, k * half + half)] for k in (0, 1))
            kind = ir.VectorType(ir.IntType(32), half)
            parts = [self.builder.shuffle_vector(value, value, ir.Constant(kind, part)) for part in (low, high)]
            value, width = self.builder.fadd(*parts), half
        if self.width > 1:
            value = self.builder.extract_element(value, ir.Constant(ir.IntType(32), 0))
        return value

    def mask_from(self, first, base: int):
        """The mask of the SIMD lanes whose column, counted from `base`, is at least `first`."""
        columns = ir.Constant(ir.VectorType(cgutils.intp_t, self.width), [base + k for k in range(self.width)])
        undefined = ir.Constant(columns.type, ir.Undefined)
        one = self.builder.insert_element(undefined, first, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.builder.icmp_signed(">=", columns, self.builder.shuffle_vector(one, undefined, zeros))

    def rows(self, base, stride, count, real):
        """Pointers to `count` rows, by their stride or a table; those from `real` on stand for the last real one."""
        last = self.builder.sub(real, cgutils.intp_t(1))
        pointers = []
        for i in range(count):
            inside = self.builder.icmp_signed("<", cgutils.intp_t(i), real)
            row = self.builder.select(inside, cgutils.intp_t(i), last)
            offset = stride(row) if callable(stride) else self.builder.mul(row, stride)
            pointers.append(self.builder.gep(base, [offset]))
        return pointers


def stride_type(kind):
    """The numba type of an argument that is a stride, or a table of the offsets of each row."""
    return kind if isinstance(kind, types.Array) else types.intp


def table(context, builder, kind, value):
    """A function from row to offset for a table; a stride as it is."""
    if not isinstance(kind, types.Array):
        return value
    data = context.make_array(kind)(context, builder, value).data
    return lambda index: builder.load(builder.gep(data, [index]))


def make_outer_product_tile(rows: int, vectors: int, share: int = 1):
    """Make the tile c[i, j] (+)= Σₖ a[i, k] b[k, j] of `rows` rows and `vectors` vectors of columns.

    Args: share: the part of a SIMD vector, one in so many, that the tile's vectors are.

    Its arguments: a (offset, strides of i and k), b (offset, stride of k or a table of row k's offsets), c (offset,
    stride of i), the number of rows that are there (the others repeat the last), the number of k, whether to add to c,
    and how many of the first columns to leave as they are when adding (another tile has been there).
    """

    @intrinsic
    def tile(typing_context, a, a_at, a_i, a_k, b, b_at, b_k, c, c_at, c_i, real, count, add, skip):
        kind = stride_type(b_k)

        def generate(context, builder, signature, args):
            data = [context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, a), (4, b), (7, c))]
            _, a_at, a_i, a_k, _, b_at, b_k, _, c_at, c_i, real, count, add_to, skip = args
            t = Tile(context, builder, a.dtype, max(1, simd_lanes(a.dtype) // share))
            width = t.width
            a0, b0, c0 = (builder.gep(base, [at]) for base, at in zip(data, (a_at, b_at, c_at), strict=True))
            step = [cgutils.intp_t(v * width) for v in range(vectors)]
            left = t.rows(a0, a_i, rows, real)
            slots = t.sums(rows * vectors)
            offsets = table(context, builder, kind, b_k)
            with cgutils.for_range(builder, count) as loop:
                offset = offsets(loop.index) if callable(offsets) else builder.mul(loop.index, b_k)
                b_row = builder.gep(b0, [offset])
                at = builder.mul(loop.index, a_k)
                right = [t.load(builder.gep(b_row, [s])) for s in step]
                for i in range(rows):
                    number = t.broadcast(builder.load(builder.gep(left[i], [at])))
                    for v in range(vectors):
                        t.add_product(slots[i * vectors + v], number, right[v])
            result = t.rows(c0, c_i, rows, real)  # found here, so that the loop has their registers
            places = [
                (builder.gep(result[i], [step[v]]), slots[i * vectors + v], v)
                for i in range(rows)
                for v in range(vectors)
            ]
            with builder.if_else(add_to) as (adding, setting):
                with adding:
                    masks = [t.mask_from(skip, v * width) for v in range(vectors)]
                    zero = t.broadcast(ir.Constant(t.scalar, 0.0))
                    new = [
                        builder.fadd(t.load(pointer), builder.select(masks[v], builder.load(slot), zero))
                        for pointer, slot, v in places
                    ]
                    for (pointer, _, _), value in zip(places, new, strict=True):
                        t.store(value, pointer)
                with setting:
                    for pointer, slot, _ in places:
                        t.store(builder.load(slot), pointer)
            return context.get_dummy_value()

        n = types.intp
        return types.none(a, n, n, n, b, n, kind, c, n, n, n, n, types.boolean, n), generate

    return tile


def make_dot_product_tile(rows: int, columns: int):
    """Make the tile c[i, j] (+)= Σₖ a[i, k] b[j, k] of `rows` rows of a and `columns` rows of b.

    Its arguments: a (offset, stride of i), b (offset, stride of j or a table of row j's offsets), c (offset, stride of
    i), the numbers of rows and of columns that are there (the others repeat the last), where the k lie: how many runs,
    from one to the next, and how many in a row, and whether to add to c.
    """

    @intrinsic
    def tile(typing_context, a, a_at, a_i, b, b_at, b_j, c, c_at, c_i, real, real_columns, runs, pitch, count, add):
        kind = stride_type(b_j)

        def generate(context, builder, signature, args):
            data = [context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, a), (3, b), (6, c))]
            _, a_at, a_i, _, b_at, b_j, _, c_at, c_i, real, real_columns, runs, pitch, count, add_to = args
            t = Tile(context, builder, a.dtype)
            width = t.width
            a0, b0, c0 = (builder.gep(base, [at]) for base, at in zip(data, (a_at, b_at, c_at), strict=True))
            left = t.rows(a0, a_i, rows, real)
            right = t.rows(b0, table(context, builder, kind, b_j), columns, real_columns)
            slots = t.sums(rows * columns)

            def add_products(at, load):
                b_vectors = [load(builder.gep(pointer, [at])) for pointer in right]
                for i in range(rows):
                    a_vector = load(builder.gep(left[i], [at]))
                    for j in range(columns):
                        t.add_product(slots[i * columns + j], a_vector, b_vectors[j])

            whole = builder.sdiv(count, cgutils.intp_t(width))
            done = builder.mul(whole, cgutils.intp_t(width))
            with cgutils.for_range(builder, runs) as run:
                first = builder.mul(run.index, pitch)
                with cgutils.for_range(builder, whole) as loop:
                    add_products(builder.add(first, builder.mul(loop.index, cgutils.intp_t(width))), t.load)
                with builder.if_then(builder.icmp_signed("<", done, count)):
                    mask = builder.not_(t.mask_from(builder.sub(count, done), 0))
                    add_products(builder.add(first, done), lambda pointer: t.load_some(pointer, mask))
            totals = [t.total(builder.load(slot)) for slot in slots]
            across = t.rows(c0, cgutils.intp_t(1), columns, real_columns)
            offsets = [
                builder.sub(builder.ptrtoint(p, cgutils.intp_t), builder.ptrtoint(c0, cgutils.intp_t)) for p in across
            ]
            size = cgutils.intp_t(a.dtype.bitwidth // 8)
            places = [
                (builder.gep(row, [builder.sdiv(offset, size)]), totals[i * columns + j])
                for i, row in enumerate(t.rows(c0, c_i, rows, real))
                for j, offset in enumerate(offsets)
            ]
            zero = ir.Constant(t.scalar, 0.0)
            new = [
                builder.fadd(total, builder.select(add_to, builder.load(pointer), zero)) for pointer, total in places
            ]
            for (pointer, _), value in zip(places, new, strict=True):
                builder.store(value, pointer)
            return context.get_dummy_value()

        n = types.intp
        return types.none(a, n, n, b, n, kind, c, n, n, n, n, n, n, n, types.boolean), generate

    return tile


@intrinsic
def sum_slice(typing_context, a, at, count):
    """Σₖ a[at + k], k < count; a is a vector."""

    def generate(context, builder, signature, args):
        t = Tile(context, builder, a.dtype)
        first = builder.gep(context.make_array(a)(context, builder, args[0]).data, [args[1]])
        (slot,), width = t.sums(1), cgutils.intp_t(t.width)
        whole = builder.sdiv(args[2], width)
        done = builder.mul(whole, width)
        with cgutils.for_range(builder, whole) as loop:
            numbers = t.load(builder.gep(first, [builder.mul(loop.index, width)]))
            builder.store(builder.fadd(builder.load(slot), numbers), slot)
        mask = builder.not_(t.mask_from(builder.sub(args[2], done), 0))
        return t.total(builder.fadd(builder.load(slot), t.load_some(builder.gep(first, [done]), mask)))

    return a.dtype(a, types.intp, types.intp), generate


def make_copy(width):
    """Make the copy of `width(lanes)` numbers from a at an offset to b at an offset."""

    @intrinsic
    def copy(typing_context, a, a_at, b, b_at):
        def generate(context, builder, signature, args):
            source, target = (context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, a), (2, b)))
            t = Tile(context, builder, a.dtype, width(simd_lanes(a.dtype)))
            t.store(t.load(builder.gep(source, [args[1]])), builder.gep(target, [args[3]]))
            return context.get_dummy_value()

        return types.none(a, types.intp, b, types.intp), generate

    return copy


def make_prefetch(vectors: int, write: bool):
    """Make the prefetch of `vectors` SIMD vectors of a, from an offset on: into L2 for reading, or L1 for writing.

    What is read later goes to L2, as L1 is full of what is summed now.
    """

    @intrinsic
    def fetch(typing_context, a, at):
        def generate(context, builder, signature, args):
            first = builder.gep(context.make_array(a)(context, builder, args[0]).data, [args[1]])
            whole = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, whole, whole, whole])
            hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            for k in range(vectors + 1):  # they need not begin at a cache line
                place = builder.gep(first, [cgutils.intp_t(k * simd_lanes(a.dtype))])
                settings = [ir.Constant(whole, number) for number in (int(write), 3 if write else 2, 1)]
                builder.call(hint, [builder.bitcast(place, cgutils.voidptr_t), *settings])
            return context.get_dummy_value()

        return types.none(a, types.intp), generate

    return fetch


def make_transpose(share: int = 1):
    """Make the copy b[r, c] = a[c, r] of a square block, as wide as one SIMD vector, or as one in `share` of it.

    Its arguments: a (offset, stride of rows or a table of their offsets), b likewise.
    """

    @intrinsic
    def transpose(typing_context, a, a_at, a_i, b, b_at, b_i):
        kinds = stride_type(a_i), stride_type(b_i)

        def generate(context, builder, signature, args):
            source, target = (context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, a), (3, b)))
            t = Tile(context, builder, a.dtype, max(1, simd_lanes(a.dtype) // share))
            width, side = t.width, cgutils.intp_t(t.width)
            strides = [table(context, builder, kind, args[k]) for kind, k in zip(kinds, (2, 5), strict=True)]
            from_ = t.rows(builder.gep(source, [args[1]]), strides[0], width, side)
            to = t.rows(builder.gep(target, [args[4]]), strides[1], width, side)
            rows = [t.load(pointer) for pointer in from_]
            _exchange_all(builder, rows)
            for row, pointer in zip(rows, to, strict=True):
                t.store(row, pointer)
            return context.get_dummy_value()

        n = types.intp
        return types.none(a, n, kinds[0], b, n, kinds[1]), generate

    return transpose


def make_column_store():
    """Make the copy b[c, r] (+)= a[r, c] of 4 rows of one vector; the columns become runs of 4 numbers.

    Its arguments: a (offset, stride of rows), b (offset, stride of runs), whether to add.
    """

    @intrinsic
    def store_columns(typing_context, a, a_at, a_i, b, b_at, b_i, add):
        def generate(context, builder, signature, args):
            source, target = (context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, a), (3, b)))
            t, run = Tile(context, builder, a.dtype), Tile(context, builder, b.dtype, 4)
            rows = [t.load(t.pointer(source, args[1], t.times(r, args[2]))) for r in range(4)]
            _exchange_all(builder, rows)
            zero = run.broadcast(ir.Constant(t.scalar, 0.0))
            for column in range(t.width):
                first = column - column % 4
                mask = ir.Constant(ir.VectorType(ir.IntType(32), 4), list(range(first, first + 4)))
                place = t.pointer(target, args[4], t.times(column, args[5]))
                new = builder.shuffle_vector(rows[column % 4], rows[column % 4], mask)
                run.store(builder.fadd(new, builder.select(args[6], run.load(place), zero)), place)
            return context.get_dummy_value()

        n = types.intp
        return types.none(a, n, n, b, n, n, types.boolean), generate

    return store_columns


def _exchange_all(builder, rows: list) -> None:
    """Transpose the rows, vectors, in place; those of fewer rows than lanes by square blocks side by side."""
    distance = len(rows) // 2
    while distance:
        for i in (i for i in range(len(rows)) if not i & distance):
            rows[i], rows[i + distance] = _exchange(builder, rows[i], rows[i + distance], rows[i].type.count, distance)
        distance //= 2


def _exchange(builder, low, high, width: int, distance: int):
    """Exchange the off-diagonal blocks of size `distance` of two rows."""
    index = ir.VectorType(ir.IntType(32), width)
    first = [c if not c & distance else width + c - distance for c in range(width)]
    second = [c + distance if not c & distance else width + c for c in range(width)]
    return tuple(builder.shuffle_vector(low, high, ir.Constant(index, mask)) for mask in (first, second))
