"""Error messages for methods that numba cannot compile: a sentence with the user's file and line, then numba's text."""

import inspect
import re
import traceback

import numpy as np

from .state import WrongLayout
from .stateful import Stateful, get_raw_method

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
        "modules that are called one by one are separate attributes",
    ),
    (
        re.compile(r">>> setitem\(readonly array"),
        "an array from outside of the class is read-only in compiled code, hold it in an attribute of self",
    ),
    (
        re.compile(r">>> (?:_impl|dot|matmul|vdot)\((?:.*?, )?(?:readonly )?array\(\w+, ([3-9])d"),
        "numba's np.dot takes vectors and matrices, not {0} axes: write @",
    ),
    (
        re.compile(r"Use of unsupported NumPy function 'numpy.(einsum|tensordot|inner)'"),
        "numba has no numpy.{0}, write @, of arrays whose axes are reshaped or transposed",
    ),
    (
        re.compile(r"Use of unsupported NumPy function 'numpy.(tile|pad|put_along_axis|apply_along_axis)'"),
        "numba has no numpy.{0}, fill an array of np.zeros by slices",
    ),
    (
        re.compile(r"Use of unsupported NumPy function 'numpy.squeeze'"),
        "numba has no numpy.squeeze, index the axis, as x[:, 0]",
    ),
    (
        re.compile(r"Unknown attribute '(\w+)' of type Function\(<ufunc '(\w+)'>\)"),
        "numba has no np.{1}.{0}, loop over the indices",
    ),
    (
        re.compile(r">>> repeat\(.*axis="),
        "numba's np.repeat has no axis, index it, as x[:, rows], or write np.broadcast_to",
    ),
    (
        re.compile(r">>> (?:np_)?any\(.*axis="),
        "numba's any has no axis, write mask.sum(axis=-1) > 0",
    ),
    (
        re.compile(r">>> (?:np_)?all\(.*axis="),
        "numba's all has no axis, write (~mask).sum(axis=-1) == 0",
    ),
    (
        re.compile(r">>> (?:\w+_)?(prod|median|argsort|argpartition|ptp|cumprod|diff|count_nonzero)\(.*axis="),
        "numba's np.{0} has no axis, loop over the others",
    ),
    (
        re.compile(r">>> norm\(.*axis="),
        "numba's np.linalg.norm has no axis, write np.sqrt((x**2).sum(axis=-1, keepdims=True))",
    ),
    (
        re.compile(r">>> (concatenate|stack|vstack|hstack|column_stack|dstack)\(.*\blist\("),
        "numba's np.{0} takes no such list of arrays, fill an array of np.empty by slices",
    ),
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


MASK = "a mask of several axes indexes no array, write np.where(mask, a, b), or x.ravel()[mask.ravel()] to read"


class CompileError(TypeError):
    """A method runs as plain Python, but numba cannot compile it."""


def find_changed_layout(error) -> tuple[str, str] | None:
    """Find the class and the attribute whose memory layout changes, if that is what `error` is about."""
    return (error.owner, error.name) if isinstance(error, WrongLayout) else None


def make_compile_error(module: Stateful | None, method: str, error) -> CompileError:
    """Make the error to raise when numba cannot compile `method` of `module`."""
    text = ESCAPES.sub("", str(error))
    if module is None:
        return CompileError(f"the compiled {method} does not compile\n{text}")
    raw = get_raw_method(type(module), method)
    file, line = find_user_line(raw, error, text)
    reason = MASK if is_about_mask(error) else summarize_error(text, module)
    message = (
        f"{module.label()}: numba cannot compile {method} ({file}:{line}): {reason}; "
        "rewrite the line, or set jit = False on the class to run it as Python"
    )
    result = CompileError(message)
    result.add_note("numba says: " + text.strip())
    module.add_place(result)
    return result


def is_about_mask(error) -> bool:
    """Whether numba stumbles over an index that is a mask of several axes, which it types, but has no code for."""
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, AssertionError) and not str(error) and frames[-1].filename.endswith("arrayobj.py")


def find_user_line(raw, error, text: str) -> tuple[str, int]:
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


def summarize_error(text: str, module: Stateful) -> str:
    """Summarize numba's error message in one sentence."""
    text = shorten_states(text)
    for pattern, sentence in REASONS:
        match = pattern.search(text)
        if match:
            return sentence.format(*(group.strip() for group in match.groups())) + describe_attribute(
                "".join(match.groups()[:1]), module
            )
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Failed in")]
    return lines[0] if lines else "numba gives no reason"


def shorten_states(text: str) -> str:
    """Shorten the types of states to their classes: `State[Sequential@...](...)` to `Sequential`."""
    while (match := STATE.search(text)) is not None:
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
        text = text[: match.start()] + match[1] + text[end:]
    return text


def describe_attribute(name: str, module: Stateful) -> str:
    """Describe the attribute `name` in parentheses, if there is one."""
    if name.startswith("_"):
        return " (names that begin with an underscore are for Python alone)"
    if hasattr(type(module), name):
        return " (it belongs to the class: assign it to self in __init__)"
    value = vars(module).get(name)
    if isinstance(value, dict | list):
        kind, instead = (
            ("dict", "give each value an attribute") if isinstance(value, dict) else ("list", "make it a tuple")
        )
        return f" (it is a {kind}: {instead})"
    return f" (it is a {type(value).__name__})" if value is not None else ""


def explain_index(module, error: IndexError, *arguments) -> IndexError:
    """Make NumPy's IndexError name the module and line, or describe x if that should be whole numbers."""
    if match := OUT_OF_RANGE.search(str(error)):
        return locate_index(module, error, *match.groups())
    if "only integers" not in str(error) or module.label_arguments or not arguments:
        return error
    whole = [k for k, each in enumerate(arguments) if isinstance(each, np.ndarray) and not np.any(each % 1)]
    place = whole[-1] if whole else 0
    x, name = arguments[place], "target" if place else "x"
    what = f"{name} is {x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else "x is a table"
    hint = f"label_arguments = ({place},) in class {type(module).__name__} keeps {name} whole numbers"
    return IndexError(f"{module.label()}: {what}, and an index is no whole number; {hint}")


def locate_index(module, error: IndexError, index: str, axis: str, size: str) -> IndexError:
    """Make the error for an index out of range, in the same words as in compiled code."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    where = f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{line})"
    return IndexError(f"{module.label()}: index {index} is out of range for axis {axis} of size {size} in {where}")


def explain_deepest(error: IndexError) -> IndexError:
    """Make an IndexError of plain Python name the innermost module whose `fprop(self, x)` raised it."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        values, code = frame.f_locals, frame.f_code
        module = values.get("self")
        if code.co_name == "fprop" and isinstance(module, Stateful) and code.co_argcount > 1:
            explained = explain_index(module, error, *map(values.get, code.co_varnames[1 : code.co_argcount]))
            if explained is not error:
                module.add_place(explained)
            return explained
    return error
