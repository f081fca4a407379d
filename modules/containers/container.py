"""The base of containers, which define the order of their children's calls once, in two methods.

The same two methods run the children as plain Python, write them into a plan, infer shapes, and make the functions by
which a custom module calls the container: only what `call` does with a child is different each time.
"""

import contextlib
import functools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..core.module import Module
from ..core.tokens import TokenReader
from ..engine.operations import Operations
from ..engine.sources import digest
from ..engine.tables import flatten_table, is_table_of_shapes, map_table
from .elementwise_ops import Sum

Call = Callable[..., Any]


class Container(Module):
    """Base of containers, which define `call_fprop(self, call, x) -> y` and `call_bprop(self, call, grad_y) -> grad_x`.

    `call(child, "fprop", x)` runs a child's method. Several arrays together are a tuple, a table: a container may
    unpack tables and make new ones, but not read their numbers.
    """

    framework_base = True
    is_drawn_whole = False  # whether drawings of models show it as one node, and not its children

    def call_fprop(self, call: Call, x):
        """y, by calls of the children's `fprop`."""
        raise NotImplementedError(f"{type(self).__name__} has no call_fprop: write `def call_fprop(self, call, x)`")

    def call_bprop(self, call: Call, grad_y):
        """grad_x, by calls of the children's `bprop`, in the reverse order."""
        raise NotImplementedError(
            f"{type(self).__name__} has no call_bprop: write `def call_bprop(self, call, grad_y)`"
        )

    def fprop(self, x):
        return self.call_fprop(run_child, x)

    def bprop(self, grad_y):
        return self.call_bprop(run_child, grad_y)

    def write_fprop(self, operations, x):
        vars(self)["_input"] = map_table(lambda _: None, x)  # whether it is a table, and of how many
        return self.call_fprop(partial(write_child, operations), x)

    def write_bprop(self, operations, grad_y):
        return self.call_bprop(partial(write_child, operations), grad_y)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return as_plain_shape(self.call_fprop(infer_shape, Shape.from_table(input_shape)))

    def check_arguments(self, *shapes):
        return self.output_shape(*shapes)

    def get_op(self, name: str, make: Callable[[], Module]) -> Module:
        """Get the internal op of this name, made when it is first needed; compiled plans stay valid."""
        if name not in self._modules:
            op = make().to(self.dtype)
            vars(op)["_parent"] = weakref.ref(self)
            self._modules[name] = op
        return self._modules[name]

    def sum_gradients(self, call: Call, name: str, grads: list):
        """Sum the gradients that several readers have of one array, or of one table."""
        total = grads[0]
        for k, grad in enumerate(grads[1:], start=1):
            total = self._sum_two_gradients(call, f"{name}{k}", total, grad)
        return total

    def _sum_two_gradients(self, call: Call, name: str, a, b):
        if type(a) is tuple:
            pairs = zip(a, b, strict=True)
            return tuple(self._sum_two_gradients(call, f"{name}_{i}", *pair) for i, pair in enumerate(pairs))
        return call(self.get_op(name, Sum), "bprop", a, b)

    @property
    def label_arguments(self) -> tuple[int, ...]:  # type: ignore[override]
        """(0,) if all modules that read x first take whole numbers."""
        if vars(self)["_labels"] is None:
            vars(self)["_labels"] = (0,) if self.which_are_labels(None) is True else ()
        return vars(self)["_labels"]

    def which_are_labels(self, x):
        return map_table(InputReaders.is_label, self._record_readers(x))

    def find_token_readers(self, x) -> tuple[TokenReader, ...]:
        return tuple(
            TokenReader(module, module.vocabulary_size, place, tuple(each.copy() for each in slices))
            for place, readers in enumerate(flatten_table(self._record_readers(x)))
            for module, slices in readers.modules
            if module.vocabulary_size is not None
        )

    def _record_readers(self, x):
        """Record which modules read x first; in the place of each array of x an InputReaders."""
        inputs = map_table(lambda _: InputReaders(), x)
        with contextlib.suppress(Exception):  # what does not fit is refused elsewhere
            self.call_fprop(record_readers, inputs)
        return inputs

    def children_inside(self):
        return {f"m{name}": module for name, module in self._modules.items()}

    def list_compiled_methods(self):
        forward, backward = self._record_calls()
        return {"fprop": compose_calls(*forward), "bprop": compose_calls(*backward)}

    def describe_layout(self) -> str:
        return super().describe_layout() + digest(repr(self._record_calls()))

    def _record_calls(self) -> tuple[tuple, tuple]:
        """Record the calls of both passes, line by line, and their results."""
        x, names = make_refs(vars(self).get("_input"), 0), {id(child): name for name, child in self._modules.items()}
        forward = CallRecorder(names)
        y = self.call_fprop(forward.call, x)
        names |= {id(child): name for name, child in self._modules.items()}
        backward = CallRecorder(names)
        y_like = map_table(lambda _: None, y)
        grad_x = self.call_bprop(backward.call, make_refs(y_like, 0))
        return (tuple(forward.lines), y), (tuple(backward.lines), grad_x)


