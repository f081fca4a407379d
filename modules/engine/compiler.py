"""Compilation of methods: numba's nopython pipeline, with one more pass before type inference.

The pass makes numba follow NumPy's semantics where the two differ. In NumPy a Python scalar is weakly typed: `2.0 * x`,
`x / len(x)` and `self.slope * x` keep the float32 of `x`; numba alone would make them float64. Attributes that are None
or a string become literals, so that `if self.bias is not None` is decided at compile time; and plain Python functions
that a method calls are compiled with it.
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
from ..kernels.builtin_functions import as_contiguous, swap_axes
from ..kernels.elementary_functions import REPLACED
from ..kernels.matmul.matmul_operator import multiply_arrays
from ..kernels.print_and_format import format_value, narrow_printed
from ..kernels.reductions import NAMES, OF_AXES, WHOLE, reduction
from .dependencies import hash_function, is_versioned
from .state import StateType

ARITHMETIC = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod, operator.ipow,
}  # fmt: skip
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}  # all of fastmath that leaves NaN and infinity alone
PASSES = {"fprop", "bprop", "jvp", "rbprop"}
LIBRARIES = {__name__.split(".")[0], "numba", "numpy", "math", "builtins"}
JOINING = (np.concatenate, np.stack, np.vstack, np.hstack, np.column_stack, np.dstack)  # take a list of arrays
OPTIONS = {"error_model": "numpy", "nogil": True, "fastmath": FAST, "forceinline": False}


@intrinsic
def cast_weak(typing_context, value, other):
    """Cast a scalar to the dtype of `other` if that is a narrower float; other values stay as they are."""
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
class NumpySemantics(FunctionPass):
    """The pass: weakly typed scalars, literal attributes, plain functions (see the docstring of this file)."""

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
class CheckedSemantics(NumpySemantics):
    """The pass for bounds-checked code: user-defined functions that it calls are checked, too, and `print` is dropped.

    For it runs besides the real code, which prints.
    """

    _name = "bprop_checked_meaning"

    def rewrite(self, function_ir, statement, constants, body) -> None:
        value = statement.value
        function = _find_function(function_ir, value)
        if function is not None and is_users(function) and not _has_overload(function):
            form = get_checked_dispatcher(function)
            if isinstance(value, numba_ir.Expr):
                form = numba_ir.Global(value.attr, form, value.loc)
            else:
                form = type(value)(*_get_names(value), form, value.loc)
            statement.value = _redefine(function_ir, statement, form)
            return
        if isinstance(value, numba_ir.Expr) and value.op == "call" and _find_called(function_ir, value.func) is print:
            statement.value = _redefine(function_ir, statement, numba_ir.Const(None, value.loc))
            return
        _rewrite(function_ir, statement, constants, body)


def _rewrite(function_ir, statement, constants, body) -> None:
    """Change `statement` in place; statements that must stand before it go into `body`."""
    value = statement.value
    if isinstance(value, numba_ir.Global | numba_ir.FreeVar):
        itself = value.value is function_ir.func_id.func
        statement.value = _redefine(function_ir, statement, _compile_reference(value, itself))
    elif isinstance(value, numba_ir.Expr) and value.op == "getattr":
        literal = _find_literal(function_ir, value, constants)
        if literal is not None:
            statement.value = _redefine(function_ir, statement, numba_ir.Const(literal[0], value.loc))
        else:
            helper = _find_module_function(function_ir, value)
            if helper is not None:
                statement.value = _redefine(function_ir, statement, helper)
    elif isinstance(value, numba_ir.Expr) and value.op in ("binop", "inplace_binop") and value.fn in ARITHMETIC:
        _weaken_operands(function_ir, statement, body)
    elif isinstance(value, numba_ir.Expr) and value.op == "binop" and value.fn is operator.matmul:
        if is_users(function_ir.func_id.func):
            multiply = _insert_function(function_ir, multiply_arrays, statement, body)
            call = numba_ir.Expr.call(multiply, [value.lhs, value.rhs], (), statement.loc)
            statement.value = _redefine(function_ir, statement, call)
    elif isinstance(value, numba_ir.Expr) and value.op == "call":
        _rewrite_call(function_ir, statement, body)


def _rewrite_call(function_ir, statement, body) -> None:
    function = _find_called(function_ir, statement.value.func)
    if is_users(function_ir.func_id.func):
        _rewrite_users_call(function_ir, function, statement, body)
    _write_result_to_out(function_ir, function, statement, body)
    if function is str:
        statement.value.func = _insert_function(function_ir, format_value, statement, body)
    elif function is print:
        statement.value.args = tuple(
            _insert_call(function_ir, narrow_printed, argument, statement, body) for argument in statement.value.args
        )
    if not _rewrite_reduction(function_ir, statement, body) and not statement.value.kws:
        _weaken_arguments(function_ir, statement, body)


def _rewrite_users_call(function_ir, function, statement, body) -> None:
    """Rewrite calls of NumPy that numba lacks: np.matmul, swapaxes, reshape of any layout, np.stack of a list."""
    call = statement.value
    method = _find_definition(function_ir, call.func)
    is_getattr = isinstance(method, numba_ir.Expr) and method.op == "getattr"
    of_array = is_getattr and not isinstance(
        _find_definition(function_ir, method.value), numba_ir.Global | numba_ir.FreeVar
    )
    if function is np.matmul and len(call.args) == 2 and not call.kws:
        _drop_getattr(function_ir, call.func, body)
        call.func = _insert_function(function_ir, multiply_arrays, statement, body)
    elif function is np.swapaxes and not call.kws:
        call.func = _insert_function(function_ir, swap_axes, statement, body)
    elif of_array and method.attr == "swapaxes" and not call.kws:
        _drop_getattr(function_ir, call.func, body)
        call.func, call.args = _insert_function(function_ir, swap_axes, statement, body), [method.value, *call.args]
    elif function is np.reshape and call.args:
        call.args = [_insert_call(function_ir, as_contiguous, call.args[0], statement, body), *call.args[1:]]
    elif of_array and method.attr == "reshape":
        whole = _insert_call(function_ir, as_contiguous, method.value, statement, body)
        reshape = statement.target.scope.redefine("$reshape", loc=statement.loc)
        _insert_assignment(function_ir, reshape, numba_ir.Expr.getattr(whole, "reshape", statement.loc), body)
        call.func = reshape
    elif function in JOINING and call.args:
        listed, *others = function_ir._definitions[call.args[0].name]  # not of a variable, which may be appended to
        if not others and isinstance(listed, numba_ir.Expr) and listed.op == "build_list":
            arrays = statement.target.scope.redefine("$arrays", loc=statement.loc)
            _insert_assignment(function_ir, arrays, numba_ir.Expr.build_tuple(listed.items, statement.loc), body)
            call.args = [arrays, *call.args[1:]]


def _drop_getattr(function_ir, variable, body) -> None:
    """Let the statement that reads an attribute numba does not know assign None, where its value is no longer read."""
    for statement in body:
        if isinstance(statement, numba_ir.Assign) and statement.target.name == variable.name:
            statement.value = _redefine(function_ir, statement, numba_ir.Const(None, statement.loc))


def _redefine(function_ir, statement, value):
    definitions = function_ir._definitions[statement.target.name]
    definitions[:] = [value if item is statement.value else item for item in definitions]
    return value


def _compile_reference(value, itself: bool):
    form = _find_compiled_form(value.value)
    if form is not None:
        return type(value)(*_get_names(value), form, value.loc)
    if isinstance(value.value, python_types.FunctionType) and not _has_overload(value.value):
        form = get_dispatcher(value.value) if itself else get_free_dispatcher(value.value)
        return type(value)(*_get_names(value), form, value.loc)
    return value


def _has_overload(function) -> bool:
    """Whether numba has an implementation of this function, by `numba.extending.overload` or `register_jitable`."""
    return cpu_target.typing_context._lookup_global(function) is not None


def _find_compiled_form(function):
    """Find this package's implementation of a function: of its own kernels, and of np.exp, np.log and np.tanh."""
    known = isinstance(function, python_types.FunctionType | np.ufunc)
    return getattr(REPLACED.get(function, function), "compiled_form", None) if known else None


