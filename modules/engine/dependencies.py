"""All that a function can reach, as a canonical text: code, defaults, closures, globals, and the values behind them.

Each value is written with its owner and its name, so two constants that swap their values make another text. A value
of any other kind stands for itself by its attributes and by the source file of its class; where not even that is
known, the text has no meaning in another process, and `unhashable` says why.
"""

import enum
import functools
import hashlib
import inspect
import linecache
import sys
import sysconfig
import types
import weakref
from pathlib import Path

import numba
import numpy as np

from ..compiler.numba_api import Dispatcher, builtin_registry

SIMPLE = (int, float, complex, str, bytes, type(None), type(...), type(NotImplemented), range, slice)
VERSIONED = ("bprop.modules", "numpy", "numba", "llvmlite")  # their versions or sources are in every digest
LARGE = 10**6  # bytes of an array beyond which numba's code refers to its memory, which another process has not
STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]


class Dependencies:
    """Collects the text; `strict` is for what gets compiled, otherwise what has no text is left out.

    Memory is remembered by its address, so all that was visited is held until the end.
    """

    def __init__(self) -> None:
        self.strict = True
        self.unhashable: list[str] = []
        self._texts: list[str] = []
        self._numbers: dict[tuple[int, bool], int] = {}
        self._held: list = []
        self._sources: dict[str, str] = {}

    @property
    def text(self) -> str:
        """What was collected."""
        return "\n".join(self._texts)

    def add(self, name: str, value) -> None:
        """Collect a value and all that it reaches."""
        self._texts.append(f"{name} = {self.describe(value, name)}")

    def describe(self, value, name: str) -> str:
        """A value as text: in full if it is simple, otherwise the number under which its text is collected."""
        if isinstance(value, enum.Enum):
            return f"{self.describe(type(value), name)}.{value.name}"
        if type(value) in SIMPLE or type(value) is bool:
            return f"{type(value).__name__} {value!r}"
        key = id(value), self.strict
        if key not in self._numbers:
            self._held.append(value)
            self._numbers[key] = number = len(self._texts)
            self._texts.append("")
            self._texts[number] = f"#{number} {self._compound(value, name)}"
        return f"#{self._numbers[key]}"

    def _compound(self, value, name: str) -> str:
        if isinstance(value, np.ndarray | np.generic):
            return self._numbers_of(value, name)
        if isinstance(value, type):
            return self._class(value, name)
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__}"  # its attributes are collected by those who name them
        if isinstance(value, types.CodeType):
            return self._code(value, name)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, list | tuple | set | frozenset | dict):
            return self._items(value, name)
        return self._wrapped(value, name) or self._other(value, name)

    def _numbers_of(self, value, name: str) -> str:
        array = np.asarray(value)
        if array.dtype.hasobject or array.nbytes > LARGE:
            what = "an array of objects" if array.dtype.hasobject else f"an array of {array.nbytes:,} bytes"
            return self._without_text(name, what)
        order = [array.flags.c_contiguous, array.flags.f_contiguous, array.flags.writeable]
        return repr((type(value).__name__, array.dtype.descr, array.shape, order, sha256(array.tobytes())))

    def _items(self, value, name: str) -> str:
        kind = f"{type(value).__qualname__} {getattr(value, '_fields', '')}"
        if isinstance(value, dict):
            items = [f"{self.describe(k, name)}: {self.describe(v, f'{name}[{k!r}]')}" for k, v in value.items()]
        elif isinstance(value, set | frozenset):
            items = sorted(self._apart(item, name) for item in value)  # whose order is another in each process
        else:
            items = [self.describe(item, f"{name}[{k}]") for k, item in enumerate(value)]
        return f"{kind} {items}"

    def _apart(self, value, name: str) -> str:
        """The text of a value by itself, whatever was visited before."""
        other = Dependencies()
        other.strict = self.strict
        other.add("item", value)
        self.unhashable += [text.replace("item", name, 1) for text in other.unhashable]
        return other.text

    def _code(self, code, name: str) -> str:
        constants = [self.describe(constant, name) for constant in code.co_consts]
        shape = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_firstlineno
        variables = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
        return repr((code.co_name, code.co_code, code.co_exceptiontable, shape, variables, constants))

    def _function(self, function) -> str:
        """Its file, its code, its defaults, and what its names stand for."""
        name, module = function.__qualname__, function.__module__ or ""
        if is_versioned(module) or is_standard(function.__code__.co_filename):
            return f"function {module}.{name}"
        source = self._source(function.__code__.co_filename)
        if not self.strict and (is_installed(function.__code__.co_filename) or module.startswith("bprop.")):
            return f"function {module}.{name} {source}"
        parts = [name, source, self.describe(function.__code__, name)]
        parts.append(self.describe(function.__defaults__, f"a default of {name}"))
        parts.append(self.describe(function.__kwdefaults__, f"a default of {name}"))
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        parts += [f"{free} = {self.describe(cell_value(cell), free)}" for free, cell in cells]
        used = sorted(names(function.__code__))
        for each in used:
            if each in function.__globals__:
                parts += self._named(each, function.__globals__[each], used, [])
        parts += self._overloads(function)
        return "\n  ".join(["function", *parts])

    def _source(self, filename: str) -> str:
        if filename not in self._sources:
            self._sources[filename] = sha256("".join(linecache.getlines(filename)).encode("utf-8", "surrogatepass"))
        return self._sources[filename]

    def _named(self, name: str, value, used: list[str], within: list) -> list[str]:
        """What a name stands for; of a module, what those of its attributes are that the function names, too."""
        texts = [f"{name} = {self.describe(value, name)}"]
        if isinstance(value, types.ModuleType) and value not in within and not is_versioned(value.__name__):
            for each in used:
                if hasattr(value, each):
                    texts += self._named(f"{name}.{each}", getattr(value, each), used, [*within, value])
        return texts

    def _overloads(self, function) -> list[str]:
        """What numba compiles in place of the function, if that was told by `numba.extending.overload`."""
        templates = [each for known, kind in builtin_registry.globals if known is function for each in kind.templates]
        made = [getattr(each, "_overload_func", None) for each in templates]
        return [f"overload {self.describe(each, function.__qualname__)}" for each in made if each is not None]

    def _wrapped(self, value, name: str) -> str:
        """What stands for a function: compiled by numba, bound, partial, a property..."""
        kind = type(value).__qualname__
        if isinstance(value, Dispatcher):
            options = value.targetoptions | {"pipeline": value._compiler.pipeline_class.__name__}
            self._check_frozen(value, name)
            return f"{kind} {self.describe(value.py_func, name)} {self.describe(options, name)}"
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, value.keywords)
            return f"partial {[self.describe(each, name) for each in parts]}"
        inner = [getattr(value, each, None) for each in ("py_func", "_pyfunc", "_defn", "__func__", "fget", "func")]
        inner.append(getattr(getattr(value, "_dispatcher", None), "py_func", None))  # of numba's ufuncs
        if isinstance(value, types.MethodType):
            inner.append(value.__self__)
        if any(isinstance(each, types.FunctionType) for each in inner):
            return f"{kind} {[self.describe(each, name) for each in inner if each is not None]}"
        if isinstance(value, types.BuiltinFunctionType | np.ufunc | types.WrapperDescriptorType):
            return f"builtin {getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"
        return ""

    def _check_frozen(self, compiled, name: str) -> None:
        """What numba has compiled keeps the values of then, so its code must not be stored as that of today."""
        text = function_digest(compiled.py_func)
        then = FROZEN.setdefault(compiled, text)
        if then != text and compiled.overloads:
            self._without_text(name, "a function compiled before what it names was changed")
        elif then != text:
            FROZEN[compiled] = text

    def _class(self, cls: type, name: str) -> str:
        if not is_written_in_python(cls) or is_versioned(cls.__module__) or is_standard(file_of(cls.__module__)):
            return f"class {cls.__module__}.{cls.__qualname__}"
        parts = [cls.__qualname__, source_of(cls.__module__)]
        parts += [self.describe(base, name) for base in cls.__bases__ if base is not object]
        kind = getattr(cls, "class_type", None)  # of numba's classes, whose methods are compiled
        for each in ("jit_methods", "jit_props", "jit_static_methods", "struct"):
            parts += [f"{each} {self.describe(dict(getattr(kind, each, {})), name)}"]
        parts += [f"{each.name} = {self.describe(each.value, each.name)}" for each in members(cls)]
        strict, self.strict = self.strict, False
        for each, value in sorted(vars(cls).items()):
            if isinstance(value, types.FunctionType) or not is_dunder(each):
                self.strict = strict and not (callable(value) or hasattr(value, "__get__"))
                parts.append(f"{each} = {self.describe(value, f'{cls.__qualname__}.{each}')}")
        self.strict = strict
        return "\n  ".join(["class", *parts])

    def _other(self, value, name: str) -> str:
        """A value of another class: the class, its source, and the value's attributes."""
        cls = type(value)
        if isinstance(value, numba.types.Type | np.dtype):
            return f"{cls.__qualname__} {value}"
        if not self.strict:
            return f"{cls.__qualname__} {source_of(cls.__module__)}"
        base = next(each for each in cls.__mro__ if not is_written_in_python(each))
        known = base in (types.SimpleNamespace, *SIMPLE) or (base is object and not has_hidden_memory(cls))
        if not known:
            return self._without_text(name, f"a value of the class {cls.__qualname__}")
        slots = {each: getattr(value, each, None) for one in cls.__mro__ for each in slots_of(one)}
        content = base(value) if base in SIMPLE else None  # type: ignore[call-arg, misc]
        parts = cls, content, getattr(value, "__dict__", {}), slots
        return " ".join(self.describe(each, name) for each in parts)

    def _without_text(self, name: str, what: str) -> str:
        if self.strict:
            self.unhashable.append(f"{name}, {what}")
        return what