# -- what `call` may do ------------------------------------------------------------------------------------------


def run_child(child: Module, method: str, *arguments):
    """Run a child on arrays."""
    return getattr(child, method)(*arguments)


def write_child(operations, child: Module, method: str, *arguments):
    """Write a child into a plan, where arguments are names."""
    if method in ("fprop", "bprop"):
        return getattr(operations, method)(child, *arguments)
    return operations.call(child, method, *arguments)


class InputReaders:
    """The readers of one array of a container's input: for each, whether it takes labels.

    `modules` are those that do, each with the slices of the array that stand before it.
    """

    def __init__(self, whole: "InputReaders | None" = None, slices: tuple[Module, ...] = ()):
        self.readers: list[bool] = [] if whole is None else whole.readers
        self.modules: list[tuple[Module, tuple[Module, ...]]] = [] if whole is None else whole.modules
        self.slices = slices

    def is_label(self) -> bool:
        """Whether there are readers, and all take labels."""
        return bool(self.readers) and all(self.readers)


def record_readers(child: Module, method: str, *arguments):
    """Record which modules read which input; a module that slices an array passes its labels on."""
    if isinstance(child, Container) and method == "fprop":
        return child.call_fprop(record_readers, *arguments)
    for k, argument in enumerate(arguments):
        if isinstance(argument, InputReaders):
            if child.passes_labels and method == "fprop":
                return InputReaders(argument, (*argument.slices, child))
            takes_labels = k in child.label_arguments and method == "fprop"
            argument.readers.append(takes_labels)
            if takes_labels and k == 0:
                argument.modules.append((child, argument.slices))
    return InputReaders()


class Shape(tuple):
    """The shape of one array; the shapes of a table are a tuple of these."""

    @classmethod
    def from_table(cls, shape):
        """Make a Shape, or a tuple of them for the shapes of a table."""
        return tuple(map(cls.from_table, shape)) if is_table_of_shapes(shape) else cls(shape)


def as_plain_shape(shape):
    """Convert a shape, or the shapes of a table, to plain tuples."""
    return tuple(map(as_plain_shape, shape)) if is_table_of_shapes(shape) else tuple(shape)


def infer_shape(child: Module, method: str, *shapes):
    """Infer the shape of a child's output for arguments of these shapes."""
    if method != "fprop":
        return ()
    try:
        return Shape.from_table(child.check_arguments(*shapes))
    except Exception as error:
        child.place_once(error)
        raise


def check_table(owner: Container, x, count: int = 0) -> None:
    """Raise ValueError unless x is a table: of names, arrays or shapes; of `count` of them, if that is not None."""
    table = type(x) is tuple and (is_table_of_shapes(x) or not all(isinstance(item, int) for item in x))
    if not table:
        shape = x if isinstance(x, tuple) else getattr(x, "shape", "one array")
        raise ValueError(f"{owner.label()}: x has shape {shape}, expected a table of arrays")
    if count and len(x) != count:
        raise ValueError(f"{owner.label()}: x is a table of {len(x)} arrays, expected {count}")


@dataclass(frozen=True)
class ValueRef:
    """A reference to a value in a chain of calls: the result of line `line` (0: the argument), or an item of it."""

    line: int
    items: tuple[int, ...] = ()


def make_refs(table, line: int, items: tuple[int, ...] = ()):
    """Make references to all arrays of a result."""
    if type(table) is tuple:
        return tuple(make_refs(inner, line, (*items, k)) for k, inner in enumerate(table))
    return ValueRef(line, items)


class CallRecorder:
    """Records calls as lines (child, method, arguments), whose arguments are references to values."""

    def __init__(self, names: dict[int, str]):
        self.names, self.lines = names, list[tuple]()
        self.made = Operations()

    def call(self, child: Module, method: str, *arguments):
        """Record a call; returns references to its results."""
        result = write_child(self.made, child, method, *[map_table(str, argument) for argument in arguments])
        name = self.names.get(id(child)) or child.path().rpartition(".")[2]
        self.lines.append((f"m{name}", method, arguments))
        return make_refs(result, len(self.lines))


# -- chains of calls, for compiled code --------------------------------------------------------------------------


