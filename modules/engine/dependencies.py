"""Hashing a function with all its dependencies: code, defaults, closures, globals, and the values that they refer to.

All of them are described in one canonical text, whose hash is the key of cached code. Each value is written with its
owner and its name, so two constants that swap their values change the text. An object of an unknown class is described
by its attributes and the source file of its class; where those are not known, it is listed in `unhashable`.
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
LARGE = 10**6  # bytes of an array beyond which numba's code refers to this process's memory
STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]


class Dependencies:
    """Collects the text of all dependencies; unless `strict`, values that have no text are left out.

    Visited objects are recognised by their `id`, so references to them are kept until the end.
    """

    def __init__(self) -> None:
        self.strict = True
        self.unhashable: list[str] = []
        self._texts: list[str] = []
        self._numbers: dict[tuple[int, bool], int] = {}
        self._visited: list = []
        self._sources: dict[str, str] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        return "\n".join(self._texts)

    def add(self, name: str, value) -> None:
        """Add a value and all its dependencies."""
        self._texts.append(f"{name} = {self.describe(value, name)}")

    def describe(self, value, name: str) -> str:
        """Describe a value as text: in full if it is simple, otherwise by the number of its entry."""
        if isinstance(value, enum.Enum):
            return f"{self.describe(type(value), name)}.{value.name}"
        if type(value) in SIMPLE or type(value) is bool:
            return f"{type(value).__name__} {value!r}"
        key = id(value), self.strict
        if key not in self._numbers:
            self._visited.append(value)
            self._numbers[key] = number = len(self._texts)
            self._texts.append("")
            self._texts[number] = f"#{number} {self._describe_compound(value, name)}"
        return f"#{self._numbers[key]}"

    def _describe_compound(self, value, name: str) -> str:
        if isinstance(value, np.ndarray | np.generic):
            return self._describe_array(value, name)
        if isinstance(value, type):
            return self._describe_class(value, name)
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__}"  # its attributes are collected by those who name them
        if isinstance(value, types.CodeType):
            return self._describe_code(value, name)
        if isinstance(value, types.FunctionType):
            return self._describe_function(value)
        if isinstance(value, list | tuple | set | frozenset | dict):
            return self._describe_items(value, name)
        return self._describe_wrapper(value, name) or self._describe_object(value, name)

    def _describe_array(self, value, name: str) -> str:
        array = np.asarray(value)
        if array.dtype.hasobject or array.nbytes > LARGE:
            what = "an array of objects" if array.dtype.hasobject else f"an array of {array.nbytes:,} bytes"
            return self._record_unhashable(name, what)
        order = [array.flags.c_contiguous, array.flags.f_contiguous, array.flags.writeable]
        return repr((type(value).__name__, array.dtype.descr, array.shape, order, sha256(array.tobytes())))

    def _describe_items(self, value, name: str) -> str:
        kind = f"{type(value).__qualname__} {getattr(value, '_fields', '')}"
        if isinstance(value, dict):
            items = [f"{self.describe(k, name)}: {self.describe(v, f'{name}[{k!r}]')}" for k, v in value.items()]
        elif isinstance(value, set | frozenset):
            items = sorted(
                self._describe_by_itself(item, name) for item in value
            )  # whose order is another in each process
        else:
            items = [self.describe(item, f"{name}[{k}]") for k, item in enumerate(value)]
        return f"{kind} {items}"

    def _describe_by_itself(self, value, name: str) -> str:
        """Describe a value on its own, whatever was visited before."""
        other = Dependencies()
        other.strict = self.strict
        other.add("item", value)
        self.unhashable += [text.replace("item", name, 1) for text in other.unhashable]
        return other.text

    def _describe_code(self, code, name: str) -> str:
        constants = [self.describe(constant, name) for constant in code.co_consts]
        shape = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_firstlineno
        variables = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
        return repr((code.co_name, code.co_code, code.co_exceptiontable, shape, variables, constants))

    def _describe_function(self, function) -> str:
        """Describe a function: its file, code, defaults, closure, and the values of its global names."""
        name, module = function.__qualname__, function.__module__ or ""
        if is_versioned(module) or is_standard(function.__code__.co_filename):
            return f"function {module}.{name}"
        source = self._hash_file(function.__code__.co_filename)
        if not self.strict and (is_installed(function.__code__.co_filename) or module.startswith("bprop.")):
            return f"function {module}.{name} {source}"
        parts = [name, source, self.describe(function.__code__, name)]
        parts.append(self.describe(function.__defaults__, f"a default of {name}"))
        parts.append(self.describe(function.__kwdefaults__, f"a default of {name}"))
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        parts += [f"{free} = {self.describe(get_cell_value(cell), free)}" for free, cell in cells]
        used = sorted(collect_names(function.__code__))
        for each in used:
            if each in function.__globals__:
                parts += self._describe_name(each, function.__globals__[each], used, [])
        parts += self._describe_overloads(function)
        return "\n  ".join(["function", *parts])

    def _hash_file(self, filename: str) -> str:
        if filename not in self._sources:
            self._sources[filename] = sha256("".join(linecache.getlines(filename)).encode("utf-8", "surrogatepass"))
        return self._sources[filename]

    def _describe_name(self, name: str, value, used: list[str], within: list) -> list[str]:
        """Describe the value of a name; of a Python module, also those attributes that the function uses."""
        texts = [f"{name} = {self.describe(value, name)}"]
        if isinstance(value, types.ModuleType) and value not in within and not is_versioned(value.__name__):
            for each in used:
                if hasattr(value, each):
                    texts += self._describe_name(f"{name}.{each}", getattr(value, each), used, [*within, value])
        return texts

    def _describe_overloads(self, function) -> list[str]:
        """Describe what numba compiles in place of the function, by `numba.extending.overload`."""
        templates = [
            each
            for function_key, kind in builtin_registry.globals
            if function_key is function
            for each in kind.templates
        ]
        functions = [getattr(each, "_overload_func", None) for each in templates]
        return [f"overload {self.describe(each, function.__qualname__)}" for each in functions if each is not None]

    def _describe_wrapper(self, value, name: str) -> str:
        """Describe a wrapper of a function: numba's dispatcher, a bound method, a partial, a property..."""
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
        """Refuse to hash compiled code whose dependencies have changed since: it has the old values."""
        text = hash_function(compiled.py_func)
        then = COMPILED_DIGESTS.setdefault(compiled, text)
        if then != text and compiled.overloads:
            self._record_unhashable(name, "a function compiled before what it names was changed")
        elif then != text:
            COMPILED_DIGESTS[compiled] = text

    def _describe_class(self, cls: type, name: str) -> str:
        if (
            not is_written_in_python(cls)
            or is_versioned(cls.__module__)
            or is_standard(find_module_file(cls.__module__))
        ):
            return f"class {cls.__module__}.{cls.__qualname__}"
        parts = [cls.__qualname__, hash_module_source(cls.__module__)]
        parts += [self.describe(base, name) for base in cls.__bases__ if base is not object]
        kind = getattr(cls, "class_type", None)  # of numba's classes, whose methods are compiled
        for each in ("jit_methods", "jit_props", "jit_static_methods", "struct"):
            parts += [f"{each} {self.describe(dict(getattr(kind, each, {})), name)}"]
        parts += [f"{each.name} = {self.describe(each.value, each.name)}" for each in list_members(cls)]
        strict, self.strict = self.strict, False
        for each, value in sorted(vars(cls).items()):
            if isinstance(value, types.FunctionType) or not is_dunder(each):
                self.strict = strict and not (callable(value) or hasattr(value, "__get__"))
                parts.append(f"{each} = {self.describe(value, f'{cls.__qualname__}.{each}')}")
        self.strict = strict
        return "\n  ".join(["class", *parts])

    def _describe_object(self, value, name: str) -> str:
        """Describe an object of another class by the class, its source, and the object's attributes."""
        cls = type(value)
        if isinstance(value, numba.types.Type | np.dtype):
            return f"{cls.__qualname__} {value}"
        if not self.strict:
            return f"{cls.__qualname__} {hash_module_source(cls.__module__)}"
        base = next(each for each in cls.__mro__ if not is_written_in_python(each))
        known = base in (types.SimpleNamespace, *SIMPLE) or (base is object and not has_hidden_memory(cls))
        if not known:
            return self._record_unhashable(name, f"a value of the class {cls.__qualname__}")
        slots = {each: getattr(value, each, None) for one in cls.__mro__ for each in list_slots(one)}
        content = base(value) if base in SIMPLE else None  # type: ignore[call-arg, misc]
        parts = cls, content, getattr(value, "__dict__", {}), slots
        return " ".join(self.describe(each, name) for each in parts)

    def _record_unhashable(self, name: str, what: str) -> str:
        if self.strict:
            self.unhashable.append(f"{name}, {what}")
        return what


