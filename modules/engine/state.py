"""`self` inside compiled code: a block of plain memory that Python and the compiled methods both see.

A module's attributes lie one after the other in a block that Python owns; `StateType` tells numba the name, type and
place of each. So compiled code reads `self.weight` with one load, and Python reads or writes the same attribute through
a NumPy view, without compiling accessors. A scalar is stored as itself, an array as numba's array header (owner, data
pointer, shape, strides): parameters point into NumPy memory, arrays made by compiled code are reference-counted.
"""

import ctypes
from typing import Any

import numpy as np

from ..compiler.kernel import InnerCompiler
from ..compiler.numba_api import (
    AttributeTemplate,
    OpaqueModel,
    TypingError,
    _nrt_python,
    as_dtype,
    cgutils,
    impl_ret_borrowed,
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    lower_setattr_generic,
    overload_method,
    register_default,
    types,
)

WORD = 8


class StateType(types.Type):
    """The type of one module's memory block: `(name, type)` pairs, and names of attributes that alias a parameter.

    `owner` names the class whose methods `self.method(...)` finds; `constants` are the attributes (None and strings)
    that compiled code sees as literals; `fixed` the arrays that are written in place and never rebound.
    """

    def __init__(self, owner: str, fields, constants=(), fixed=()):
        self.owner = owner
        self.fields = tuple(fields)
        self.constants = tuple(constants)
        self.fixed = frozenset(fixed)
        self.types = dict(self.fields)
        self.offsets, self.size = _layout(self.fields)
        text = ", ".join(f"{name}: {kind}" for name, kind in self.fields)
        super().__init__(name=f"State[{owner}]({text}; {self.constants!r}; {sorted(self.fixed)!r})")


