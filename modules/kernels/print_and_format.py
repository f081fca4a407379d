"""`print`, `str(value)` and f-strings in compiled code, with Python's text; numba itself formats only integers."""

import numpy as np

from ..compiler.numba_api import intrinsic, overload, types


def format_value(value):
    """Format a value as `str(value)`, in compiled code, too."""
    return str(value)


@overload(format_value)
def _compiled_format_value(value):
    if isinstance(value, types.Integer | types.UnicodeType | types.StringLiteral):
        return lambda value: str(value)
    return lambda value: format_in_python(value)


def narrow_printed(value):
    """Format a float32 argument of `print`, which numba would print with the digits of a float64."""
    return value


@overload(narrow_printed)
def _compiled_narrow_text(value):
    if value == types.float32:
        return lambda value: format_in_python(value)
    return lambda value: value


@intrinsic
def format_in_python(typing_context, value):
    """Format any value by Python's `str`; holds the interpreter's lock meanwhile."""

    def generate(context, builder, signature, args):
        kind, pyapi = types.unliteral(signature.args[0]), context.get_python_api(builder)
        environment = context.get_env_manager(builder)
        lock = pyapi.gil_ensure()
        number = context.cast(builder, args[0], signature.args[0], kind)
        context.nrt.incref(builder, kind, number)
        item = pyapi.from_native_value(kind, number, environment)
        if kind == types.float32:  # Python's float would show digits that it has not
            narrow = pyapi.unserialize(pyapi.serialize_object(np.float32))
            wide, item = item, pyapi.call_function_objargs(narrow, (item,))
            pyapi.decref(narrow)
            pyapi.decref(wide)
        text = pyapi.object_str(item)
        result = pyapi.to_native_value(types.unicode_type, text)
        pyapi.decref(item)
        pyapi.decref(text)
        pyapi.gil_release(lock)
        return result.value

    return types.unicode_type(value), generate
