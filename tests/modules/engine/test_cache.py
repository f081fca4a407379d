"""Compiled plans on disk: found again, made anew when any source changes, shared by processes, moved if need be."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from bprop.modules import Module, Tanh
from bprop.modules.engine import cache

from ...fork_server import Process
from ..custom import x

pytestmark = pytest.mark.jit

SCRIPT = """
    import numpy as np
    from bprop.modules import Linear, Module, Sequential
    from helpers import shifted, Base
    import constants

    class Shift(Base):
        def fprop(self, x):
            return shifted(x) * constants.SCALE

        def bprop(self, grad_y):
            return grad_y * constants.SCALE

    from bprop.modules import engine
    import bprop.modules.engine.plan as plan
    traced = []
    trace = plan.Plan._trace
    plan.Plan._trace = lambda *args: traced.append(1) or trace(*args)
    y = Shift().fprop(np.zeros((2, 3)))
    print(y[0, 0], len(traced))
"""
HELPERS = """
    from bprop.modules import Module
    from deeper import amount

    def shifted(x):
        return x + amount()

    class Base(Module):
        pass
"""
DEEPER = """
    def amount():
        return 1.0
"""


@pytest.fixture
def project(tmp_path):
    """A folder with a script, two helper files and a file of constants; call it to run the script, in its own cache."""

    def write(name, text):
        (tmp_path / name).write_text(textwrap.dedent(text))

    environment = {**os.environ, "BPROP_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": ""}

    def start(script="script.py", *arguments):
        return Process([script, *arguments], tmp_path, environment, strict=True)

    def run(script="script.py"):
        process = start(script)
        out, err = process.communicate()
        assert process.returncode == 0, err
        return out.split()

    for name, text in (("script.py", SCRIPT), ("helpers.py", HELPERS), ("deeper.py", DEEPER)):
        write(name, text)
    write("constants.py", "SCALE = 1.0")
    run.write, run.start, run.folder, run.environment = write, start, tmp_path, environment
    return run


def test_a_plan_is_found_again_and_any_edit_makes_another(project):
    assert project() == ["1.0", "1"]
    assert project() == ["1.0", "0"], "found again"
    project.write("deeper.py", DEEPER.replace("1.0", "2.5"))
    assert project() == ["2.5", "1"], "a function in a file two imports away"
    project.write("constants.py", "SCALE = 3.0")
    assert project() == ["7.5", "1"], "a constant of a module"
    project.write("helpers.py", HELPERS.replace("amount()", "2 * amount()"))
    assert project() == ["15.0", "1"], "a helper function"
    project.write("constants.py", "SCALE = 1.0")
    project.write("helpers.py", HELPERS)
    project.write("deeper.py", DEEPER)
    assert project() == ["1.0", "0"], "back to the first: its plan is there still"


@pytest.mark.slow
def test_processes_share_an_empty_cache(project):
    for attempt in range(2):
        shutil.rmtree(project.folder / "cache", ignore_errors=True)
        processes = [project.start() for _ in range(4)]
        for process in processes:
            out, err = process.communicate()
            assert process.returncode == 0, (attempt, err)
            assert out.split()[0] == "1.0"
        left = sorted(path.suffix for path in (project.folder / "cache").rglob("*") if path.is_file())
        assert left == [".nbc"] * 3 + [".py"], "the code of fprop, with and without checks, its caller, and the plan"
        assert project() == ["1.0", "0"]


SIGNATURES = """
    import sys
    import numpy as np
    from bprop.modules.engine.generated_imports import entry

    @entry
    def first(x):
        return x[0] + 1

    kinds = [np.float32, np.float64, np.int32, np.int64]
    for kind in kinds[int(sys.argv[1]) :] + kinds[: int(sys.argv[1])]:
        assert first(np.array([41], kind)) == 42
"""


def test_processes_that_compile_one_function_for_several_types_at_once(project):
    """numba's own index loses such a race: an entry may name the code of another signature."""
    project.write("signatures.py", SIGNATURES)
    for _ in range(2):
        shutil.rmtree(project.folder / "cache", ignore_errors=True)
        for each in [project.start("signatures.py", str(k)) for k in range(4)]:
            err = each.communicate()[1]
            assert each.returncode == 0, err
        assert len(list(project.folder.rglob("*.nbc"))) == 4


