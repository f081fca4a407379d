"""How a method becomes compiled code: numba's own pipeline, with one pass added before types are inferred.

The pass closes the gap between NumPy and numba that a user's method would fall into. In NumPy a Python number is weak:
`2.0 * x`, `x / len(x)` and `self.slope * x` keep the float32 of `x`; numba alone would make them float64. Attributes
that are None or a string become literals, so that `if self.bias is not None` is decided while compiling; and plain
Python functions that a method calls are compiled with it.
"""

import itertools
import operator
import types as python_types

import numba
import numpy as np

from ..compiler.kernel import BaseCompiler, InnerLowering, KernelLowering, lower_by
from ..compiler.numba_api import (
    DefaultPassBuilder,
    FunctionPass,
    IRProcessing,
    cpu_target,
    intrinsic,
    numba_ir,
    register_pass,
    types,
)
from ..kernels.elementary_functions import REPLACED
from ..kernels.reductions import NAMES, WHOLE, reduction
from .dependencies import function_digest, is_versioned
from .print_and_format import format_value, narrow_printed
from .state import StateType

ARITHMETIC = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod, operator.ipow,
}  # fmt: skip
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}  # all of fastmath that leaves NaN and infinity alone
LIBRARIES = {__name__.split(".")[0], "numba", "numpy", "math", "builtins"}
OPTIONS = {"error_model": "numpy", "nogil": True, "fastmath": FAST, "forceinline": False}


@intrinsic
def weak(typing_context, value, other):
    """`value`, cast to the precision of `other` if it is a scalar that meets a narrower float."""
    kind = types.unliteral(value)
    dtype = getattr(other, "dtype", other) if isinstance(other, types.Array | types.Float) else None
    narrower = isinstance(kind, types.Integer) or (isinstance(kind, types.Float) and kind.bitwidth > 32)
    result = dtype if isinstance(dtype, types.Float) and narrower else value

    def generate(context, builder, signature, args):
        cast = context.cast(builder, args[0], signature.args[0], result)
        if context.enable_nrt:
            context.nrt.incref(builder, result, cast)
        return cast

    return result(value, other), generate


def _is_numpy_function(function) -> bool:
    return isinstance(function, np.ufunc) or function in (min, max, np.where, np.clip)


@register_pass(mutates_CFG=True, analysis_only=False)
class PythonMeaning(FunctionPass):
    """Weak scalars, literal attributes, plain helper functions (see the module's docstring)."""

    _name = "bprop_python_meaning"

    def __init__(self):
        FunctionPass.__init__(self)

    def run_pass(self, state):
        function_ir = state.func_ir
        constants = {}
        if state.args and isinstance(state.args[0], StateType):
            constants = dict(state.args[0].constants)
        for block in function_ir.blocks.values():
            body = []
            for statement in block.body:
                if isinstance(statement, numba_ir.Assign):
                    self.rewrite(function_ir, statement, constants, body)
                body.append(statement)
            block.body = body
        return True

    def rewrite(self, function_ir, statement, constants, body) -> None:
        """Change `statement` in place; statements that must stand before it go into `body`."""
        _rewrite(function_ir, statement, constants, body)


@register_pass(mutates_CFG=True, analysis_only=False)
class CheckedMeaning(PythonMeaning):
    """The same in code whose indices are checked: so are those of the user's functions that it calls; prints nothing.

    For it runs beside the code that counts.
    """

    _name = "bprop_checked_meaning"

    def rewrite(self, function_ir, statement, constants, body) -> None:
        value = statement.value
        function = _named_function(function_ir, value)
        if function is not None and is_users(function) and not _has_overload(function):
            form = checked(function)
            if isinstance(value, numba_ir.Expr):
                form = numba_ir.Global(value.attr, form, value.loc)
            else:
                form = type(value)(*_names(value), form, value.loc)
            statement.value = _redefine(function_ir, statement, form)
            return
        if isinstance(value, numba_ir.Expr) and value.op == "call" and _called(function_ir, value.func) is print:
            statement.value = _redefine(function_ir, statement, numba_ir.Const(None, value.loc))
            return
        _rewrite(function_ir, statement, constants, body)