COMPILED_DIGESTS: "weakref.WeakKeyDictionary" = weakref.WeakKeyDictionary()  # by function


def hash_function(function) -> str:
    """Hash a plain function with all its dependencies, as they are now."""
    dependencies = Dependencies()
    dependencies.add("function", function)
    return sha256(dependencies.text.encode("utf-8", "surrogatepass"))


def collect_names(code) -> set[str]:
    """Collect the global and attribute names that a code object uses, nested functions included."""
    result = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            result |= collect_names(constant)
    return result


def list_members(cls: type) -> list:
    """List the members of an enumeration, aliases included."""
    return list(cls.__members__.values()) if issubclass(cls, enum.Enum) else []


def get_cell_value(cell):
    """Get the value of a closure's variable; None if it is not set yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def is_written_in_python(cls: type) -> bool:
    """Whether a class is defined in Python, not in C."""
    return bool(cls.__flags__ & 1 << 9)  # Py_TPFLAGS_HEAPTYPE


def has_hidden_memory(cls: type) -> bool:
    """Whether instances of a class have memory besides their attributes, as those of C classes do."""
    places = sum(len(list_slots(each)) for each in cls.__mro__) + bool(cls.__dictoffset__) + bool(cls.__weakrefoffset__)
    return cls.__basicsize__ > object.__basicsize__ + 8 * places


def list_slots(cls: type) -> list[str]:
    """List the slots of a class."""
    slots = vars(cls).get("__slots__", ())
    return [slots] if isinstance(slots, str) else [each for each in slots if not is_dunder(each)]


def is_dunder(name: str) -> bool:
    """Whether a name is Python's own, such as `__doc__`, or an internal one of enum and abc."""
    return (name.startswith("__") and name.endswith("__")) or name.startswith(("_abc_", "_member_", "_value2member"))