def _get_names(value):
    return (value.index, value.name) if isinstance(value, numba_ir.FreeVar) else (value.name,)


def _find_definition(function_ir, variable):
    try:
        return function_ir.get_definition(variable)
    except KeyError:
        return None


def _find_literal(function_ir, value, constants):
    owner = _find_definition(function_ir, value.value)
    if isinstance(owner, numba_ir.Arg) and owner.index == 0 and value.attr in constants:
        return (constants[value.attr],)
    return None


def _find_module_function(function_ir, value):
    owner = _find_definition(function_ir, value.value)
    if isinstance(owner, numba_ir.Global | numba_ir.FreeVar) and isinstance(owner.value, python_types.ModuleType):
        function = getattr(owner.value, value.attr, None)
        form = _find_compiled_form(function)
        if form is not None:
            return numba_ir.Global(value.attr, form, value.loc)
        if isinstance(function, python_types.FunctionType) and not _has_overload(function):
            return numba_ir.Global(value.attr, get_free_dispatcher(function), value.loc)
    return None


def _find_function(function_ir, value):
    """Find the Python function that a global, or an attribute of a Python module, refers to."""
    function = getattr(value, "value", None) if isinstance(value, numba_ir.Global | numba_ir.FreeVar) else None
    if isinstance(value, numba_ir.Expr) and value.op == "getattr":
        owner = _find_definition(function_ir, value.value)
        if isinstance(owner, numba_ir.Global | numba_ir.FreeVar) and isinstance(owner.value, python_types.ModuleType):
            function = getattr(owner.value, value.attr, None)
    function = getattr(function, "py_func", function)
    return function if isinstance(function, python_types.FunctionType) else None


