"""What is refused before compiled code runs, and how: one sentence with the module, the file and the line."""

import inspect
import re

import numpy as np
import pytest
from bprop.modules import Module, Sequential, Tanh, check_module
from bprop.modules.engine.errors import CompileError
from bprop.modules.engine.trace import PrecisionError

from ..custom import x

pytestmark = pytest.mark.jit


class Passing(Module):
    """grad_x = grad_y; fprop is what each class below gets wrong."""

    def bprop(self, grad_y):
        return grad_y


class WithDictionary(Passing):
    def __init__(self):
        super().__init__()
        self.table = {"scale": 2.0}

    def fprop(self, x):
        y = 1 * x
        return y * self.table["scale"]  # here


class WithMissingFunction(Passing):
    def fprop(self, x):
        y = x + 1
        return np.apply_along_axis(np.cumsum, 0, y)  # here


class WithMissingArgument(Passing):
    def fprop(self, x):
        middle = np.median(x, axis=0)  # here
        return x - middle


class WithTwoTypes(Passing):
    def fprop(self, x):
        if x[0, 0] > 1e9:
            y = 1
        else:
            y = x
        return y  # here


class WithFunctionAttribute(Passing):
    def __init__(self):
        super().__init__()
        self.activation = np.tanh

    def fprop(self, x):
        return self.activation(x)  # here


class WithContext(Passing):
    def fprop(self, x):
        with np.errstate(all="ignore"):  # here
            return 2 * x


class WithChain(Passing):
    def __init__(self):
        super().__init__()
        self.chain = Sequential(Tanh(), Tanh())


class WithLength(WithChain):
    def fprop(self, x):
        return x * len(self.chain)  # here


class WithLoop(WithChain):
    def fprop(self, x):
        for module in self.chain:  # here
            x = module.fprop(x)
        return x


class WithIndex(WithChain):
    def fprop(self, x):
        return self.chain[0].fprop(x)  # here


class WithThreeAxes(Passing):
    def fprop(self, x):
        cube = np.ones((2, x.shape[1], x.shape[1]), x.dtype)
        return x + np.dot(cube, cube[0])[0, :1]  # here


class WithEinsum(Passing):
    def fprop(self, x):
        return np.einsum("nd,nd->nd", x, x)  # here


class WithSqueeze(Passing):
    def fprop(self, x):
        return x + np.squeeze(x[:, :1], 1)[0]  # here


class WithTile(Passing):
    def fprop(self, x):
        return x + np.tile(x[:1], (len(x), 1))  # here


class WithRepeat(Passing):
    def fprop(self, x):
        return np.repeat(x[:, :1], x.shape[1], axis=1)  # here


class WithNorm(Passing):
    def fprop(self, x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)  # here


class WithList(Passing):
    def __init__(self):
        super().__init__()
        self.sizes = [1, 2]

    def fprop(self, x):
        return x * self.sizes[0]  # here


class WithAddAt(Passing):
    def fprop(self, x):
        y = x.copy()
        np.add.at(y, np.array([0, 0]), x[:2])  # here
        return y


class WithAny(Passing):
    def fprop(self, x):
        return x * (x > 0).any(axis=-1)[:, None]  # here


class WithAll(Passing):
    def fprop(self, x):
        return x * np.all(x > 0, axis=1)[:, None]  # here


class WithProduct(Passing):
    def fprop(self, x):
        return x * np.prod(x, axis=-1)[:, None]  # here


class WithMask(Passing):
    def fprop(self, x):  # here
        return x * x[x > 0].sum()


class WithListOfArrays(Passing):
    def fprop(self, x):
        return np.stack([x[:, k] for k in range(x.shape[1])], axis=1)  # here


TABLE = np.ones(3, np.float32)


class WithConstantArray(Passing):
    def fprop(self, x):
        TABLE[0] = 1  # here
        return x * TABLE[0]