def _rewrite(function_ir, statement, constants, body) -> None:
    """Change `statement` in place; statements that must stand before it go into `body`."""
    value = statement.value
    if isinstance(value, numba_ir.Global | numba_ir.FreeVar):
        itself = value.value is function_ir.func_id.func
        statement.value = _redefine(function_ir, statement, _compiled_reference(value, itself))
    elif isinstance(value, numba_ir.Expr) and value.op == "getattr":
        literal = _literal_attribute(function_ir, value, constants)
        if literal is not None:
            statement.value = _redefine(function_ir, statement, numba_ir.Const(literal[0], value.loc))
        else:
            helper = _module_attribute(function_ir, value)
            if helper is not None:
                statement.value = _redefine(function_ir, statement, helper)
    elif isinstance(value, numba_ir.Expr) and value.op in ("binop", "inplace_binop") and value.fn in ARITHMETIC:
        _weaken_operands(function_ir, statement, body)
    elif isinstance(value, numba_ir.Expr) and value.op == "call":
        _rewrite_call(function_ir, statement, body)


def _rewrite_call(function_ir, statement, body) -> None:
    function = _called(function_ir, statement.value.func)
    _write_result_to_out(function_ir, function, statement, body)
    if function is str:
        statement.value.func = _function(function_ir, format_value, statement, body)
    elif function is print:
        statement.value.args = tuple(
            _result(function_ir, narrow_printed, argument, statement, body) for argument in statement.value.args
        )
    if not _own_reduction(function_ir, statement, body) and not statement.value.kws:
        _weaken_arguments(function_ir, statement, body)


def _redefine(function_ir, statement, value):
    definitions = function_ir._definitions[statement.target.name]
    definitions[:] = [value if item is statement.value else item for item in definitions]
    return value


def _compiled_reference(value, itself: bool):
    form = _own_form(value.value)
    if form is not None:
        return type(value)(*_names(value), form, value.loc)
    if isinstance(value.value, python_types.FunctionType) and not _has_overload(value.value):
        form = compiled(value.value) if itself else free(value.value)
        return type(value)(*_names(value), form, value.loc)
    return value


def _has_overload(function) -> bool:
    """Whether numba knows this Python function already, by `numba.extending.overload` or `register_jitable`."""
    return cpu_target.typing_context._lookup_global(function) is not None


def _own_form(function):
    """What this package computes in place of a function: its own kernels, and np.exp, np.log and np.tanh."""
    known = isinstance(function, python_types.FunctionType | np.ufunc)
    return getattr(REPLACED.get(function, function), "compiled_form", None) if known else None


def _names(value):
    return (value.index, value.name) if isinstance(value, numba_ir.FreeVar) else (value.name,)


def _definition(function_ir, variable):
    try:
        return function_ir.get_definition(variable)
    except KeyError:
        return None


def _literal_attribute(function_ir, value, constants):
    owner = _definition(function_ir, value.value)
    if isinstance(owner, numba_ir.Arg) and owner.index == 0 and value.attr in constants:
        return (constants[value.attr],)
    return None


def _module_attribute(function_ir, value):
    owner = _definition(function_ir, value.value)
    if isinstance(owner, numba_ir.Global | numba_ir.FreeVar) and isinstance(owner.value, python_types.ModuleType):
        function = getattr(owner.value, value.attr, None)
        form = _own_form(function)
        if form is not None:
            return numba_ir.Global(value.attr, form, value.loc)
        if isinstance(function, python_types.FunctionType) and not _has_overload(function):
            return numba_ir.Global(value.attr, free(function), value.loc)
    return None


def _named_function(function_ir, value):
    """The Python function that a global, or an attribute of a Python module, stands for."""
    function = getattr(value, "value", None) if isinstance(value, numba_ir.Global | numba_ir.FreeVar) else None
    if isinstance(value, numba_ir.Expr) and value.op == "getattr":
        owner = _definition(function_ir, value.value)
        if isinstance(owner, numba_ir.Global | numba_ir.FreeVar) and isinstance(owner.value, python_types.ModuleType):
            function = getattr(owner.value, value.attr, None)
    function = getattr(function, "py_func", function)
    return function if isinstance(function, python_types.FunctionType) else None