@functools.cache
def compose_calls(lines: tuple, result):
    """Compose the function (self, x) that makes the calls of the lines; it drops values that no later line reads."""
    known, function = [0], pack_input
    for k, (name, method, arguments) in enumerate(lines, start=1):
        later = find_lines_read([more for _, _, more in lines[k:]]) | find_lines_read(result)
        live = [line for line in known if line in later]
        getters = [make_getter(argument, tuple(known)) for argument in arguments]
        call = CALLS[method, len(arguments)](name, *getters)
        function = append_call(function, call, make_selector(tuple(known.index(line) for line in live)))
        known = [*live, k]
    return append_result(function, make_getter(result, tuple(known)))


def find_lines_read(value) -> set[int]:
    """Find the calls whose results a value refers to."""
    if isinstance(value, ValueRef):
        return {value.line}
    return {line for item in value for line in find_lines_read(item)}


def pack_input(self, x):
    """Pack the argument as the values before the first line."""
    return (x,)


def append_call(before, call, select):
    """Make the function that calls one more line after `before`."""

    def both(self, x):
        values = before(self, x)
        return select(values) + (call(self, values),)  # noqa: RUF005 - numba has no starred tuples

    return both


def append_result(function, result):
    """Make the function that returns one of the values after `before`."""
    return lambda self, x: result(function(self, x))


def make_selector(indices: tuple[int, ...]):
    """Make the function that selects the values at these indices."""
    if not indices:
        return lambda values: ()
    before, last = make_selector(indices[:-1]), indices[-1]
    return lambda values: before(values) + (values[last],)  # noqa: RUF005


def make_getter(argument, known: tuple[int, ...]):
    """Make the function that gets an argument from the values of the `known` lines."""
    if isinstance(argument, ValueRef):
        return make_item_getter(known.index(argument.line), argument.items)
    if len(argument) == 1:
        only = make_getter(argument[0], known)
        return lambda values: (only(values),)
    before, last = make_getter(argument[:-1], known), make_getter(argument[-1], known)
    return lambda values: before(values) + (last(values),)  # noqa: RUF005


def make_item_getter(index: int, items: tuple[int, ...]):
    """Make the function values -> values[index][items[0]][items[1]]..."""
    if not items:
        return lambda values: values[index]
    before, last = make_item_getter(index, items[:-1]), items[-1]
    return lambda values: before(values)[last]


CALLS: dict[tuple[str, int], Callable[..., Any]] = {  # compiled code finds methods by their names as written
    ("fprop", 1): lambda name, a: lambda self, values: getattr(self, name).fprop(a(values)),
    ("fprop", 2): lambda name, a, b: lambda self, values: getattr(self, name).fprop(a(values), b(values)),
    ("bprop", 1): lambda name, a: lambda self, values: getattr(self, name).bprop(a(values)),
    ("bprop", 2): lambda name, a, b: lambda self, values: getattr(self, name).bprop(a(values), b(values)),
    ("bprop_other", 1): lambda name, a: lambda self, values: getattr(self, name).bprop_other(a(values)),
    ("bprop_cell", 1): lambda name, a: lambda self, values: getattr(self, name).bprop_cell(a(values)),
    ("begin", 1): lambda name, a: lambda self, values: getattr(self, name).begin(a(values)),
    ("begin", 2): lambda name, a, b: lambda self, values: getattr(self, name).begin(a(values), b(values)),
    ("begin", 3): lambda name, a, b, c: lambda self, values: getattr(self, name).begin(a(values), b(values), c(values)),
    ("take_hidden", 1): lambda name, a: lambda self, values: getattr(self, name).take_hidden(a(values)),
    ("take_cell", 1): lambda name, a: lambda self, values: getattr(self, name).take_cell(a(values)),
    ("bprop_last", 2): lambda name, a, b: lambda self, values: getattr(self, name).bprop_last(a(values), b(values)),
    ("bprop_last", 3): lambda name, a, b, c: (
        lambda self, values: getattr(self, name).bprop_last(a(values), b(values), c(values))
    ),
    ("bprop_hidden", 1): lambda name, a: lambda self, values: getattr(self, name).bprop_hidden(a(values)),
    ("next_cell", 1): lambda name, a: lambda self, values: getattr(self, name).next_cell(a(values)),
    ("fprop", 3): lambda name, a, b, c: lambda self, values: getattr(self, name).fprop(a(values), b(values), c(values)),
    ("measure", 1): lambda name, a: lambda self, values: getattr(self, name).measure(a(values)),
    ("measure", 2): lambda name, a, b: lambda self, values: getattr(self, name).measure(a(values), b(values)),
}