WHOLE = "compiled code calls a Sequential as a whole, self.name.fprop(x), and knows no len, index or loop of it"
CASES = [
    (WithLength, WHOLE),
    (WithLoop, WHOLE),
    (WithIndex, WHOLE),
    (WithThreeAxes, "numba's np.dot takes vectors and matrices, not 3 axes: write @"),
    (WithConstantArray, "an array from outside of the class is read-only in compiled code, hold it in an attribute of"),
    (WithEinsum, "numba has no numpy.einsum, write @, of arrays whose axes are reshaped or transposed"),
    (WithSqueeze, "numba has no numpy.squeeze, index the axis, as x[:, 0]"),
    (WithTile, "numba has no numpy.tile, fill an array of np.zeros by slices"),
    (WithRepeat, "numba's np.repeat has no axis, index it, as x[:, rows], or write np.broadcast_to"),
    (WithNorm, "numba's np.linalg.norm has no axis, write np.sqrt((x**2).sum(axis=-1, keepdims=True))"),
    (
        WithListOfArrays,
        "numba's np.stack takes no such list of arrays, fill an array of np.empty by slices",
    ),
    (WithAny, "numba's any has no axis, write mask.sum(axis=-1) > 0"),
    (WithAll, "numba's all has no axis, write (~mask).sum(axis=-1) == 0"),
    (WithProduct, "numba's np.prod has no axis, loop over the others"),
    (WithMask, "a mask of several axes indexes no array, write np.where(mask, a, b), or x.ravel()[mask.ravel()] to r"),
    (WithDictionary, "self.table cannot be used in compiled code (it is a dict: give each value an attribute)"),
    (WithList, "self.sizes cannot be used in compiled code (it is a list: make it a tuple)"),
    (WithAddAt, "numba has no np.add.at, loop over the indices"),
    (WithMissingFunction, "numba has no numpy.apply_along_axis"),
    (WithMissingArgument, "numba's np.median has no axis, loop over the others"),
    (WithTwoTypes, "y is "),
    (WithFunctionAttribute, "self.activation cannot be used in compiled code (it is a ufunc)"),
    (WithContext, "Unsupported context manager"),
]


def line_of(cls, mark="# here"):
    lines, first = inspect.getsourcelines(cls)
    return first + next(k for k, line in enumerate(lines) if mark in line)


@pytest.mark.parametrize(("cls", "message"), CASES, ids=[cls.__name__ for cls, _ in CASES])
def test_a_refusal_names_the_module_the_line_and_the_reason(cls, message):
    with pytest.raises(CompileError) as caught:
        Sequential(Tanh(), Sequential(cls())).fprop(x())
    text = str(caught.value)
    assert text.startswith(f"{cls.__name__}(): numba cannot compile fprop ({__file__}:{line_of(cls)}): {message}")
    assert text.endswith("; rewrite the line, or set jit = False on the class to run it as Python")
    assert "\n" not in text
    assert len(text.replace(__file__, "")) < 320  # the types of a whole Sequential took 900
    assert caught.value.__notes__[-1] == "in model[1][0]"
    assert caught.value.__notes__[0].startswith("numba says: ")


@pytest.mark.parametrize("cls", [cls for cls, _ in CASES], ids=[cls.__name__ for cls, _ in CASES])
def test_what_is_refused_runs_with_jit_false(cls):
    class InPython(cls):
        jit = False

    assert InPython().fprop(x()).shape == x().shape


class WritesToOut(Passing):
    """NumPy's results written where they belong, by name and, for elementwise functions, by place."""

    def fprop(self, x):
        y = np.empty_like(x)
        total = np.empty(x.shape[1], x.dtype)
        np.multiply(x, 2, out=y)
        np.exp(y, y)
        np.sum(x, axis=0, out=total)
        return np.add(y, total, out=y)


