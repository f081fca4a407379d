"""Source of methods and equations of docstrings, as a reader of the page sees them."""

import inspect
import re
from pathlib import Path
from typing import Any

from ...modules.engine.stateful import collect_methods, get_raw_method

PRAGMA = re.compile(r"\s+# (noqa|type: ignore|fmt: skip).*$")  # said to tools, not to a reader
MOST_LINES = 400  # of a method
SCALAR = {"fprop": ("function",), "bprop": ("derivative",)}  # of elementwise units and losses, called by their bases


def describe_methods(module: Any, name: str) -> list[dict[str, Any]]:
    """Describe a method of a module, and those of its class that the method calls, as source lines.

    The first one is the method itself; each has `name`, `owner` (the class that writes it), `file`, `first` (the number
    of its first line) and `lines`.
    """
    cls = type(module)
    methods = collect_methods(cls)
    function = get_raw_method(cls, name)
    called = [each for each in function.__code__.co_names if each in methods and each not in ("fprop", "bprop")]
    called += [each for each in SCALAR.get(name, ()) if each in methods and each not in called]
    found = [describe_function(function)]
    found += [describe_function(methods[each]) for each in called if methods[each] is not function]
    return [each for each in found if each is not None]


def describe_function(function: Any) -> dict[str, Any] | None:
    """Describe a function by its source; None where there is none, as of one typed at a prompt."""
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return None
    owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
    return {
        "name": function.__name__,
        "owner": owner,
        "file": shorten_file(function.__code__.co_filename),
        "first": first,
        "lines": [PRAGMA.sub("", line.rstrip("\n")) for line in lines[:MOST_LINES]],
    }


def shorten_file(name: str) -> str:
    """Shorten the path of a source file to its last two parts: the rest is of this computer."""
    return "/".join(Path(name).parts[-2:])


def find_equations(module: Any) -> str:
    """Find the equations in the docstring of a class: its first indented paragraph; empty without one.

    A class without a docstring of its own has that of its base.
    """
    for cls in type(module).__mro__:
        text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
        if cls.__dict__.get("framework_base", False) and cls is not type(module):
            break
        paragraphs = [paragraph for paragraph in text.split("\n\n") if paragraph.startswith("    ")]
        if paragraphs:
            return inspect.cleandoc("\n" + paragraphs[0])
        first = text.split("\n")[0]
        if "=" in first:
            return first
    return ""


def find_sentence(module: Any) -> str:
    """Find the first sentence of the docstring of a module's class."""
    return inspect.cleandoc(type(module).__doc__ or "").split("\n\n")[0].replace("\n", " ")