FROZEN: "weakref.WeakKeyDictionary" = weakref.WeakKeyDictionary()  # functions compiled by numba: their digests then


def function_digest(function) -> str:
    """A name for a plain function and all that it reaches, as they are now."""
    dependencies = Dependencies()
    dependencies.add("function", function)
    return sha256(dependencies.text.encode("utf-8", "surrogatepass"))


def names(code) -> set[str]:
    """The global and attribute names that a code object uses, nested functions included."""
    result = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            result |= names(constant)
    return result


def members(cls: type) -> list:
    """The members of an enumeration, aliases included."""
    return list(cls.__members__.values()) if issubclass(cls, enum.Enum) else []


def cell_value(cell):
    """What a closure's variable stands for; nothing yet is None."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def is_written_in_python(cls: type) -> bool:
    """Whether a class was made by Python code, not by C."""
    return bool(cls.__flags__ & 1 << 9)  # Py_TPFLAGS_HEAPTYPE


def has_hidden_memory(cls: type) -> bool:
    """Whether values of a class hold more than their attributes, as those of classes in C do."""
    places = sum(len(slots_of(each)) for each in cls.__mro__) + bool(cls.__dictoffset__) + bool(cls.__weakrefoffset__)
    return cls.__basicsize__ > object.__basicsize__ + 8 * places


def slots_of(cls: type) -> list[str]:
    """The attributes of a class's values for which there is a place."""
    slots = vars(cls).get("__slots__", ())
    return [slots] if isinstance(slots, str) else [each for each in slots if not is_dunder(each)]