def test_results_of_numpy_are_written_to_out():
    y, data = WritesToOut().fprop(x()), x()
    np.testing.assert_allclose(y, np.exp(2 * data) + data.sum(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("parts", "kind", "expected"),
    [
        ({"a": Tanh()}, "dict", "each in its own attribute"),
        ({"a": [Tanh()]}, "dict", "each in its own attribute"),
        ([[Tanh()]], "list", "a Sequential of them"),
    ],
)
def test_modules_in_a_dict_are_refused_when_they_are_assigned_and_when_they_are_put_there_later(parts, kind, expected):
    class Parts(Passing):
        def fprop(self, x):
            return 2 * x

    message = rf"^Parts\(\): self\.parts is a {kind} of modules, expected {expected}$"
    module = Parts()
    with pytest.raises(TypeError, match=message):
        module.parts = parts
    module.parts = type(parts)()
    module.parts.update(parts) if kind == "dict" else module.parts.extend(parts)
    with pytest.raises(TypeError, match=message):
        module.fprop(x())


def test_a_refusal_that_names_float64_is_no_leak_of_it():
    class Doubles(Passing):
        def fprop(self, x):
            return x * DOUBLES[0].astype(x.dtype)[0]

        def bprop(self, grad_y):
            DOUBLES[0, 0] = 1
            return grad_y

    report = check_module(Doubles(), x())
    assert not report.ok
    assert "float64 leaks" not in str(report)


DOUBLES = np.ones((1, 1))


def test_a_refused_bprop_does_not_stop_fprop():
    class Backward(Module):
        def fprop(self, x):
            return 2 * x

        def bprop(self, grad_y):
            return np.einsum("ij->ij", grad_y)

    module = Backward()
    y = module.fprop(x())
    np.testing.assert_array_equal(y, 2 * x())
    with pytest.raises(CompileError, match=r"^Backward\(\): numba cannot compile bprop \(.*numba has no numpy\.einsum"):
        module.bprop(y)


# -- what plain Python finds first -------------------------------------------------------------------------------


class Mistaken(Passing):
    def fprop(self, x):
        y = x + 1
        return y.reshape(7, -1)


def test_a_mistake_in_python_shows_as_an_ordinary_traceback():
    with pytest.raises(ValueError, match="cannot reshape array") as caught:
        Sequential(Tanh(), Mistaken()).fprop(x())
    assert caught.traceback[-1].path.name == "test_compile_errors.py"
    assert str(caught.traceback[-1].statement).strip() == "return y.reshape(7, -1)"
    assert caught.value.__notes__[0] == "in model[1]"


def test_an_attribute_that_is_not_there():
    class Misspelt(Passing):
        def fprop(self, x):
            return x * self.wieght

    with pytest.raises(AttributeError, match=r"^Misspelt has no attribute 'wieght'") as caught:
        Sequential(Misspelt()).fprop(x())
    assert "in model[0]" in caught.value.__notes__


def test_more_than_one_output_is_refused():
    class Two(Passing):
        def fprop(self, x):
            return x, x

    with pytest.raises(TypeError, match=r"^Two\(\): fprop returns tuple, expected one array$"):
        Two().fprop(x())


# -- precision ---------------------------------------------------------------------------------------------------


class LeakingBuffer(Passing):
    def fprop(self, x):
        y = np.zeros(x.shape)  # here
        y[:] = x
        return y


class LeakingScalar(Passing):
    def fprop(self, x):
        y = 2 * x
        z = y * np.float64(2)  # here
        return z + 1


class LeakingHelper(Passing):
    def fprop(self, x):
        y = self.widened(x)
        return y + 1

    def widened(self, x):
        return x.astype(np.float64)  # here


@pytest.mark.parametrize("cls", [LeakingBuffer, LeakingScalar, LeakingHelper])
def test_a_step_to_float64_is_refused_with_its_line(cls):
    message = (
        f"{cls.__name__}(): fprop returns float64 in a float32 model, from {__file__}:{line_of(cls)} on; "
        "take the type from the data (np.zeros_like(x), np.empty(shape, x.dtype), array.astype(x.dtype))"
    )
    with pytest.raises(PrecisionError) as caught:
        Sequential(Tanh(), cls()).fprop(x())
    assert str(caught.value) == message
    assert "in model[1]" in caught.value.__notes__


def test_a_function_of_a_number_is_refused_with_what_to_write():
    class Scaled(Passing):
        def fprop(self, x):
            return x / np.sqrt(x.shape[1])  # here

    hint = r"; where np\.sqrt\(x\.shape\[1\]\) is of a Python number, write math\.sqrt\(x\.shape\[1\]\), which keeps"
    with pytest.raises(PrecisionError, match=f"from {re.escape(__file__)}:{line_of(Scaled)} on{hint}"):
        Scaled().fprop(x())


def test_the_same_module_is_fine_in_a_float64_net():
    np.testing.assert_array_equal(LeakingBuffer().to("float64").fprop(x()), x())


def test_a_step_to_float32_in_a_float64_net_is_refused():
    class Narrowing(Passing):
        def fprop(self, x):
            return x.astype(np.float32)

    with pytest.raises(PrecisionError, match=r"^Narrowing\(\): fprop returns float32 in a float64 model, from "):
        Narrowing().to("float64").fprop(x())


def test_a_leak_in_bprop_is_refused():
    class Backward(Passing):
        def fprop(self, x):
            return 2 * x

        def bprop(self, grad_y):
            return np.ones(grad_y.shape) * grad_y

    module = Backward()
    y = module.fprop(x())
    with pytest.raises(PrecisionError, match=re.escape("Backward(): bprop returns float64 in a float32 model, from ")):
        module.bprop(y)
