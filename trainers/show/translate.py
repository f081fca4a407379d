"""Functions of numbers as JavaScript: a unit's `function` and `derivative`, from their Python source.

What is known now, such as settings on self, is written as a number; names are those of the source with `v_` before
them, so that no text of a source gets into the script but as digits and such names.
"""

import ast
import inspect
import math
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from ...modules.engine.stateful import get_raw_method
from ...modules.kernels import elementary_functions

MATH = {
    "exp": "Math.exp", "log": "Math.log", "log1p": "Math.log1p", "expm1": "Math.expm1", "tanh": "Math.tanh",
    "sqrt": "Math.sqrt", "abs": "Math.abs", "sign": "Math.sign", "sin": "Math.sin", "cos": "Math.cos",
    "arctan": "Math.atan", "maximum": "Math.max", "minimum": "Math.min", "max": "Math.max", "min": "Math.min",
    "power": "Math.pow", "sinh": "Math.sinh", "cosh": "Math.cosh", "float": "Number",
}  # fmt: skip
OWN = {"sigmoid": "sigmoid", "softplus": "softplus"}  # in engine.js
OPERATORS: dict[type, str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
COMPARISONS: dict[type, str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "===", ast.NotEq: "!==", ast.Is: "===",
    ast.IsNot: "!==",
}  # fmt: skip


class Untranslatable(ValueError):
    """A function uses more than numbers; the message says what."""


def translate_method(owner: Any, name: str) -> str:
    """Translate a method of scalars into a JavaScript function expression of its arguments without self.

    Errors: Untranslatable for what is no arithmetic of numbers.
    """
    return Translator(owner, get_raw_method(type(owner), name)).translate()


class Translator:
    """Translates one function; `owner` is its self."""

    def __init__(self, owner: Any, function: Callable, depth: int = 0):
        self.owner, self.function, self.depth = owner, function, depth
        if depth > 5:
            raise Untranslatable(f"{function.__name__} calls too deeply")
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, TypeError, SyntaxError):
            raise Untranslatable(f"{function.__name__} has no source") from None
        definition = tree.body[0] if tree.body else None
        if not isinstance(definition, ast.FunctionDef):
            raise Untranslatable(f"{function.__name__} is no plain function")
        self.definition = definition

    def translate(self) -> str:
        """The function as an expression."""
        definition = self.definition
        names = [argument.arg for argument in definition.args.args]
        names = names[1:] if names[:1] == ["self"] else names
        self.local = find_targets(definition) - set(names)
        body = [each for each in definition.body if not is_docstring(each)]
        declared = f"let {', '.join(map(spell, sorted(self.local)))}; " if self.local else ""
        self.local |= set(names)
        return f"({', '.join(map(spell, names))}) => {{ {declared}{self.block(body)} }}"

    def block(self, statements: list[ast.stmt]) -> str:
        """Several statements."""
        return " ".join(map(self.statement, statements))

    def statement(self, node: ast.stmt) -> str:
        """One statement."""
        if isinstance(node, ast.Return) and node.value is not None:
            return f"return {self.expression(node.value)};"
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            return self.assign(node.targets[0], node.value)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            value = self.expression(ast.BinOp(ast.Name(node.target.id), node.op, node.value))
            return f"{spell(node.target.id)} = {value};"
        if isinstance(node, ast.If):
            rest = f" else {{ {self.block(node.orelse)} }}" if node.orelse else ""
            return f"if ({self.expression(node.test)}) {{ {self.block(node.body)} }}{rest}"
        raise self.refuse(node)

    def assign(self, target: ast.expr, value: ast.expr) -> str:
        """An assignment to a name, or to several."""
        if isinstance(target, ast.Name):
            return f"{spell(target.id)} = {self.expression(value)};"
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            names = [spell(each.id) for each in target.elts if isinstance(each, ast.Name)]
            if len(names) == len(target.elts):
                return f"[{', '.join(names)}] = [{', '.join(map(self.expression, value.elts))}];"
        raise self.refuse(target)

    def expression(self, node: ast.expr) -> str:
        """One expression, in brackets where it is made of others."""
        if isinstance(node, ast.Constant):
            return spell_number(node.value)
        if isinstance(node, ast.Name):
            return spell(node.id) if node.id in self.local else self.look_up(node)
        if isinstance(node, ast.Attribute):
            return self.look_up(node)
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return f"({self.expression(node.left)} {OPERATORS[type(node.op)]} {self.expression(node.right)})"
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            return f"({'-' if isinstance(node.op, ast.USub) else '!'}{self.expression(node.operand)})"
        if isinstance(node, ast.IfExp):
            parts = map(self.expression, (node.test, node.body, node.orelse))
            return "({} ? {} : {})".format(*parts)
        if isinstance(node, ast.BoolOp):
            sign = " && " if isinstance(node.op, ast.And) else " || "
            return f"({sign.join(map(self.expression, node.values))})"
        if isinstance(node, ast.Compare) and all(type(each) in COMPARISONS for each in node.ops):
            sides = [*map(self.expression, (node.left, *node.comparators))]
            pairs = zip(sides, node.ops, sides[1:], strict=False)
            return f"({' && '.join(f'{a} {COMPARISONS[type(sign)]} {b}' for a, sign, b in pairs)})"
        if isinstance(node, ast.Call) and not node.keywords:
            return f"{self.called(node.func)}({', '.join(map(self.expression, node.args))})"
        raise self.refuse(node)

    def called(self, node: ast.expr) -> str:
        """The function of a call: of NumPy, of the kernels, or another method of the same object."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "self":
                try:
                    method = get_raw_method(type(self.owner), node.attr)
                except AttributeError:
                    raise self.refuse(node) from None
                return f"({Translator(self.owner, method, self.depth + 1).translate()})"
            if self.function.__globals__.get(node.value.id) in (np, math) and node.attr in MATH:
                return MATH[node.attr]
        if isinstance(node, ast.Name):
            own = self.function.__globals__.get(node.id)
            if node.id in OWN and own is getattr(elementary_functions, node.id):
                return OWN[node.id]
            if own is None and node.id in MATH:
                return MATH[node.id]
            if inspect.isfunction(own):
                return f"({Translator(self.owner, own, self.depth + 1).translate()})"
        raise self.refuse(node)

    def look_up(self, node: ast.expr) -> str:
        """A number that is known now: a setting on self, or a constant of the file or of NumPy."""
        value: Any = None
        if isinstance(node, ast.Name) and node.id in self.function.__globals__:
            return spell_number(self.function.__globals__[node.id])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = self.owner if node.value.id == "self" else self.function.__globals__.get(node.value.id)
            if owner is self.owner or owner in (np, math):
                value = getattr(owner, node.attr, ...)
                return "null" if value is None else spell_number(value)
        raise self.refuse(node)

    def refuse(self, node: ast.AST) -> Untranslatable:
        """The error for something that is no arithmetic."""
        return Untranslatable(
            f"{self.function.__name__} has {ast.unparse(node)[:60]}, which is no arithmetic of numbers"
        )


def find_targets(definition: ast.FunctionDef) -> set[str]:
    """The names that a function assigns."""
    names = [node for node in ast.walk(definition) if isinstance(node, ast.Name)]
    return {node.id for node in names if isinstance(node.ctx, ast.Store)}


def is_docstring(node: ast.stmt) -> bool:
    """Whether a statement is a text alone."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def spell(name: str) -> str:
    """Spell a name; Untranslatable for one that is not of ASCII letters."""
    if not (name.isascii() and name.isidentifier()):
        raise Untranslatable(f"the name {name!r} is not of ASCII letters")
    return f"v_{name}"


def spell_number(value: Any) -> str:
    """Spell a number, true, false or null; Untranslatable for anything else."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float | np.integer | np.floating):
        number = float(value)
        if math.isnan(number):
            return "NaN"
        return ("Infinity" if number > 0 else "(-Infinity)") if math.isinf(number) else f"({number!r})"
    raise Untranslatable(f"{value!r:.40} is no number")