def is_dunder(name: str) -> bool:
    """Whether a name is Python's own, such as `__doc__`, or enum's bookkeeping."""
    return (name.startswith("__") and name.endswith("__")) or name.startswith(("_abc_", "_member_", "_value2member"))


def is_versioned(module: str) -> bool:
    """Whether a Python module's version, or its source, is part of every digest."""
    return module.startswith(tuple(f"{each}." for each in VERSIONED)) or module in VERSIONED


@functools.cache
def is_standard(filename: str) -> bool:
    """Whether a file belongs to Python itself, whose version is part of every digest."""
    return filename.startswith("<frozen ") or (filename.startswith(STANDARD_LIBRARY) and not is_installed(filename))


def is_installed(filename: str) -> bool:
    """Whether a file was installed, and so changes with its package's version."""
    return "site-packages" in filename or "dist-packages" in filename


def file_of(module: str) -> str:
    """The file of a Python module, as it was imported; "" if it has none."""
    imported = sys.modules.get(module)
    return getattr(imported, "__file__", None) or ("<frozen builtin>" if module in sys.builtin_module_names else "")


def source_of(module: str) -> str:
    """Digest of the file that defines a Python module, compiled or not; "" if there is none."""
    path = file_of(module)
    try:
        lines = linecache.getlines(path) if path.endswith(".py") else []
        return (
            sha256("".join(lines).encode("utf-8", "surrogatepass") or Path(path).read_bytes())
            if path
            else notebook_source(module)
        )
    except OSError:
        return ""


def notebook_source(module: str) -> str:
    """What stands for the source of a module without a file, such as that of an interactive session: its name."""
    return f"without file {module}" if module in sys.modules else ""


def sha256(data: bytes) -> str:
    """Digest of bytes."""
    return hashlib.sha256(data).hexdigest()


def plain_function(value):
    """The function that a method's wrappers are made of, other values as they are."""
    return inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
