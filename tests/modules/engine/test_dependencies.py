"""The digest of what a method can reach: every value with its owner and its name, and what no digest covers."""

import ctypes
import functools
import os
import re
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
from bprop.modules.engine import sources
from bprop.modules.engine.dependencies import Dependencies, hash_function
from bprop.modules.engine.sources import examine_class, hash_class, hash_settings

SOURCE = """
    from bprop.modules import Module
    {head}

    class Unit(Module):
        def fprop(self, x):
            return {line}

        def bprop(self, grad_y):
            return grad_y
"""
KINDS = {  # lines before the class, a line of fprop, then what is edited and what it becomes
    "two constants swapped": ("A, B = values.A, values.B", "A * x + B", "A=2.0, B=3.0", "A=3.0, B=2.0"),
    "of a module": ("", "values.A * x + values.B", "A=2.0, B=3.0", "A=3.0, B=2.0"),
    "types": ("", "values.A * x", "A=1", "A=1.0"),
    "signs of zero": ("", "values.A * x", "A=0.0", "A=-0.0"),
    "tuples": ("", "values.PAIR[0] * x", "PAIR=(1.0, (2.0, 3.0))", "PAIR=(1.0, (3.0, 2.0))"),
    "named tuples": ("", "values.P.a * x", "P=named('P', 'a b')(1, 2)", "P=named('P', 'b a')(1, 2)"),
    "members": ("", "values.E.A.value * x", "E=Enum('E', dict(A=1, B=2))", "E=Enum('E', dict(A=2, B=1))"),
    "one member": ("M = values.E.A", "M * x", "E=IntEnum('E', dict(A=1, B=2))", "E=IntEnum('E', dict(A=2, B=1))"),
    "class attributes": ("", "values.C.A * x", "C=type('C', (), dict(A=1, B=2))", "C=type('C', (), dict(A=2, B=1))"),
    "inherited": ("", "values.D.A * x", "D=sub(dict(A=1, B=2))", "D=sub(dict(A=2, B=1))"),
    "objects": ("", "values.O.a * x", "O=Space(a=1, b=2)", "O=Space(a=2, b=1)"),
    "dicts": ("", "values.T['a'] * x", "T=dict(a=1, b=2)", "T=dict(a=2, b=1)"),
    "sets": ("", "(3 in values.S) * x", "S=frozenset([1, 3])", "S=frozenset([1, 4])"),
    "arrays": ("", "values.W * x", "W=np.array([1.0, 2.0])", "W=np.array([2.0, 1.0])"),
    "dtypes": ("", "x.astype(values.T)", "T=np.float32", "T=np.float64"),
    "shapes": ("", "values.W * x", "W=np.zeros((2, 3))", "W=np.zeros((3, 2))"),
    "defaults": ("def f(x, k=values.A, c=values.B):\n        return k * x + c", "f(x)", "A=2, B=3", "A=3, B=2"),
    "keywords": ("def f(x, *, k=values.A):\n        return k * x", "f(x)", "A=2", "A=3"),
    "defaults of the method": ("from values import f", "f(x)", "f=lambda x, k=2: k * x", "f=lambda x, k=3: k * x"),
    "closures": ("f = values.scaled(values.A, values.B)", "f(x)", "A=2, B=3", "A=3, B=2"),
    "functions of functions": ("g = lambda x: values.A * x\n    f = lambda x: g(x)", "f(x)", "A=2", "A=3"),
    "compiled by numba": ("import numba\n    f = numba.njit(lambda x: values.A * x)", "f(x)", "A=2", "A=3"),
    "slots": ("", "values.O.a * x", "O=slotted(1, 2)", "O=slotted(2, 1)"),
    "numbers of one's own": ("", "values.O * x", "O=Whole(1)", "O=Whole(2)"),
    "partial": ("f = values.partial(min, values.A)", "f(x)", "A=2", "A=3"),
    "static methods": ("class C:\n        f = staticmethod(lambda x: values.A * x)", "C.f(x)", "A=2", "A=3"),
}  # fmt: skip


HELPERS = """
import numpy as np
from collections import namedtuple as named
from enum import Enum, IntEnum
from types import SimpleNamespace as Space

class slotted:
    __slots__ = ("a", "b")
    def __init__(self, a, b):
        self.a, self.b = a, b

class Whole(int):
    pass
"""


def digest_of(tmp_path, monkeypatch, head, line, text):
    """The digest of the class in a file that imports `values`, whose values are those given."""
    values = types.ModuleType("values")
    helpers = {"sub": lambda values: type("D", (type("Base", (), values),), {}), "__name__": "values"}
    exec(HELPERS, helpers)
    vars(values).update(eval(f"dict({text})", helpers), partial=functools.partial, scaled=scaled)
    monkeypatch.setitem(sys.modules, "values", values)
    path = tmp_path / "unit.py"
    path.write_text(textwrap.dedent(SOURCE).format(head=textwrap.dedent("    " + head), line=line))
    module = types.ModuleType("unit")
    exec(compile("import values\n" + path.read_text(), path, "exec"), vars(module))
    return examine_class(module.Unit)