DAMAGES = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[: 2 * len(data) // 3],
    "garbage": lambda data: bytes(range(256)) * 10,
    "another pickle, or other Python": lambda data: b"\x80\x04]\x94.\n    return x\n",
    "one bit in the middle": lambda data: flipped(data, len(data) // 2),
    "one bit near the end": lambda data: flipped(data, len(data) - 100),
}


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


@pytest.mark.slow
def test_a_damaged_file_is_made_anew(project):
    project()
    sound = files(project.folder / "cache")
    assert len(sound) == 4
    plan, *codes = sorted(sound, key=lambda path: path.suffix, reverse=True)
    for k, (name, damage) in enumerate(DAMAGES.items()):
        for path in (plan, codes[k % 3]):  # each file of code is read in the same way
            path.write_bytes(damage(sound[path]))
            assert project()[0] == "1.0", (name, path)
        assert files(project.folder / "cache").keys() == sound.keys()
        assert project() == ["1.0", "0"], "sound again"


def files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_second_process_compiles_nothing_and_loads_no_compiler(project):
    def run():
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(WARM)],
            env=project.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert run()[0] == "False"
    before = files(project.folder / "cache")
    assert run() == ["True", "True", "False"]
    assert files(project.folder / "cache") == before


WARM = """
    import sys
    import numpy as np
    from bprop.modules import Linear, Sequential, SoftmaxCrossEntropy, Tanh
    from bprop.trainers import SGD, compile_step
    import bprop.modules.engine.plan as plan

    net = Sequential(Linear(4, 3), Tanh(), Linear(3, 2))
    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1))
    values = [step(np.ones((5, 4)), np.array([0, 1, 0, 1, 1])) for _ in range(9)]
    entry = next(module for name, module in sys.modules.items() if name.startswith("plan_")).step
    print(sum(entry.stats.cache_misses.values()) == 0, values[-1] < values[0], "numba.np.arraymath" in sys.modules)
"""


def test_without_room_on_the_disk_only_the_next_start_is_slower(monkeypatch):
    def full(**arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.tempfile, "mkstemp", full)
    np.testing.assert_allclose(doubled().fprop(np.ones((2, 2))), 2)


def test_a_plan_is_readable_source(tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path))

    class Readable(Tanh):
        """A class whose plan no other test has loaded."""

    Readable().fprop(x())
    (plan,) = tmp_path.glob("plan_*.py")
    text = plan.read_text()
    assert text.startswith('"""Forward and backward pass of Readable.')
    assert re.search(r"^def fprop\(states, x\):$", text, re.MULTILINE)
    assert "Readable_fprop(m0, x)" in text


# -- where it stands ---------------------------------------------------------------------------------------------


PLAN = """
def double():
    return 2 * given
"""


def test_a_plan_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path))
    assert cache.find_plan("plan_x", {}) is None
    cache.write_plan("plan_x", PLAN)
    (file,) = tmp_path.iterdir()
    assert file.name == "plan_x.py"
    sound = file.read_bytes()
    for damage in DAMAGES.values():
        file.write_bytes(damage(sound))
        assert cache.find_plan("plan_x", {}) is None
    file.write_bytes(sound.replace(b"2 *", b"3 *"))
    assert cache.find_plan("plan_x", {}) is None, "right Python, another checksum"
    with pytest.raises(UnicodeEncodeError):
        cache.write_plan("plan_y", "\ud800")
    assert list(tmp_path.iterdir()) == [file]
    file.write_bytes(sound)
    assert cache.find_plan("plan_x", {"given": 3}).double() == 6
    del sys.modules["plan_x"]


def doubled():
    class Factor(Module):
        def fprop(self, x):
            return x * 2

        def bprop(self, grad_y):
            return grad_y * 2

    return Factor()


def tripled():
    class Factor(Module):
        def fprop(self, x):
            return x * 3

        def bprop(self, grad_y):
            return grad_y * 3

    return Factor()


def test_two_classes_of_one_name_in_one_file_are_two():
    first, second = doubled(), tripled()
    type(first).__qualname__ = type(second).__qualname__ = "Factor"
    assert np.array_equal(first.fprop(np.ones((2, 2))), np.full((2, 2), 2))
    assert np.array_equal(second.fprop(np.ones((2, 2))), np.full((2, 2), 3))


LINEAR = "import numpy as np; from bprop.modules import Linear; print(Linear(4, 3).fprop(np.ones((2, 4))).size)"


@pytest.mark.slow
def test_a_kernel_made_on_top_of_kept_ones_is_kept_with_all_of_them(project):
    """A process compiles the product, which calls kernels that it finds; the next one finds that product again."""
    project.write("linear.py", LINEAR)
    cache = project.folder / "cache"
    assert project("linear.py") == ["6"]
    made = files(cache)
    products = {path for path in made if path.name.startswith("kernel_gemm.multiply.")}
    plans = {path for path in made if path.name.startswith("plan_")}
    assert products
    assert plans
    assert made.keys() - products - plans, "the kernels that a product calls"
    for removed in (products | plans, plans):
        for path in removed:
            path.unlink()
        kept = files(cache)
        assert project("linear.py") == ["6"]
        assert files(cache).keys() == made.keys()
        assert kept.items() <= files(cache).items()