def _weaken_operands(function_ir, statement, body):
    value = statement.value
    if value.fn in (operator.pow, operator.ipow) and isinstance(_definition(function_ir, value.rhs), numba_ir.Const):
        return  # numba expands x ** 2 itself
    left, right = value.lhs, value.rhs
    value.lhs = _weakened(function_ir, left, right, statement, body)
    value.rhs = _weakened(function_ir, right, left, statement, body)


def _weaken_arguments(function_ir, statement, body):
    value = statement.value
    function = _called(function_ir, value.func)
    if len(value.args) < 2 or not _is_numpy_function(function):
        return
    args = list(value.args)
    first = 1 if function is np.where else 0
    partners = args[first:]
    for k in range(first, len(args)):
        for other in partners:
            if other is not partners[k - first]:
                args[k] = _weakened(function_ir, args[k], other, statement, body)
    value.args = tuple(args)


def _own_reduction(function_ir, statement, body) -> bool:
    """Replace `x.mean(axis=0)`, `np.max(x, axis=1, keepdims=True)` and their like; True if this was one.

    Of the user's functions also `x.sum()` and `x.mean()`, which numba adds up in one running sum.
    """
    call = statement.value
    method = _definition(function_ir, call.func)
    if not (isinstance(method, numba_ir.Expr) and method.op == "getattr" and method.attr in NAMES):
        return False
    owner = _definition(function_ir, method.value)
    of_numpy = isinstance(owner, numba_ir.Global | numba_ir.FreeVar) and owner.value is np
    arguments = list(call.args) if of_numpy else [method.value, *call.args]
    settings = dict(call.kws) | dict(zip(("axis",), arguments[1:], strict=False))
    constants = {name: _definition(function_ir, variable) for name, variable in settings.items()}
    known = all(isinstance(constant, numba_ir.Const) for constant in constants.values())
    if len(arguments) > 2 or not known or not set(settings) <= {"axis", "keepdims"}:
        return False
    whole = not settings and len(arguments) == 1 and method.attr in WHOLE and is_users(function_ir.func_id.func)
    axis, keepdims = None, "keepdims" in constants and bool(constants["keepdims"].value)
    if not whole:
        axis = constants["axis"].value if "axis" in constants else None
        if not isinstance(axis, int):
            return False
    function = _function(function_ir, reduction(method.attr, axis, keepdims), statement, body)
    statement.value = _redefine(function_ir, statement, numba_ir.Expr.call(function, [arguments[0]], (), statement.loc))
    return True


def _define(function_ir, target, value, body) -> None:
    """Put `target = value` before the statement that is being rewritten."""
    body.append(numba_ir.Assign(value, target, value.loc))
    function_ir._definitions[target.name].append(value)


def _write_result_to_out(function_ir, function, statement, body) -> None:
    """Make `store(np.f(x), y)` of NumPy's `np.f(x, out=y)` and, for its elementwise functions, `np.f(x, y)`."""
    forms = {getattr(own, "compiled_form", own): original for original, own in REPLACED.items()}
    function = forms.get(function, function) if callable(function) else function
    call, inputs = statement.value, getattr(function, "nin", None)
    of_numpy = isinstance(function, np.ufunc) or (getattr(function, "__module__", None) or "").startswith("numpy")
    out = dict(call.kws).get("out")
    if of_numpy and out is None and inputs is not None and len(call.args) == inputs + 1:
        out, call.args = call.args[-1], call.args[:-1]
    elif not of_numpy or out is None:
        return
    call.kws = tuple(pair for pair in call.kws if pair[0] != "out")
    result = statement.target.scope.redefine("$result", loc=statement.loc)
    inner = numba_ir.Assign(call, result, statement.loc)
    function_ir._definitions[result.name].append(call)
    _rewrite_call(function_ir, inner, body)
    body.append(inner)
    store = _function(function_ir, compiled(store_result), statement, body)
    statement.value = _redefine(function_ir, statement, numba_ir.Expr.call(store, [result, out], (), statement.loc))


