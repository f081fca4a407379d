"""The base of containers: two methods say once in which order a container calls what is in it.

The same two methods run the children as plain Python, write them into a plan, tell shapes, and make the functions by
which a module of one's own calls the container: only what `call` does with a child is different each time.
"""

import contextlib
import functools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..core.module import Module
from ..engine.operations import Operations
from ..engine.sources import digest
from ..engine.tables import changed, is_table_of_shapes
from .elementwise_merge import Sum

Call = Callable[..., Any]


class Wired(Module):
    """Base of containers, which write `wire(self, call, x) -> y` and `wire_back(self, call, grad_y) -> grad_x`.

    `call(child, "fprop", x)` runs a child's method. Several arrays together are a tuple, a table: a container may take
    tables apart and make new ones, but not look at what is in them.
    """

    framework_base = True

    def wire(self, call: Call, x):
        """y, by calls of the children's `fprop`."""
        raise NotImplementedError(f"{type(self).__name__} has no wire: write `def wire(self, call, x)`")

    def wire_back(self, call: Call, grad_y):
        """grad_x, by calls of the children's `bprop`, in the reverse order."""
        raise NotImplementedError(f"{type(self).__name__} has no wire_back: write `def wire_back(self, call, grad_y)`")

    def fprop(self, x):
        return self.wire(run, x)

    def bprop(self, grad_y):
        return self.wire_back(run, grad_y)

    def write_fprop(self, operations, x):
        vars(self)["_input"] = changed(lambda _: None, x)  # whether it is a table, and of how many
        return self.wire(partial(write, operations), x)

    def write_bprop(self, operations, grad_y):
        return self.wire_back(partial(write, operations), grad_y)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return plain_shape(self.wire(tell_shape, Shape.of(input_shape)))

    def check_arguments(self, *shapes):
        return self.output_shape(*shapes)

    def joint(self, name: str, make: Callable[[], Module]) -> Module:
        """The joint of this name, which is made when it is first needed: nothing that is there already changes."""
        if name not in self._modules:
            joint = make().to(self.dtype)
            vars(joint)["_parent"] = weakref.ref(self)
            self._modules[name] = joint
        return self._modules[name]

    def sum_of(self, call: Call, name: str, grads: list):
        """The sum of the gradients that several readers have of one array, or of one table."""
        total = grads[0]
        for k, grad in enumerate(grads[1:], start=1):
            total = self._sum_of_two(call, f"{name}{k}", total, grad)
        return total

    def _sum_of_two(self, call: Call, name: str, a, b):
        if type(a) is tuple:
            pairs = zip(a, b, strict=True)
            return tuple(self._sum_of_two(call, f"{name}_{i}", *pair) for i, pair in enumerate(pairs))
        return call(self.joint(name, Sum), "bprop", a, b)

    @property
    def label_arguments(self) -> tuple[int, ...]:  # type: ignore[override]
        """(0,) if all modules that read x first want whole numbers."""
        if vars(self)["_labels"] is None:
            vars(self)["_labels"] = (0,) if self.which_are_labels(None) is True else ()
        return vars(self)["_labels"]

    def which_are_labels(self, x):
        inputs = changed(lambda _: Source(), x)
        with contextlib.suppress(Exception):  # what does not fit is refused elsewhere
            self.wire(note_readers, inputs)
        return changed(Source.is_label, inputs)

    def children_inside(self):
        return {f"m{name}": module for name, module in self._modules.items()}

    def compiled_methods(self):
        forward, backward = self._lines()
        return {"fprop": chain(*forward), "bprop": chain(*backward)}

    def layout(self) -> str:
        return super().layout() + digest(repr(self._lines()))

    def _lines(self) -> tuple[tuple, tuple]:
        """What both passes call, line by line, and the results."""
        x, names = place_of(vars(self).get("_input"), 0), {id(child): name for name, child in self._modules.items()}
        forward = Tape(names)
        y = self.wire(forward.call, x)
        names |= {id(child): name for name, child in self._modules.items()}
        backward = Tape(names)
        y_like = changed(lambda _: None, y)
        grad_x = self.wire_back(backward.call, place_of(y_like, 0))
        return (tuple(forward.lines), y), (tuple(backward.lines), grad_x)


# -- what `call` may do ------------------------------------------------------------------------------------------


def run(child: Module, method: str, *arguments):
    """Run a child on arrays."""
    return getattr(child, method)(*arguments)


def write(operations, child: Module, method: str, *arguments):
    """Write a child into a plan, where arguments are names."""
    if method in ("fprop", "bprop"):
        return getattr(operations, method)(child, *arguments)
    return operations.call(child, method, *arguments)


class Source:
    """An array of a container's input, and of each module that reads it whether that wants labels."""

    def __init__(self):
        self.readers: list[bool] = []

    def is_label(self) -> bool:
        """Whether there are readers, and all want labels."""
        return bool(self.readers) and all(self.readers)


def note_readers(child: Module, method: str, *arguments):
    """Note who reads which source; what takes an array apart passes its labels on."""
    if isinstance(child, Wired) and method == "fprop":
        return child.wire(note_readers, *arguments)
    for k, argument in enumerate(arguments):
        if isinstance(argument, Source):
            if child.passes_labels and method == "fprop":
                return argument
            argument.readers.append(k in child.label_arguments and method == "fprop")
    return Source()