def _weaken_operands(function_ir, statement, body):
    value = statement.value
    power = _find_definition(function_ir, value.rhs) if value.fn in (operator.pow, operator.ipow) else None
    if isinstance(power, numba_ir.Const) and isinstance(power.value, int):
        return  # numba expands x ** 2 itself
    left, right = value.lhs, value.rhs
    value.lhs = _insert_weak_cast(function_ir, left, right, statement, body)
    value.rhs = _insert_weak_cast(function_ir, right, left, statement, body)


def _weaken_arguments(function_ir, statement, body):
    value = statement.value
    function = _find_called(function_ir, value.func)
    if len(value.args) < 2 or not _is_numpy_function(function):
        return
    args = list(value.args)
    first = 1 if function is np.where else 0
    partners = args[first:]
    for k in range(first, len(args)):
        for other in partners:
            if other is not partners[k - first]:
                args[k] = _insert_weak_cast(function_ir, args[k], other, statement, body)
    value.args = tuple(args)


def _rewrite_reduction(function_ir, statement, body) -> bool:
    """Replace `x.mean(axis=0)`, `np.max(x, axis=1, keepdims=True)` and their like; True if this was one.

    Of the user's functions also `x.sum()` and `x.mean()`, which numba adds up in one running sum.
    """
    call = statement.value
    method = _find_definition(function_ir, call.func)
    if not (isinstance(method, numba_ir.Expr) and method.op == "getattr" and method.attr in NAMES):
        return False
    owner = _find_definition(function_ir, method.value)
    of_numpy = isinstance(owner, numba_ir.Global | numba_ir.FreeVar) and owner.value is np
    arguments = list(call.args) if of_numpy else [method.value, *call.args]
    settings = dict(call.kws) | dict(zip(("axis",), arguments[1:], strict=False))
    constants = {name: _find_constant(function_ir, variable) for name, variable in settings.items()}
    known = all(isinstance(constant, numba_ir.Const) for constant in constants.values())
    if len(arguments) > 2 or not known or not set(settings) <= {"axis", "keepdims"}:
        return False
    whole = not settings and len(arguments) == 1 and method.attr in WHOLE and is_users(function_ir.func_id.func)
    axis, keepdims = None, "keepdims" in constants and bool(constants["keepdims"].value)
    if not whole:
        axis = constants["axis"].value if "axis" in constants else None
        if not isinstance(axis, int) and not (isinstance(axis, tuple) and method.attr in OF_AXES):
            return False
    function = _insert_function(function_ir, reduction(method.attr, axis, keepdims), statement, body)
    statement.value = _redefine(function_ir, statement, numba_ir.Expr.call(function, [arguments[0]], (), statement.loc))
    return True


def _find_constant(function_ir, variable):
    """The definition of a variable; of a tuple of constants, one constant."""
    value = _find_definition(function_ir, variable)
    if isinstance(value, numba_ir.Expr) and value.op == "build_tuple":
        items = [_find_definition(function_ir, item) for item in value.items]
        if all(isinstance(item, numba_ir.Const) for item in items):
            return numba_ir.Const(tuple(item.value for item in items), value.loc)
    return value


def _insert_assignment(function_ir, target, value, body) -> None:
    """Insert `target = value` before the statement that is being rewritten."""
    body.append(numba_ir.Assign(value, target, value.loc))
    function_ir._definitions[target.name].append(value)


def _write_result_to_out(function_ir, function, statement, body) -> None:
    """Rewrite `np.f(x, out=y)` and, for elementwise functions, `np.f(x, y)` as `store_result(np.f(x), y)`."""
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
    store = _insert_function(function_ir, get_dispatcher(store_result), statement, body)
    statement.value = _redefine(function_ir, statement, numba_ir.Expr.call(store, [result, out], (), statement.loc))


def store_result(result, out):
    """Copy `result` into `out`, of the same shape; returns `out`, as NumPy does."""
    if result.shape != out.shape:
        raise ValueError("out has another shape than the result")
    for i in range(out.size):
        out.flat[i] = result.flat[i]
    return out


