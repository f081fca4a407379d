"""`self` inside compiled code: a C struct of the module's attributes, which Python and compiled methods share.

Python owns the struct, called a state block; `StateType` tells numba the name, type and offset of each attribute. So
compiled code reads `self.weight` with one load, and Python reads or writes the same attribute through a NumPy view,
without compiled accessors. A scalar is stored by value, an array as numba's array header (owner, data pointer, shape,
strides): parameters point into NumPy memory, arrays made by compiled code are reference-counted.
"""

import ctypes
from typing import Any

import numpy as np

from ..compiler.numba_api import (
    AbstractTemplate,
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
    register_default,
    types,
)

WORD = 8


class StateType(types.Type):
    """The numba type of a module's state block: `(name, type)` pairs in the order of their offsets.

    `owner` names the class in which `self.method(...)` is looked up; `constants` are the attributes (None and strings)
    that compiled code treats as literals; `fixed` names the arrays that are written in place and never rebound.
    """

    def __init__(self, owner: str, fields, constants=(), fixed=()):
        self.owner = owner
        self.fields = tuple(fields)
        self.constants = tuple(constants)
        self.fixed = frozenset(fixed)
        self.types = dict(self.fields)
        self.offsets, self.size = _compute_layout(self.fields)
        text = ", ".join(f"{name}: {kind}" for name, kind in self.fields)
        super().__init__(name=f"State[{owner}]({text}; {self.constants!r}; {sorted(self.fixed)!r})")