class Shape(tuple):
    """The shape of one array, which is no table; a table of arrays is a tuple of these."""

    @classmethod
    def of(cls, shape):
        """A shape, or the shapes of a table, told apart."""
        return tuple(map(cls.of, shape)) if is_table_of_shapes(shape) else cls(shape)


def plain_shape(shape):
    """The same as tuples alone."""
    return tuple(map(plain_shape, shape)) if is_table_of_shapes(shape) else tuple(shape)


def tell_shape(child: Module, method: str, *shapes):
    """The shape that a child makes of such arguments."""
    if method != "fprop":
        return ()
    try:
        return Shape.of(child.check_arguments(*shapes))
    except Exception as error:
        child.place_once(error)
        raise


def check_table(owner: Wired, x, count: int = 0) -> None:
    """ValueError unless x is a table: of names, of arrays or of shapes; of so many, if a count is given."""
    table = type(x) is tuple and (is_table_of_shapes(x) or not all(isinstance(item, int) for item in x))
    if not table:
        shape = x if isinstance(x, tuple) else getattr(x, "shape", "one array")
        raise ValueError(f"{owner.label()}: x has shape {shape}, expected a table of arrays")
    if count and len(x) != count:
        raise ValueError(f"{owner.label()}: x is a table of {len(x)} arrays, expected {count}")


@dataclass(frozen=True)
class Place:
    """A value in a chain: what line `line` made (0: the chain's argument), or an item of that table."""

    line: int
    items: tuple[int, ...] = ()


def place_of(table, line: int, items: tuple[int, ...] = ()):
    """The places of all that is in a result."""
    if type(table) is tuple:
        return tuple(place_of(inner, line, (*items, k)) for k, inner in enumerate(table))
    return Place(line, items)


class Tape:
    """Notes calls as lines (child, method, arguments); the arguments are places."""

    def __init__(self, names: dict[int, str]):
        self.names, self.lines = names, list[tuple]()
        self.made = Operations()

    def call(self, child: Module, method: str, *arguments):
        """Note a call; the places of its results."""
        result = write(self.made, child, method, *[changed(str, argument) for argument in arguments])
        name = self.names.get(id(child)) or child.path().rpartition(".")[2]
        self.lines.append((f"m{name}", method, arguments))
        return place_of(result, len(self.lines))


# -- chains of calls, for compiled code --------------------------------------------------------------------------


@functools.cache
def chain(lines: tuple, result):
    """The function (self, x) that does what the lines say; values that nobody reads any more are dropped."""
    known, function = [0], start
    for k, (name, method, arguments) in enumerate(lines, start=1):
        later = read([more for _, _, more in lines[k:]]) | read(result)
        kept = [line for line in known if line in later]
        getters = [getter(argument, tuple(known)) for argument in arguments]
        called = CALLS[method, len(arguments)](name, *getters)
        function = step(function, called, pick(tuple(known.index(line) for line in kept)))
        known = [*kept, k]
    return ending(function, getter(result, tuple(known)))


def read(value) -> set[int]:
    """The lines whose results stand in a value."""
    if isinstance(value, Place):
        return {value.line}
    return {line for item in value for line in read(item)}


def start(self, x):
    """The values before the first line."""
    return (x,)


def step(before, called, kept):
    """The function that goes on from `before` by one line."""

    def both(self, x):
        values = before(self, x)
        return kept(values) + (called(self, values),)  # noqa: RUF005 - numba has no starred tuples

    return both


def ending(function, result):
    """The function whose result is one of the values."""
    return lambda self, x: result(function(self, x))


def pick(indices: tuple[int, ...]):
    """The function that keeps the values at these indices."""
    if not indices:
        return lambda values: ()
    before, last = pick(indices[:-1]), indices[-1]
    return lambda values: before(values) + (values[last],)  # noqa: RUF005


def getter(argument, known: tuple[int, ...]):
    """The function that takes an argument from the values of the `known` lines."""
    if isinstance(argument, Place):
        return item(known.index(argument.line), argument.items)
    if len(argument) == 1:
        only = getter(argument[0], known)
        return lambda values: (only(values),)
    before, last = getter(argument[:-1], known), getter(argument[-1], known)
    return lambda values: before(values) + (last(values),)  # noqa: RUF005


def item(index: int, items: tuple[int, ...]):
    """The function values -> values[index][items[0]][items[1]]..."""
    if not items:
        return lambda values: values[index]
    before, last = item(index, items[:-1]), items[-1]
    return lambda values: before(values)[last]


CALLS: dict[tuple[str, int], Callable[..., Any]] = {  # compiled code finds methods by their names as written
    ("fprop", 1): lambda name, a: lambda self, values: getattr(self, name).fprop(a(values)),
    ("fprop", 2): lambda name, a, b: lambda self, values: getattr(self, name).fprop(a(values), b(values)),
    ("bprop", 1): lambda name, a: lambda self, values: getattr(self, name).bprop(a(values)),
    ("bprop", 2): lambda name, a, b: lambda self, values: getattr(self, name).bprop(a(values), b(values)),
    ("bprop_other", 1): lambda name, a: lambda self, values: getattr(self, name).bprop_other(a(values)),
    ("measure", 1): lambda name, a: lambda self, values: getattr(self, name).measure(a(values)),
    ("measure", 2): lambda name, a, b: lambda self, values: getattr(self, name).measure(a(values), b(values)),
}