def is_versioned(module: str) -> bool:
    """Whether a Python module's version, or its source, is part of every digest."""
    return module.startswith(tuple(f"{each}." for each in VERSIONED)) or module in VERSIONED


@functools.cache
def is_standard(filename: str) -> bool:
    """Whether a file belongs to Python itself, whose version is part of every digest."""
    return filename.startswith("<frozen ") or (filename.startswith(STANDARD_LIBRARY) and not is_installed(filename))


def is_installed(filename: str) -> bool:
    """Whether a file belongs to an installed package, and so changes with its version."""
    return "site-packages" in filename or "dist-packages" in filename


def find_module_file(module: str) -> str:
    """Find the file of an imported Python module; "" if it has none."""
    imported = sys.modules.get(module)
    return getattr(imported, "__file__", None) or ("<frozen builtin>" if module in sys.builtin_module_names else "")


def hash_module_source(module: str) -> str:
    """Hash the file that defines a Python module, source or compiled; "" if there is none."""
    path = find_module_file(module)
    try:
        lines = linecache.getlines(path) if path.endswith(".py") else []
        return (
            sha256("".join(lines).encode("utf-8", "surrogatepass") or Path(path).read_bytes())
            if path
            else describe_interactive_module(module)
        )
    except OSError:
        return ""


def describe_interactive_module(module: str) -> str:
    """Describe a module without a file, such as that of an interactive session, by its name."""
    return f"without file {module}" if module in sys.modules else ""


def sha256(data: bytes) -> str:
    """Hash bytes with SHA-256."""
    return hashlib.sha256(data).hexdigest()


def unwrap_function(value):
    """Unwrap a decorated function; other values are returned as they are."""
    return inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
