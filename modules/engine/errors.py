"""Why numba refuses a method, in one sentence with the user's file and line; numba's own text behind it."""

import inspect
import re
import traceback

import numpy as np

from .state import WrongLayout
from .stateful import Stateful, raw_method

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
USER_LINE = re.compile(r'File "([^"]+)", line (\d+)')
STATE = re.compile(r"State\[([^@\]]*)@[^\]]*\]\(")
OUT_OF_RANGE = re.compile(r"^index (-?\d+) is out of bounds for axis (\d+) with size (\d+)$")
REASONS = (
    (
        re.compile(
            r"(?:>>> |Invalid use of )(?:len|(?:static_)?getitem|getiter|enumerate|zip|reversed)\b.*\bSequential\b"
        ),
        "compiled code calls a Sequential as a whole, self.name.fprop(x), and knows no len, index or loop of it; "
        "modules that are called one by one are attributes of their own",
    ),
    (
        re.compile(r">>> setitem\(readonly array"),
        "an array from outside of the class is read-only in compiled code, hold it in an attribute of self",
    ),
    (
        re.compile(r">>> (?:_impl|dot|matmul|vdot)\((?:.*?, )?(?:readonly )?array\(\w+, ([3-9])d"),
        "numba's @ and np.dot take vectors and matrices, not {0} axes: loop over the first ones, or reshape",
    ),
    (re.compile(r"Use of unsupported NumPy function 'numpy.matmul'"), "numba has no numpy.matmul, write a @ b"),
    (re.compile(r"format spec in f-strings"), "numba has no formats such as {{x:.3f}} in f-strings, write {{x}} alone"),
    (
        re.compile(r">>> mod\((?:unicode|Literal\[str)"),
        "numba has no % for texts, write an f-string such as f'got {{x}}'",
    ),
    (
        re.compile(r"Unknown attribute 'format' of type (?:unicode|Literal\[str)"),
        "numba has no str.format, write an f-string such as f'got {{x}}'",
    ),
    (
        re.compile(r"Cannot resolve setattr: .*\)\.(\w+) = (\w+)"),
        "self.{0} becomes a {1}, and compiled code stores numbers, arrays and tuples of them",
    ),
    (
        re.compile(r"Unknown attribute '?(\w+)'? of type (?:bprop\S*)?(?:State\[|[A-Z][\w.<>]*$)", re.MULTILINE),
        "self.{0} cannot be used in compiled code",
    ),
    (re.compile(r"Untyped global name '?(\w+)'?"), "{0} is not something that numba compiles"),
    (re.compile(r"NameError: (.+)"), "{0}"),
    (re.compile(r"Use of unsupported NumPy function '([\w.]+)'"), "numba has no {0}"),
    (re.compile(r"Unknown attribute '(\w+)' of type (.+)"), "numba knows no attribute {0} of {1}"),
    (re.compile(r"Cannot unify (.+?) and (.+?) for '(\w+)"), "{2} is {0} in one branch and {1} in another"),
    (
        re.compile(r"No implementation of function Function\((.+?)\) found for signature:\s*>>> (.+)"),
        "numba has no {1}",
    ),
    (re.compile(r"(self\.\w+ becomes .+)"), "{0}"),
    (re.compile(r"(.+ is not supported.*)"), "{0}"),
)


class CompileError(TypeError):
    """A method runs as plain Python, but numba cannot compile it."""


def pass_on_layout(error) -> tuple[str, str] | None:
    """The class and the attribute whose layout differs from the traced one, if that is what `error` says."""
    return (error.owner, error.name) if isinstance(error, WrongLayout) else None


def cannot_compile(module: Stateful | None, method: str, error) -> CompileError:
    """The error to raise when numba refuses `method` of `module`."""
    text = ESCAPES.sub("", str(error))
    if module is None:
        return CompileError(f"the compiled {method} does not compile\n{text}")
    raw = raw_method(type(module), method)
    file, line = place(raw, error, text)
    message = (
        f"{module.label()}: numba cannot compile {method} ({file}:{line}): {reason(text, module)}; "
        "rewrite the line, or set jit = False on the class to run it as Python"
    )
    result = CompileError(message)
    result.add_note("numba says: " + text.strip())
    module.add_place(result)
    return result


def place(raw, error, text: str) -> tuple[str, int]:
    """The user's line that numba stumbles over: the innermost one that is not in this package or numba."""
    code = raw.__code__
    location = getattr(error, "loc", None)
    if location is not None and location.filename == code.co_filename:
        return location.filename, location.line
    lines = [(file, int(line)) for file, line in USER_LINE.findall(text)]
    own = [(file, line) for file, line in lines if code.co_filename.endswith(file.lstrip("."))]
    if own:
        return code.co_filename, own[-1][1]
    return code.co_filename, inspect.unwrap(raw).__code__.co_firstlineno


def reason(text: str, module: Stateful) -> str:
    """One sentence out of numba's many lines."""
    text = shorten_states(text)
    for pattern, sentence in REASONS:
        match = pattern.search(text)
        if match:
            return sentence.format(*(group.strip() for group in match.groups())) + why(
                "".join(match.groups()[:1]), module
            )
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Failed in")]
    return lines[0] if lines else "numba gives no reason"


def shorten_states(text: str) -> str:
    """Text in which the type of a module's state is its class alone: `Sequential` for `State[Sequential@...](...)`."""
    while (match := STATE.search(text)) is not None:
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
        text = text[: match.start()] + match[1] + text[end:]
    return text


def why(name: str, module: Stateful) -> str:
    """What kind of thing the attribute `name` is, in parentheses, if it is one."""
    if name.startswith("_"):
        return " (names that begin with an underscore are for Python alone)"
    if hasattr(type(module), name):
        return " (it belongs to the class: assign it to self in __init__)"
    value = vars(module).get(name)
    return f" (it is a {type(value).__name__})" if value is not None else ""


def explain_index(module, error: IndexError, *arguments) -> IndexError:
    """NumPy's error with the module and line of an index out of range, or with what x is if that is no whole number."""
    if match := OUT_OF_RANGE.search(str(error)):
        return locate_index(module, error, *match.groups())
    if "only integers" not in str(error) or module.label_arguments or not arguments:
        return error
    x = arguments[0]
    what = f"x is {x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else "x is a table"
    hint = f"label_arguments = (0,) in class {type(module).__name__} keeps x whole numbers"
    return IndexError(f"{module.label()}: {what}, and an index is no whole number; {hint}")


def locate_index(module, error: IndexError, index: str, axis: str, size: str) -> IndexError:
    """The same sentence as of compiled code."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    where = f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{line})"
    return IndexError(f"{module.label()}: index {index} is out of range for axis {axis} of size {size} in {where}")


def explain_deepest(error: IndexError) -> IndexError:
    """The same for plain Python: of the innermost module whose `fprop(self, x)` the error has passed."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        values, code = frame.f_locals, frame.f_code
        module = values.get("self")
        if code.co_name == "fprop" and isinstance(module, Stateful) and code.co_argcount > 1:
            explained = explain_index(module, error, values.get(code.co_varnames[1]))
            if explained is not error:
                module.add_place(explained)
            return explained
    return error