def _compute_layout(fields) -> tuple[dict[str, int], int]:
    offsets, end = {}, 0
    for name, kind in fields:
        offsets[name] = end
        end += -(-compute_size(kind) // WORD) * WORD
    return offsets, end


def compute_size(kind) -> int:
    """The size in bytes of a value of numba type `kind` in a state block."""
    if isinstance(kind, types.Array):
        return (5 + 2 * kind.ndim) * WORD
    if isinstance(kind, types.BaseTuple):
        return _compute_tuple_layout(kind)[1]
    if isinstance(kind, StateType):
        return WORD
    if isinstance(kind, types.Boolean):
        return 1
    return as_dtype(kind).itemsize


def _compute_alignment(kind) -> int:
    if isinstance(kind, types.BaseTuple):
        return max((_compute_alignment(item) for item in kind.types), default=1)
    return min(compute_size(kind), WORD)


def _compute_tuple_layout(kind) -> tuple[list[int], int]:
    offsets, end = [], 0
    for item in kind.types:
        end = -(-end // _compute_alignment(item)) * _compute_alignment(item)
        offsets.append(end)
        end += compute_size(item)
    return offsets, -(-end // _compute_alignment(kind)) * _compute_alignment(kind)


@register_default(StateType)
class StateModel(OpaqueModel):
    """The data model of a state: the address of its block."""


@infer_getattr
class StateAttributes(AttributeTemplate):
    """The numba types of the attributes and methods `state.name`."""

    key = StateType

    def generic_resolve(self, state, name):
        if name in state.types:
            return state.types[name]
        compiled_form = METHODS.get((state.owner, name))
        return compiled_form and MethodType(compiled_form(), state)


def _get_field_pointer(context, builder, state, block, name):
    kind = state.types[name]
    pointer = builder.gep(block, [cgutils.intp_t(state.offsets[name])])
    model = context.data_model_manager[kind]
    return model, builder.bitcast(pointer, model.get_data_type().as_pointer())


@lower_getattr_generic(StateType)
def lower_getattr(context, builder, state, block, name):
    """Emit LLVM code for `state.name`."""
    model, pointer = _get_field_pointer(context, builder, state, block, name)
    value = model.load_from_data_pointer(builder, pointer)
    return impl_ret_borrowed(context, builder, state.types[name], value)


@lower_setattr_generic(StateType)
def lower_setattr(context, builder, sig, args, name):
    """Emit LLVM code for `state.name = value`."""
    state, value_type = sig.args
    block, value = args
    kind = state.types[name]
    if name in state.fixed:
        _write_through(context, builder, state, block, name, value, value_type)
        return
    value = cast_value(context, builder, value, value_type, state, name)
    model, pointer = _get_field_pointer(context, builder, state, block, name)
    old = model.load_from_data_pointer(builder, pointer)
    context.nrt.incref(builder, kind, value)
    context.nrt.decref(builder, kind, old)
    builder.store(model.as_data(builder, value), pointer)


class WrongLayout(AssertionError):
    """An assignment changes the memory layout of an array attribute: `name`, of class `owner`.

    It is an AssertionError because numba propagates those unchanged.
    """

    def __init__(self, owner: str, name: str):
        super().__init__(f"self.{name} changes its memory layout")
        self.owner, self.name = owner, name


def cast_value(context, builder, value, value_type, state, name):
    """Cast `value` to the attribute's type, but never an array to another dtype: that would hide a float64 step."""
    expected, what = state.types[name], f"self.{name}"
    if isinstance(value_type, types.Array) and isinstance(expected, types.Array) and value_type != expected:
        if (
            value_type.dtype == expected.dtype
            and value_type.ndim == expected.ndim
            and expected.layout not in ("A", value_type.layout)
        ):
            raise WrongLayout(state.owner, name)
        if not value_type.dtype == expected.dtype or value_type.ndim != expected.ndim:
            raise TypingError(
                f"{what} becomes {describe_type(value_type)}, where plain Python makes {describe_type(expected)}"
            )
    return context.cast(builder, value, value_type, expected)


def describe_type(kind) -> str:
    """Describe a numba type for messages: `a 2-D float32 array`, `float64`."""
    if isinstance(kind, types.Array):
        return f"a {kind.ndim}-D {kind.dtype} array"
    return str(kind)


def _write_through(context, builder, state, block, name, value, value_type):
    """Assign to a parameter or gradient in place, so that it stays a view of the flat vector.

    `self.grad_weight += g` assigns the array to itself: then there is nothing to copy.
    """
    kind = state.types[name]
    target = lower_getattr(context, builder, state, block, name)
    if not isinstance(value_type, types.Array):
        context.compile_internal(builder, fill, types.void(kind, value_type), (target, value))
    elif value_type.dtype != kind.dtype or value_type.ndim != kind.ndim:
        raise TypingError(
            f"self.{name} becomes {describe_type(value_type)}, where plain Python makes {describe_type(kind)}"
        )
    else:
        target_data = context.make_array(kind)(context, builder, target).data
        value_data = context.make_array(value_type)(context, builder, value).data
        with builder.if_then(builder.icmp_unsigned("!=", target_data, value_data)):
            context.compile_internal(builder, copy, types.void(kind, value_type), (target, value))
    context.nrt.decref(builder, kind, target)


def copy(target, value):
    """Copy `value` into `target`, element by element (numba's slice assignment takes seconds to compile)."""
    if target.shape != value.shape:
        raise ValueError("a parameter or gradient is assigned an array of another shape")
    for i in range(target.size):
        target.flat[i] = value.flat[i]


def fill(target, value):
    """Fill `target` with one number."""
    for i in range(target.size):
        target.flat[i] = value


@intrinsic
def state_at(typing_context, state, table, index):
    """Load the state of type `state` whose address is entry `index` of the table at address `table`."""
    kind = state.instance_type

    def generate(context, builder, signature, args):
        word = cgutils.intp_t
        entry = builder.gep(builder.inttoptr(args[1], word.as_pointer()), [args[2]])
        return builder.inttoptr(builder.load(entry), context.get_value_type(kind))

    return kind(state, types.intp, types.intp), generate


class State:
    """The state block of a module, for Python to read and write."""

    def __init__(self, kind: StateType):
        self.kind = kind
        self.memory = np.zeros(max(kind.size, WORD) // WORD, np.int64)
        self.address = self.memory.ctypes.data
        self._references: dict[str, Any] = {}

    def read(self, name: str):
        """Read attribute `name`, as a copy; None for an array that was never stored."""
        return _read(self.kind.types[name], self.address + self.kind.offsets[name])

    def view(self, name: str) -> np.ndarray | None:
        """The array of attribute `name` itself, for as long as nothing else takes its place; None if it is none."""
        kind, address = self.kind.types[name], self.address + self.kind.offsets[name]
        return _view_array(kind, address) if isinstance(kind, types.Array) else None

    def write(self, name: str, value) -> None:
        """Write a value of its type to attribute `name`; an array is referenced, not copied."""
        kind, address = self.kind.types[name], self.address + self.kind.offsets[name]
        _drop_reference(kind, address)
        self._references[name] = value
        _write(kind, address, value)

    def owns(self, name: str, array: np.ndarray) -> bool:
        """Whether attribute `name` is this whole array, and nobody else references its memory."""
        owner, word, first = array.base, self.memory.item, self.kind.offsets[name] // WORD
        return (
            isinstance(owner, _nrt_python._MemInfo)
            and owner.refcount == 2
            and word(first + 2) == array.size
            and word(first + 4) == owner.data
        )

    def copy_if_shared(self, name: str) -> None:
        """Copy the array of attribute `name`, where others reference its memory."""
        first = self.kind.offsets[name] // WORD
        owner = self.memory.item(first)
        if owner and ctypes.c_size_t.from_address(owner).value > 1:  # numba counts there
            own = self.read(name)
            self.write(name, own)
            self.memory[first] = _nrt_python.meminfo_new(own.ctypes.data, own)  # so that numba counts references to it

    def __del__(self):
        for name, kind in self.kind.fields:
            _drop_reference(kind, self.address + self.kind.offsets[name])


def _view_words(address: int, count: int) -> np.ndarray:
    memory: Any = (ctypes.c_int64 * count).from_address(address)
    return np.frombuffer(memory, np.int64)


def _view_scalar(kind, address: int) -> np.ndarray:
    dtype = np.dtype(bool) if isinstance(kind, types.Boolean) else as_dtype(kind)
    memory: Any = (ctypes.c_char * dtype.itemsize).from_address(address)
    return np.frombuffer(memory, dtype)


def _read(kind, address: int):
    if isinstance(kind, types.BaseTuple):
        offsets, _ = _compute_tuple_layout(kind)
        return tuple(_read(item, address + offset) for item, offset in zip(kind.types, offsets, strict=True))
    if not isinstance(kind, types.Array):
        return _view_scalar(kind, address)[0].item()
    array = _view_array(kind, address)
    return None if array is None else array.copy()


def _view_array(kind: types.Array, address: int) -> np.ndarray | None:
    words = _view_words(address, 5 + 2 * kind.ndim)
    data, shape, strides = int(words[4]), words[5 : 5 + kind.ndim], words[5 + kind.ndim :]
    if data == 0:
        return None
    if words[2] == 0:
        return np.empty(shape, as_dtype(kind.dtype))
    low = sum(min(0, int(step) * (int(size) - 1)) for size, step in zip(shape, strides, strict=True))
    high = sum(max(0, int(step) * (int(size) - 1)) for size, step in zip(shape, strides, strict=True))
    span = high - low + int(words[3])
    raw: Any = (ctypes.c_char * span).from_address(data + low)
    return np.ndarray(tuple(shape), as_dtype(kind.dtype), raw, -low, tuple(strides))


def _write(kind, address: int, value) -> None:
    if isinstance(kind, types.BaseTuple):
        for item, offset, part in zip(kind.types, _compute_tuple_layout(kind)[0], value, strict=True):
            _write(item, address + offset, part)
    elif isinstance(kind, StateType):
        _view_words(address, 1)[0] = value.address
    elif isinstance(kind, types.Array):
        header = [0, 0, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides]
        _view_words(address, len(header))[:] = header
    else:
        _view_scalar(kind, address)[0] = value


def _drop_reference(kind, address: int) -> None:
    if isinstance(kind, types.BaseTuple):
        for item, offset in zip(kind.types, _compute_tuple_layout(kind)[0], strict=True):
            _drop_reference(item, address + offset)
    elif isinstance(kind, types.Array):
        words = _view_words(address, 1)
        if words[0]:
            _nrt_python._MemInfo(int(words[0]))  # takes over the reference, and drops it here
            words[0] = 0


METHODS: dict[tuple[str, str], Any] = {}


def register_method(owner: str, name: str, compiled_form) -> None:
    """Let compiled code call `state.name(...)` on states of class `owner`; `compiled_form()` returns the dispatcher."""
    METHODS[owner, name] = compiled_form


class MethodType(types.BoundFunction):
    """The numba type of `state.name`: a dispatcher whose first argument is the state.

    (`overload_method` would compile two wrappers for each method.)
    """

    def __init__(self, dispatcher, state: StateType):
        function = types.Dispatcher(dispatcher)

        class MethodTemplate(AbstractTemplate):
            """Finds the types of a call by compiling the method for them."""

            key = function

            def generic(self, args, kws):
                signature = function.get_call_type(self.context, (state, *args), kws)
                return signature and signature.as_method()

        super().__init__(MethodTemplate, state)

    def get_impl_key(self, sig):
        return self.typing_key.get_impl_key(sig)


@register_default(MethodType)
def find_method_model(manager, kind):
    """The data model of a method's type: that of the state."""
    return manager[kind.this]
