"""`print`, formatted errors and asserts in compiled methods say what they say in plain Python."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from bprop.modules import Module
from bprop.modules.engine.errors import CompileError

from ..custom import AssertsFormatted

pytestmark = pytest.mark.jit

PRINTING = textwrap.dedent("""
    import threading
    import numpy as np
    from bprop.modules import Linear, Module, Sequential, SoftmaxCrossEntropy, manual_seed
    from bprop.trainers import SGD, compile_step

    def show(text, value):
        print(text, value)

    class Printing(Module):
        def __init__(self):
            super().__init__()
            self.scale, self.name, self.pair = 0.5, "text", (1, 2)

        def output_shape(self, shape):  # else it is run on zeros for it, and prints then, too
            return shape

        def fprop(self, x):
            print("fprop", x.shape, x[0, 0], x.dtype, self.scale, self.name, self.pair)
            show("helper", f"{2.5 * len(x)} of {x.shape}, {len(x)}, {x[0, 0] > 0}")
            print(x[:1])
            return 2 * x

        def bprop(self, grad_y):
            print("bprop", grad_y.shape, grad_y[0, 0])
            return 2 * grad_y

    x = np.full((5, 3), 0.1, np.float32)
    module = Printing()
    module.bprop(module.fprop(x))
    print("again")
    module.bprop(module.fprop(x))
    thread = threading.Thread(target=module.fprop, args=(x,))
    thread.start()
    thread.join()
    manual_seed(0)
    step = compile_step(Sequential(Linear(3, 3), Printing(), Linear(3, 3)), SoftmaxCrossEntropy(), SGD(lr=0.1))
    step(x, np.arange(5) % 3)
    print("again")
    step(x, np.arange(5) % 3)
""")


def test_prints_in_calls_threads_steps_and_from_the_cache(tmp_path):
    """A value printed in compiled code hung the process: its function found no environment and kept the lock."""
    (tmp_path / "printing.py").write_text(PRINTING)

    def run(**environment):
        environment = {**os.environ, "BPROP_CACHE_DIR": str(tmp_path / "plans"), **environment}
        command = [sys.executable, "-W", "error", str(tmp_path / "printing.py")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.split("again\n")

    plain = run(NUMBA_DISABLE_JIT="1")
    forward, backward = plain[1].split("bprop", 1)[0], "bprop (5, 3) 0.2\n"
    assert forward.startswith("fprop (5, 3) 0.1 float32 0.5 text (1, 2)\nhelper 12.5 of (5, 3), 5, True\n[[")
    for output in (run(), run()):  # the second finds the code in the cache
        assert output[1].startswith(forward + backward + forward)
        assert [line.split(")")[0] for line in output[2].splitlines()] == [
            "fprop (5, 3",
            "helper 12.5 of (5, 3",
            output[2].splitlines()[2],  # of numbers that may differ in the last place
            "bprop (5, 3",
        ]


class Raising(Module):
    """Raises in fprop where x is large: what each class below raises."""

    def bprop(self, grad_y):
        return grad_y


class Refused(ValueError):
    pass


class RaisesFormatted(Raising):
    def fprop(self, x):
        if x[0, 0] > 5:
            raise ValueError(f"{x[0, 0]} of {x.shape}, expected {len(x)} at most")
        return 2 * x


class RaisesArguments(Raising):
    def fprop(self, x):
        if x[0, 0] > 5:
            raise Refused("got", x[0, 0], len(x))
        return 2 * x


class RaisesInHelper(Raising):
    def fprop(self, x):
        return self.double(x)

    def double(self, x):
        if x[0, 0] > 5:
            raise IndexError("no " + str(len(x)))
        return 2 * x


@pytest.mark.parametrize(
    ("cls", "error"),
    [
        (RaisesFormatted, ValueError("6.1 of (2, 3), expected 2 at most")),
        (RaisesArguments, Refused("got", np.float32(6.1), 2)),
        (AssertsFormatted, AssertionError("6.1 in row 2")),
        (RaisesInHelper, IndexError("no 2")),
    ],
)
def test_errors_with_values_arrive_as_raised(cls, error):
    module, x = cls(), np.ones((2, 3), np.float32)
    module.fprop(x)
    x[0, 0] = 6.1
    with pytest.raises(type(error)) as caught:
        module.fprop(x)
    assert type(caught.value) is type(error)
    assert caught.value.args == error.args


class WithPercent(Raising):
    def fprop(self, x):
        if x[0, 0] > 5:
            raise ValueError("got %d" % len(x))  # noqa: UP031
        return 2 * x


class WithFormat(Raising):
    def fprop(self, x):
        if x[0, 0] > 5:
            raise ValueError("got {}".format(len(x)))  # noqa: UP032
        return 2 * x


class WithSpecification(Raising):
    def fprop(self, x):
        if x[0, 0] > 5:
            raise ValueError(f"got {x[0, 0]:.3f}")
        return 2 * x


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (WithPercent, r"numba has no % for texts, write an f-string such as f'got {x}'; rewrite the line, or set jit"),
        (WithFormat, r"numba has no str.format, write an f-string such as f'got {x}'; rewrite the line, or set jit"),
        (WithSpecification, r"numba has no formats such as {x:.3f} in f-strings, write {x} alone; rewrite the line"),
    ],
)
def test_what_numba_cannot_format_is_refused_with_the_way_out(cls, message):
    with pytest.raises(CompileError, match=message):
        cls().fprop(np.ones((2, 3), np.float32))