def store_result(result, out):
    """out[...] = result, of the same shape; returns it, as NumPy does."""
    if result.shape != out.shape:
        raise ValueError("out has another shape than the result")
    for i in range(out.size):
        out.flat[i] = result.flat[i]
    return out


def _function(function_ir, function, statement, body):
    """A variable that holds `function`."""
    variable = statement.target.scope.redefine(f"${function.__name__}", loc=statement.loc)
    _define(function_ir, variable, numba_ir.Global(function.__name__, function, statement.loc), body)
    return variable


def _result(function_ir, function, argument, statement, body):
    """A variable that holds `function(argument)`."""
    call = numba_ir.Expr.call(_function(function_ir, function, statement, body), [argument], (), statement.loc)
    result = statement.target.scope.redefine("$result", loc=statement.loc)
    _define(function_ir, result, call, body)
    return result


def _called(function_ir, variable):
    definition = _definition(function_ir, variable)
    if isinstance(definition, numba_ir.Global | numba_ir.FreeVar):
        return definition.value
    if isinstance(definition, numba_ir.Expr) and definition.op == "getattr":
        owner = _definition(function_ir, definition.value)
        if isinstance(owner, numba_ir.Global | numba_ir.FreeVar) and owner.value is np:
            return getattr(np, definition.attr, None)
    return None


def _weakened(function_ir, variable, other, statement, body):
    scope, loc = statement.target.scope, statement.loc
    function = scope.redefine("$weak", loc=loc)
    result = scope.redefine("$weakened", loc=loc)
    _define(function_ir, function, numba_ir.Global("weak", weak, loc), body)
    _define(function_ir, result, numba_ir.Expr.call(function, [variable, other], (), loc), body)
    return result


class Compiler(BaseCompiler):
    """numba's nopython pipeline with `PythonMeaning` in it."""

    meaning: type = PythonMeaning
    lowering: type = InnerLowering

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(self.meaning, IRProcessing)
        lower_by(pipeline, self.lowering)
        return [pipeline]


class MethodCompiler(Compiler):
    """The same, for a function of its own that is called, not copied into the plan."""

    lowering = KernelLowering


class CheckedCompiler(Compiler):
    """numba's pipeline for functions of the user's whose indices are checked."""

    meaning = CheckedMeaning


class CheckedMethodCompiler(CheckedCompiler):
    """The same for methods."""

    lowering = KernelLowering


_compiled: dict = {}


def compiled(function, pipeline=Compiler, depth=0):
    """The compiled form of a plain Python function, to be called from other compiled code only; see `free`.

    numba takes the values of globals as they are when it compiles; once they have changed there is another form.
    """
    if numba.config.DISABLE_JIT:
        return function
    values = "" if pipeline is MethodCompiler or is_versioned(function.__module__ or "") else function_digest(function)
    key = (function, pipeline, depth, values)  # a method's is in the type of its module's state
    if key not in _compiled:
        options = OPTIONS | {"boundscheck": issubclass(pipeline, CheckedCompiler)}
        _compiled[key] = numba.njit(
            function, pipeline_class=pipeline, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options
        )
    return _compiled[key]


def free(function, pipeline=Compiler):
    """The compiled form of a function that is not being compiled just now.

    A module's method may call the same method of a module of its class inside it. numba would take that for a function
    that calls itself, which it can link only where both have the same types; so the inner one is compiled anew.
    """
    forms = (compiled(function, pipeline, depth) for depth in itertools.count())
    return next(form for form in forms if not getattr(form, "is_compiling", False))


def compiled_method(function):
    """The compiled form of a module's method."""
    return compiled(function, MethodCompiler)


def is_users(function) -> bool:
    """Whether a function does not come with this package, nor with NumPy or numba."""
    return (function.__module__ or "").split(".")[0] not in LIBRARIES


def checked(function):
    """The compiled form of a function of the user's with its indices checked; of any other the ordinary form."""
    return free(function, CheckedCompiler if is_users(function) else Compiler)


def checked_method(function):
    """The same for a module's method."""
    return compiled(function, CheckedMethodCompiler if is_users(function) else MethodCompiler)
