"""Maximum of each window of an image row, a SIMD vector of windows at a time."""

from ...compiler.arrays import simd_lanes
from ...compiler.numba_api import cgutils, intrinsic, ir, types


@intrinsic
def largest_line(
    typing_context, x, x_at, x_row, rows, columns, step, stride, left, width, y, y_at, places, place, count
):  # fmt: skip
    """y[y_at + c] = the largest number of window c, places[y_at + c] = where it stands; c < count; all are vectors.

    Window c has the numbers x[x_at + i x_row + q] with i < rows and q = stride c + left + step j, j < columns, as far
    as 0 <= q < width; their places are place + i x_row + q. Of equal numbers the first counts, and a NaN before all.
    """

    def generate(context, builder, signature, args):
        data = [context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, x), (9, y), (11, places))]
        _, x_at, x_row, rows, columns, step, stride, left, width, _, y_at, _, place, count = args
        window = (builder.gep(data[0], [x_at]), x_row, rows, columns, step, left, width, place)
        results = [builder.gep(each, [y_at]) for each in data[1:]]
        number, size = context.get_value_type(x.dtype), simd_lanes(x.dtype)
        with builder.if_else(builder.icmp_signed("<=", stride, cgutils.intp_t(2))) as (near, far):
            with near, builder.if_else(builder.icmp_signed("==", stride, cgutils.intp_t(2))) as (two, one):
                with two:
                    Line(builder, number, size, cgutils.intp_t(2), pairs=True).write(window, results, count)
                with one:
                    Line(builder, number, size, cgutils.intp_t(1)).write(window, results, count)
            with far:
                Line(builder, number, 1, stride).write(window, results, count)
        return context.get_dummy_value()

    n = types.intp
    return types.none(x, n, n, n, n, n, n, n, n, y, n, places, n, n), generate


class Line:
    """LLVM code for `size` windows at a time.

    pairs: they are two numbers apart, so every other one is taken of twice as many.
    """

    def __init__(self, builder, number, size: int, stride, pairs: bool = False):
        self.builder, self.number, self.size, self.stride, self.pairs = builder, number, size, stride, pairs
        self.whole = ir.IntType(32)
        self.align = ir.Constant(self.whole, 4 if isinstance(number, ir.FloatType) else 8)

    def vector(self, kind):
        return ir.VectorType(kind, self.size)

    def all(self, value):
        """Splat a number to all SIMD lanes."""
        kind = self.vector(value.type)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(self.whole, 0))
        zeros = ir.Constant(self.vector(self.whole), [0] * self.size)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)

    def short(self, value):
        """A 32-bit integer constant."""
        return self.builder.trunc(value, self.whole)

    def counted(self, first: int = 0):
        """The SIMD vector first, first + 1, first + 2, ..."""
        return ir.Constant(self.vector(self.whole), [first + k for k in range(self.size)])

    def below(self, numbers, limit):
        return self.builder.icmp_signed("<", numbers, self.all(self.short(limit)))

    def inside(self, numbers, width):
        """Which numbers are places of a row: one comparison, since those below zero are large without a sign."""
        return self.builder.icmp_unsigned("<", numbers, self.all(self.short(width)))

    def load(self, pointer, mask):
        name, kind = self.name(self.number), self.vector(self.number)
        pointer = self.builder.bitcast(pointer, kind.as_pointer())
        function = ir.FunctionType(kind, [pointer.type, self.whole, mask.type, kind])
        load = cgutils.get_or_insert_function(self.builder.module, function, f"llvm.masked.load.{name}.p0")
        return self.builder.call(load, [pointer, self.align, mask, ir.Constant(kind, [0] * self.size)])

    def store(self, value, pointer, mask):
        name = self.name(value.type.element)
        pointer = self.builder.bitcast(pointer, value.type.as_pointer())
        function = ir.FunctionType(ir.VoidType(), [value.type, pointer.type, self.whole, mask.type])
        store = cgutils.get_or_insert_function(self.builder.module, function, f"llvm.masked.store.{name}.p0")
        align = self.align if value.type.element == self.number else ir.Constant(self.whole, 4)
        self.builder.call(store, [value, pointer, align, mask])

    def name(self, kind) -> str:
        bits = {ir.FloatType: "f32", ir.DoubleType: "f64"}.get(type(kind), "i32")
        return f"v{self.size}{bits}"

    def write(self, window, results, count):
        """Emit code for all windows of the row."""
        builder, size = self.builder, cgutils.intp_t(self.size)
        with cgutils.for_range_slice(builder, cgutils.intp_t(0), count, size) as (first, _):
            there = self.below(self.counted(), builder.sub(count, first))
            best, where = self.largest(window, first, there)
            for value, pointer in zip((best, where), results, strict=True):
                self.store(value, builder.gep(pointer, [first]), there)

    def largest(self, window, first, there):
        """Emit code for the maxima of the windows from `first` on, and their positions."""
        builder, (source, x_row, rows, columns, step, left, width, place) = self.builder, window
        kinds = self.vector(self.number), self.vector(self.whole), there.type
        best, where, position = (cgutils.alloca_once(builder, kind) for kind in kinds)
        builder.store(ir.Constant(position.type.pointee, [0] * self.size), position)
        across = builder.add(left, builder.mul(self.stride, first))
        with cgutils.for_range(builder, rows) as row, cgutils.for_range(builder, columns) as column:
            down, q = builder.mul(row.index, x_row), builder.add(across, builder.mul(step, column.index))
            places = builder.mul(self.counted(), self.all(self.short(self.stride)))
            valid = builder.and_(there, self.inside(builder.add(self.all(self.short(q)), places), width))
            numbers = self.numbers(builder.gep(source, [builder.add(down, q)]), q, width, valid)
            places = builder.add(places, self.all(self.short(builder.add(builder.add(place, down), q))))
            old, had = builder.load(best), builder.load(position)
            exceeds = builder.and_(
                builder.fcmp_unordered(">", numbers, old), builder.fcmp_ordered("ord", old, old)
            )  # or it is a NaN, and the old one is none
            exceeds = builder.and_(valid, builder.or_(builder.not_(had), exceeds))
            builder.store(builder.select(exceeds, numbers, old), best)
            builder.store(builder.select(exceeds, places, builder.load(where)), where)
            builder.store(builder.or_(had, valid), position)
        return builder.load(best), builder.load(where)

    def numbers(self, pointer, q, width, valid):
        """Load the numbers of the windows at position q of a row, where they are valid."""
        if not self.pairs:
            return self.load(pointer, valid)
        halves = []
        for first in (0, self.size):
            places = self.builder.add(self.all(self.short(q)), self.counted(first))
            at = self.builder.gep(pointer, [cgutils.intp_t(first)])
            halves.append(self.load(at, self.inside(places, width)))
        every_other = ir.Constant(self.vector(self.whole), [2 * k for k in range(self.size)])
        return self.builder.shuffle_vector(*halves, every_other)
