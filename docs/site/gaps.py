"""What docstrings of public names leave out, as test_site.py asks: shapes, arguments, errors."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

from bprop.modules import Module


def find_gaps(name: str, thing, docs: dict[str, str]) -> list[str]:
    """What the docstring of a public name leaves out: shapes of a module, arguments, errors that its code raises.

    Args: docs: the docstrings of all names, to which one may refer: `Args: as of Conv2d`.
    """
    doc, gaps = docs[name], []
    if inspect.isclass(thing) and issubclass(thing, Module) and not re.search(r"\bShapes\b.*:", doc):
        gaps.append("Shapes")
    referred, left = doc, [doc]
    while left:  # to those that it refers to, and they in turn
        for other in re.findall(r"\bas (?:of|in) `?([A-Z]\w+)", left.pop()):
            if docs.get(other, "") not in referred:
                referred += docs[other]
                left.append(docs[other])
    parameters = list_parameters(thing)
    gaps += [f"argument {each}" for each in parameters if not re.search(rf"\b{each}\b", referred)]
    if parameters and inspect.isclass(thing) and "Args" not in doc:
        gaps.append("Args")
    if find_raised(thing) and not re.search(r"\bErrors\b.*:|\w+Error\b", doc):
        gaps.append("Errors")
    return gaps


def list_parameters(thing) -> list[str]:
    """The names of what a class or a function takes; none of an exception."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except ValueError:
        return []
    return [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]


def find_raised(thing) -> set[str]:
    """The errors that the code of a class or a function raises, and the checks that it calls."""
    name, file = getattr(thing, "__name__", ""), inspect.getsourcefile(inspect.unwrap(thing))
    tree = find_definitions(file).get(name, ast.Pass())
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    names = {get_called(each) for each in raised} - {"", "NotImplementedError"}
    return names | {get_called(node) for node in ast.walk(tree) if get_called(node).startswith(("check_", "refuse_"))}


@cache
def find_definitions(file: str) -> dict[str, ast.AST]:
    """The classes and functions of a file, by name."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def get_called(node) -> str:
    """The name of the function or class that an expression calls, if that is what it is."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