def scaled(a, b):
    return lambda x: a * x + b


@pytest.mark.parametrize(("head", "line", "first", "second"), KINDS.values(), ids=KINDS)
def test_any_value_that_changes_makes_another_digest(head, line, first, second, tmp_path, monkeypatch):
    one, again, other = (digest_of(tmp_path, monkeypatch, head, line, text) for text in (first, first, second))
    assert one.unhashable == other.unhashable == ()
    assert one == again
    assert one != other


UNHASHABLE = {
    "a pointer of C": ("C", lambda: ctypes.CFUNCTYPE(ctypes.c_double)(lambda: 1.0)),
    "a large array": ("W", lambda: np.zeros(200_000)),
    "an array of objects": ("W", lambda: np.array([object(), None])),
    "a generator": ("R", lambda: np.random.default_rng(0)),
    "a pattern": ("P", lambda: re.compile("a")),
    "an iterator": ("I", lambda: iter([1, 2])),
}


@pytest.mark.parametrize(("name", "make"), UNHASHABLE.values(), ids=UNHASHABLE)
def test_what_has_no_text_is_named_and_is_another_in_each_process(name, make, tmp_path, monkeypatch):
    def method(x):
        return x * value

    value = make()
    dependencies = Dependencies()
    dependencies.add("method", method)
    assert len(dependencies.unhashable) == 1
    assert dependencies.unhashable[0].startswith("value, a")

    class Unit:
        def fprop(self, x):
            return x * value

    first = examine_class(Unit)
    assert first.unhashable == tuple(dependencies.unhashable)
    monkeypatch.setattr(sources, "THIS_PROCESS", "another one")
    assert examine_class(Unit).digest != first.digest

    class PythonOnly:
        def fprop(self, x):
            return x

        def show(self):
            return value

    assert examine_class(PythonOnly).unhashable == (), "what is never compiled may reach anything"

    class Indirect:
        def fprop(self, x):
            return self.show() * x

        def show(self):
            return value

    assert examine_class(Indirect).unhashable == first.unhashable


def test_values_that_reach_themselves():
    items: list = [1]
    items.append(items)

    def function(x):
        return function(x - 1) + len(items)

    assert hash_function(function) == hash_function(function)
    nested = ()
    for _ in range(100_000):
        nested = (nested,)

    class Deep:
        def fprop(self, x):
            return x * len(nested)

    assert examine_class(Deep).unhashable == ("values in values, too deep to follow",)


def test_an_overload_is_reached():
    from numba.extending import overload

    def outside(x):
        raise NotImplementedError

    scale = 2.0
    before = hash_function(outside)

    @overload(outside)
    def compiled(x):
        return lambda x: scale * x

    first = hash_function(outside)
    assert first != before
    scale = 3.0
    assert hash_function(outside) != first


HASHED = """
from bprop.modules import Module
from bprop.modules.engine.sources import hash_class
WORDS = frozenset(["some", "words", "in", "a", "set"])
class Unit(Module):
    def fprop(self, x):
        return x * ("some" in WORDS) * (self.mode in {"a", "b", "c", "d"})
    def bprop(self, grad_y):
        return grad_y
print(hash_class(Unit))
"""


def test_the_digest_is_the_same_in_each_process(tmp_path):
    (tmp_path / "script.py").write_text(HASHED)
    digests = set()
    for seed in "12":
        done = subprocess.run(
            [sys.executable, "script.py"], cwd=tmp_path, env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        digests.add(done.stdout)
    assert len(digests) == 1


SETTINGS = ("BOUNDSCHECK", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "CPU_NAME", "CPU_FEATURES", "ENABLE_AVX")


@pytest.mark.parametrize("name", SETTINGS)
def test_numbas_settings_are_in_the_name_of_machine_code(name, monkeypatch):
    import numba

    before = hash_settings()
    monkeypatch.setattr(numba.config, name, "another")
    assert hash_settings() != before


def test_the_vector_width_is_in_the_name_of_machine_code(monkeypatch):
    before = hash_settings()
    monkeypatch.setattr(sources, "VECTOR_BYTES", 16)
    assert hash_settings() != before


@pytest.mark.parametrize(("owner", "name"), [("sys", "version"), ("llvmlite", "__version__"), ("numba", "__version__")])
def test_versions_are_in_every_digest(owner, name, monkeypatch):
    before = sources.hash_package()
    sources.hash_package.cache_clear()
    monkeypatch.setattr(getattr(sources, owner), name, "another")
    try:
        assert sources.hash_package() != before
    finally:
        sources.hash_package.cache_clear()


def test_the_place_counts_only_if_asked_for():
    def made(module):
        class Unit:
            def fprop(self, x):
                return x

        Unit.__module__ = module
        return Unit

    assert hash_class(made("one")) != hash_class(made("other"))
    assert hash_class(made("one"), place=False) == hash_class(made("other"), place=False)