def _layout(fields) -> tuple[dict[str, int], int]:
    offsets, end = {}, 0
    for name, kind in fields:
        offsets[name] = end
        end += -(-size_of(kind) // WORD) * WORD
    return offsets, end


def size_of(kind) -> int:
    """Bytes that a value of numba type `kind` takes in a state block."""
    if isinstance(kind, types.Array):
        return (5 + 2 * kind.ndim) * WORD
    if isinstance(kind, types.BaseTuple):
        return _tuple_layout(kind)[1]
    if isinstance(kind, StateType):
        return WORD
    if isinstance(kind, types.Boolean):
        return 1
    return as_dtype(kind).itemsize


def _align_of(kind) -> int:
    if isinstance(kind, types.BaseTuple):
        return max((_align_of(item) for item in kind.types), default=1)
    return min(size_of(kind), WORD)


def _tuple_layout(kind) -> tuple[list[int], int]:
    offsets, end = [], 0
    for item in kind.types:
        end = -(-end // _align_of(item)) * _align_of(item)
        offsets.append(end)
        end += size_of(item)
    return offsets, -(-end // _align_of(kind)) * _align_of(kind)


@register_default(StateType)
class StateModel(OpaqueModel):
    """A state is passed around as the address of its block."""


@infer_getattr
class StateAttributes(AttributeTemplate):
    """Types of `state.name`."""

    key = StateType

    def generic_resolve(self, state, name):
        return state.types.get(name)


def _field_pointer(context, builder, state, block, name):
    kind = state.types[name]
    pointer = builder.gep(block, [cgutils.intp_t(state.offsets[name])])
    model = context.data_model_manager[kind]
    return model, builder.bitcast(pointer, model.get_data_type().as_pointer())


@lower_getattr_generic(StateType)
def state_getattr(context, builder, state, block, name):
    """Code for `state.name`."""
    model, pointer = _field_pointer(context, builder, state, block, name)
    value = model.load_from_data_pointer(builder, pointer)
    return impl_ret_borrowed(context, builder, state.types[name], value)


@lower_setattr_generic(StateType)
def state_setattr(context, builder, sig, args, name):
    """Code for `state.name = value`."""
    state, value_type = sig.args
    block, value = args
    kind = state.types[name]
    if name in state.fixed:
        _write_through(context, builder, state, block, name, value, value_type)
        return
    value = convert(context, builder, value, value_type, state, name)
    model, pointer = _field_pointer(context, builder, state, block, name)
    old = model.load_from_data_pointer(builder, pointer)
    context.nrt.incref(builder, kind, value)
    context.nrt.decref(builder, kind, old)
    builder.store(model.as_data(builder, value), pointer)


class WrongLayout(AssertionError):
    """An attribute is assigned an array of another memory layout than the traced one: `name`, of class `owner`.

    numba passes on assertions as they are, from however deep a call.
    """

    def __init__(self, owner: str, name: str):
        super().__init__(f"self.{name} changes its memory layout")
        self.owner, self.name = owner, name


def convert(context, builder, value, value_type, state, name):
    """Cast `value`, but never an array of one number type to another: that would hide a float64 step."""
    expected, what = state.types[name], f"self.{name}"
    if isinstance(value_type, types.Array) and isinstance(expected, types.Array) and value_type != expected:
        if (
            value_type.dtype == expected.dtype
            and value_type.ndim == expected.ndim
            and expected.layout not in ("A", value_type.layout)
        ):
            raise WrongLayout(state.owner, name)
        if not value_type.dtype == expected.dtype or value_type.ndim != expected.ndim:
            raise TypingError(f"{what} becomes {describe(value_type)}, where plain Python makes {describe(expected)}")
    return context.cast(builder, value, value_type, expected)


def describe(kind) -> str:
    """A numba type in words: `a 2-D float32 array`, `float64`."""
    if isinstance(kind, types.Array):
        return f"a {kind.ndim}-D {kind.dtype} array"
    return str(kind)


def _write_through(context, builder, state, block, name, value, value_type):
    """Assign to a parameter or gradient: copy into its memory, so that it stays a view of the flat vector.

    `self.grad_weight += g` ends here too, with the array itself: then there is nothing to copy.
    """
    kind = state.types[name]
    target = state_getattr(context, builder, state, block, name)
    if not isinstance(value_type, types.Array):
        context.compile_internal(builder, fill, types.void(kind, value_type), (target, value))
    elif value_type.dtype != kind.dtype or value_type.ndim != kind.ndim:
        raise TypingError(f"self.{name} becomes {describe(value_type)}, where plain Python makes {describe(kind)}")
    else:
        target_data = context.make_array(kind)(context, builder, target).data
        value_data = context.make_array(value_type)(context, builder, value).data
        with builder.if_then(builder.icmp_unsigned("!=", target_data, value_data)):
            context.compile_internal(builder, copy, types.void(kind, value_type), (target, value))
    context.nrt.decref(builder, kind, target)


def copy(target, value):
    """target = value, element by element (numba's slice assignment takes seconds to compile)."""
    if target.shape != value.shape:
        raise ValueError("a parameter or gradient is assigned an array of another shape")
    for i in range(target.size):
        target.flat[i] = value.flat[i]


def fill(target, value):
    """target = value, the same number everywhere."""
    for i in range(target.size):
        target.flat[i] = value


@intrinsic
def state_at(typing_context, state, table, index):
    """The state of type `state` whose block's address stands at place `index` of the table at address `table`."""
    kind = state.instance_type

    def generate(context, builder, signature, args):
        word = cgutils.intp_t
        entry = builder.gep(builder.inttoptr(args[1], word.as_pointer()), [args[2]])
        return builder.inttoptr(builder.load(entry), context.get_value_type(kind))

    return kind(state, types.intp, types.intp), generate


class State:
    """The memory block of one module, seen from Python."""

    def __init__(self, kind: StateType):
        self.kind = kind
        self.memory = np.zeros(max(kind.size, WORD) // WORD, np.int64)
        self.address = self.memory.ctypes.data
        self._keep: dict[str, Any] = {}

    def read(self, name: str):
        """A copy of attribute `name` as it stands now; None for an array that was never stored."""
        return _read(self.kind.types[name], self.address + self.kind.offsets[name])

    def write(self, name: str, value) -> None:
        """Set attribute `name` to a value of its type; an array is referred to, not copied."""
        kind, address = self.kind.types[name], self.address + self.kind.offsets[name]
        _release(kind, address)
        self._keep[name] = value
        _write(kind, address, value)

    def holds(self, name: str, array: np.ndarray) -> bool:
        """Whether attribute `name` is this whole array, and only the two have a part in its memory."""
        owner, word, first = array.base, self.memory.item, self.kind.offsets[name] // WORD
        return (
            isinstance(owner, _nrt_python._MemInfo)
            and owner.refcount == 2
            and word(first + 2) == array.size
            and word(first + 4) == owner.data
        )

    def part(self, name: str) -> None:
        """Give attribute `name` memory of its own, with the same numbers, where others have a part in what it has."""
        first = self.kind.offsets[name] // WORD
        owner = self.memory.item(first)
        if owner and ctypes.c_size_t.from_address(owner).value > 1:  # numba counts there
            own = self.read(name)
            self.write(name, own)
            self.memory[first] = _nrt_python.meminfo_new(own.ctypes.data, own)  # so that numba counts this one, too

    def __del__(self):
        for name, kind in self.kind.fields:
            _release(kind, self.address + self.kind.offsets[name])


def _words(address: int, count: int) -> np.ndarray:
    memory: Any = (ctypes.c_int64 * count).from_address(address)
    return np.frombuffer(memory, np.int64)


def _scalar(kind, address: int) -> np.ndarray:
    dtype = np.dtype(bool) if isinstance(kind, types.Boolean) else as_dtype(kind)
    memory: Any = (ctypes.c_char * dtype.itemsize).from_address(address)
    return np.frombuffer(memory, dtype)


def _read(kind, address: int):
    if isinstance(kind, types.BaseTuple):
        offsets, _ = _tuple_layout(kind)
        return tuple(_read(item, address + offset) for item, offset in zip(kind.types, offsets, strict=True))
    if not isinstance(kind, types.Array):
        return _scalar(kind, address)[0].item()
    words = _words(address, 5 + 2 * kind.ndim)
    data, shape, strides = int(words[4]), words[5 : 5 + kind.ndim], words[5 + kind.ndim :]
    if data == 0:
        return None
    if words[2] == 0:
        return np.empty(shape, as_dtype(kind.dtype))
    low = sum(min(0, int(step) * (int(size) - 1)) for size, step in zip(shape, strides, strict=True))
    high = sum(max(0, int(step) * (int(size) - 1)) for size, step in zip(shape, strides, strict=True))
    span = high - low + int(words[3])
    raw: Any = (ctypes.c_char * span).from_address(data + low)
    return np.ndarray(tuple(shape), as_dtype(kind.dtype), raw, -low, tuple(strides)).copy()


def _write(kind, address: int, value) -> None:
    if isinstance(kind, types.BaseTuple):
        for item, offset, part in zip(kind.types, _tuple_layout(kind)[0], value, strict=True):
            _write(item, address + offset, part)
    elif isinstance(kind, StateType):
        _words(address, 1)[0] = value.address
    elif isinstance(kind, types.Array):
        header = [0, 0, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides]
        _words(address, len(header))[:] = header
    else:
        _scalar(kind, address)[0] = value


def _release(kind, address: int) -> None:
    if isinstance(kind, types.BaseTuple):
        for item, offset in zip(kind.types, _tuple_layout(kind)[0], strict=True):
            _release(item, address + offset)
    elif isinstance(kind, types.Array):
        words = _words(address, 1)
        if words[0]:
            _nrt_python._MemInfo(int(words[0]))  # takes over the reference, and drops it here
            words[0] = 0


METHODS: dict[tuple[str, str], Any] = {}
_overloaded: set[str] = set()


INLINED = {"forceinline": True, "pipeline_class": InnerCompiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def offer_method(owner: str, name: str, compiled_form) -> None:
    """Let compiled code call `state.name(...)` on states of class `owner`; `compiled_form()` is what is called."""
    METHODS[owner, name] = compiled_form
    if name in _overloaded:
        return
    _overloaded.add(name)

    @overload_method(StateType, name, jit_options=INLINED)
    def call(self, *args):
        compiled_form = METHODS.get((self.owner, name))
        if compiled_form is None:
            return None
        method = compiled_form()
        return lambda self, *args: method(self, *args)
