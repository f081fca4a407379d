"""Loops over single elements in the source of an update: `for i in range(n):` whose body reads and writes `a[i]` alone.

Each statement of such a loop becomes a function of JavaScript, by which the page computes it for one weight.
"""

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass, field
from functools import cache
from types import CodeType, FunctionType
from typing import Any

from .translate import Translator, Untranslatable, spell

SIGNS: dict[type, str] = {ast.Add: "+=", ast.Sub: "-=", ast.Mult: "*=", ast.Div: "/="}
MARK = re.compile(r"\bslot_(\d+)_")


@dataclass
class Loop:
    """A loop as the page needs it: its lines, the variables that it uses, its statements and their functions.

    A slot is (name, whether it is an array). A statement is a dict with `text`, the source; `filled`, the same in
    parts, with the numbers of slots in the place of variables; `code`, the place in `functions`; and `target` and
    `sign`, or `then` and `otherwise`.
    """

    name: str
    first: int
    last: int
    lines: list[int] = field(default_factory=list)  # of the statements of its body
    is_last: bool = False  # whether the function ends with it
    slots: list[tuple[str, bool]] = field(default_factory=list)
    statements: list[dict[str, Any]] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)


def find_loops(function: FunctionType, owner: Any) -> dict[int, Loop]:
    """Find the loops of a function, by the numbers of their first lines."""
    tree, first = parse(function.__code__)
    if tree is None:
        return {}
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and (loop := LoopTranslator(owner, function, node, first - 1).translate_loop()):
            loop.is_last = ends_with(tree.body[0].body, node)  # type: ignore[attr-defined]
            found[loop.first] = loop
    return found


def ends_with(body: list[ast.stmt], node: ast.stmt) -> bool:
    """Whether a statement is the last one that runs, if it runs."""
    last = body[-1] if body else None
    return last is node or (isinstance(last, ast.If) and (ends_with(last.body, node) or ends_with(last.orelse, node)))


@cache
def parse(code: CodeType) -> tuple[ast.AST | None, int]:
    """Parse the source of a function; None where there is none."""
    try:
        lines, first = inspect.getsourcelines(code)
        return ast.parse(textwrap.dedent("".join(lines))), first
    except (OSError, TypeError, SyntaxError):
        return None, 0


class LoopTranslator(Translator):
    """Translates the statements of a loop; in their functions variables are `e[0]`, `e[1]`, ..., those of one turn."""

    def __init__(self, owner: Any, function: FunctionType, node: ast.For, shift: int):
        self.owner, self.function, self.depth = owner, function, 0
        self.node, self.index = node, node.target.id if isinstance(node.target, ast.Name) else ""
        self.loop = Loop(function.__name__, node.lineno + shift, (node.end_lineno or node.lineno) + shift)
        self.local = set(function.__code__.co_varnames)
        self.slots: dict[tuple[str, bool], int] = {}

    def translate_loop(self) -> Loop | None:
        """The loop; None if it is none of single elements, or no arithmetic of numbers."""
        node = self.node
        is_range = isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func) == "range"
        if not (self.index and is_range and len(node.iter.args) == 1 and not node.orelse):  # type: ignore[attr-defined]
            return None
        try:
            self.loop.statements = [self.describe(each) for each in node.body]
        except Untranslatable:
            return None
        self.loop.slots = list(self.slots)
        self.loop.lines = [each.lineno - node.lineno + self.loop.first for each in node.body]
        return self.loop if is_elementwise(node.body, self.index) else None

    def describe(self, node: ast.stmt) -> dict[str, Any]:
        """Describe a statement, and add its function."""
        if isinstance(node, ast.If):
            text, filled, code = self.describe_expression(node.test)
            parts = ([self.describe(each) for each in body] for body in (node.body, node.orelse))
            then, otherwise = parts
            return {"text": f"if {text}", "filled": filled, "code": code, "then": then, "otherwise": otherwise}
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, sign = node.targets[0], "="
        elif isinstance(node, ast.AugAssign):
            target, sign = node.target, SIGNS.get(type(node.op), "")
        else:
            raise self.refuse(node)
        if not sign:
            raise self.refuse(node)
        _, filled, code = self.describe_expression(node.value)
        return {
            "text": ast.unparse(node),
            "filled": filled,
            "code": code,
            "target": self.find_slot(target),
            "sign": sign,
        }

    def describe_expression(self, node: ast.expr) -> tuple[str, list[Any], int]:
        """(text, parts, function) of an expression; parts are texts and numbers of slots in turn."""
        self.loop.functions.append(f"(e) => {self.expression(node)}")
        marked = ast.unparse(Marker(self).visit(ast.parse(ast.unparse(node), mode="eval")))
        parts = MARK.split(marked)
        filled: list[Any] = [int(part) if k % 2 else part for k, part in enumerate(parts)]
        return ast.unparse(node), filled, len(self.loop.functions) - 1

    def expression(self, node: ast.expr) -> str:
        if is_variable(node, self.index, self.local):
            return f"e[{self.find_slot(node)}]"
        if isinstance(node, ast.Name) and node.id == self.index:
            raise self.refuse(node)
        return super().expression(node)

    def find_slot(self, node: ast.expr) -> int:
        """The number of a variable's slot; Untranslatable for anything else."""
        if not is_variable(node, self.index, self.local):
            raise self.refuse(node)
        is_array = isinstance(node, ast.Subscript)
        name = ast.unparse(node.value if isinstance(node, ast.Subscript) else node)
        for part in name.split("."):
            spell(part)
        return self.slots.setdefault((name, is_array), len(self.slots))


class Marker(ast.NodeTransformer):
    """Puts a name with the number of its slot in the place of each variable."""

    def __init__(self, translator: LoopTranslator):
        self.translator = translator

    def visit(self, node: ast.AST) -> Any:
        translator = self.translator
        if isinstance(node, ast.expr) and is_variable(node, translator.index, translator.local):
            return ast.Name(f"slot_{translator.find_slot(node)}_", ast.Load())
        if isinstance(node, ast.Call):  # not the function's name
            node.args = [self.visit(each) for each in node.args]
            return node
        return self.generic_visit(node)


def is_variable(node: ast.AST, index: str, local: set[str]) -> bool:
    """Whether this is a local name, `self.name`, or one of these at [index]."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Name) and node.slice.id == index and is_variable(node.value, "", local)
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == "self"
    return isinstance(node, ast.Name) and node.id in local and node.id != index


def is_elementwise(body: list[ast.stmt], index: str) -> bool:
    """Whether a turn of a loop writes an array, and reads nothing that another turn has written."""
    names = [node for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name | ast.Subscript)]
    written = [node for node in names if isinstance(node.ctx, ast.Store)]
    if not any(isinstance(node, ast.Subscript) for node in written):
        return False
    known: set[str] = set()
    assigned = {node.id for node in written if isinstance(node, ast.Name)}
    for statement in body:
        own = {
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        read = {
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        carried = own if isinstance(statement, ast.AugAssign) else set()
        if ((read | carried) & assigned) - known - {index}:
            return False
        known |= own
    return True