def _insert_function(function_ir, function, statement, body):
    """Insert a variable whose value is `function`."""
    variable = statement.target.scope.redefine(f"${function.__name__}", loc=statement.loc)
    _insert_assignment(function_ir, variable, numba_ir.Global(function.__name__, function, statement.loc), body)
    return variable


def _insert_call(function_ir, function, argument, statement, body):
    """Insert a variable whose value is `function(argument)`."""
    call = numba_ir.Expr.call(_insert_function(function_ir, function, statement, body), [argument], (), statement.loc)
    result = statement.target.scope.redefine("$result", loc=statement.loc)
    _insert_assignment(function_ir, result, call, body)
    return result


def _find_called(function_ir, variable):
    definition = _find_definition(function_ir, variable)
    if isinstance(definition, numba_ir.Global | numba_ir.FreeVar):
        return definition.value
    if isinstance(definition, numba_ir.Expr) and definition.op == "getattr":
        owner = _find_definition(function_ir, definition.value)
        if isinstance(owner, numba_ir.Global | numba_ir.FreeVar) and owner.value is np:
            return getattr(np, definition.attr, None)
    return None


def _insert_weak_cast(function_ir, variable, other, statement, body):
    scope, loc = statement.target.scope, statement.loc
    function = scope.redefine("$cast_weak", loc=loc)
    result = scope.redefine("$weakened", loc=loc)
    _insert_assignment(function_ir, function, numba_ir.Global("cast_weak", cast_weak, loc), body)
    _insert_assignment(function_ir, result, numba_ir.Expr.call(function, [variable, other], (), loc), body)
    return result


class Compiler(BaseCompiler):
    """numba's nopython pipeline with `NumpySemantics` in it."""

    semantics: type = NumpySemantics
    lowering: type = InnerLowering

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(self.semantics, IRProcessing)
        lower_by(pipeline, self.lowering)
        return [pipeline]


class MethodCompiler(Compiler):
    """The pipeline for methods, which are called, never inlined."""

    lowering = KernelLowering


class CheckedCompiler(Compiler):
    """The pipeline for user-defined functions with bounds checks."""

    semantics = CheckedSemantics


class CheckedMethodCompiler(CheckedCompiler):
    """The pipeline for user-defined methods with bounds checks."""

    lowering = KernelLowering


_compiled: dict = {}


def get_dispatcher(function, pipeline=Compiler, depth=0):
    """The numba dispatcher of a plain Python function, for calls from compiled code; see `get_free_dispatcher`.

    numba treats globals as constants; so once their values have changed there is another dispatcher.
    """
    if numba.config.DISABLE_JIT:
        return function
    values = "" if pipeline is MethodCompiler or is_versioned(function.__module__ or "") else hash_function(function)
    key = (function, pipeline, depth, values)  # a method's is in the type of its module's state
    if key not in _compiled:
        options = OPTIONS | {"boundscheck": issubclass(pipeline, CheckedCompiler)}
        _compiled[key] = numba.njit(
            function, pipeline_class=pipeline, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options
        )
    return _compiled[key]


def get_free_dispatcher(function, pipeline=Compiler):
    """A dispatcher of a function that is not compiling at the moment.

    A module's method may call the same method of a child of the same class. numba would treat that as recursion, which
    it can link only where both calls have the same types; so the inner one gets a dispatcher of its own.
    """
    forms = (get_dispatcher(function, pipeline, depth) for depth in itertools.count())
    return next(form for form in forms if not getattr(form, "is_compiling", False))


def get_method_dispatcher(function):
    """The numba dispatcher of a module's method."""
    return get_dispatcher(function, MethodCompiler)


def get_inner_dispatcher(name: str, function):
    """The dispatcher of method `name` of a module inside another one, for calls by the outer module's methods.

    The two passes are called, as those of a plan; others, often of numbers in a loop, may be inlined.
    """
    return get_free_dispatcher(function, MethodCompiler if name in PASSES else Compiler)


def get_checked_inner_dispatcher(name: str, function):
    """The same with bounds checks, if the method is user-defined."""
    if name not in PASSES:
        return get_checked_dispatcher(function)
    return get_free_dispatcher(function, CheckedMethodCompiler if is_users(function) else MethodCompiler)


def is_users(function) -> bool:
    """Whether a function is user-defined: not of this package, NumPy or numba."""
    return (function.__module__ or "").split(".")[0] not in LIBRARIES


def get_checked_dispatcher(function):
    """The dispatcher of a user-defined function with bounds checks; of any other, the ordinary one."""
    return get_free_dispatcher(function, CheckedCompiler if is_users(function) else Compiler)


def get_checked_method_dispatcher(function):
    """The dispatcher of a user-defined method with bounds checks; of any other, the ordinary one."""
    return get_dispatcher(function, CheckedMethodCompiler if is_users(function) else MethodCompiler)
