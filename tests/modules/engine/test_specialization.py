"""Products whose sizes are constants of their code: the same bits, found by their sizes, compiled elsewhere."""

import itertools

import numpy as np
import pytest
from bprop.modules import Linear, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed
from bprop.modules.compiler import llvm_worker
from bprop.modules.engine import cache, specialization
from bprop.modules.kernels.matmul import specialized_products as table
from bprop.modules.kernels.matmul.gemm import matmul_into
from bprop.modules.kernels.matmul.specialized_products import Product
from bprop.trainers import SGD, compile_step

from ..kernels.test_kernels import compile_entry

pytestmark = pytest.mark.jit
# The branches of `multiply`: one row, dot products, sums of rows, few columns, packed panels, and what is left over.
SIZES = [(1, 40, 33), (7, 5, 3), (3, 40, 21), (30, 4, 17), (61, 24, 40), (5, 7, 300)]
LAYOUTS = ["CCC", "FCC", "CFC", "FFF"]  # of a, b and out


@pytest.fixture
def often(monkeypatch):
    """The specialization of this process alone, as if each product were called often and worth it."""
    own = specialization.Specialization()
    for name, value in (("OFTEN", 0.0), ("WORTH", 1e9), ("EVERY", 0.0), ("specialization", own)):
        monkeypatch.setattr(specialization, name, value)
    monkeypatch.setattr("bprop.modules.engine.step.specialize_often_called", lambda: None)
    monkeypatch.setattr(specialization, "can_start_program", lambda: True)
    monkeypatch.setattr(specialization, "count_cores", lambda: 2)
    monkeypatch.setattr(specialization, "read_cached", lambda name: None)
    table.TABLE[:] = 0
    yield own
    own.end()
    table.TABLE[:] = 0


def rows():
    """The part of the table that is in use."""
    whole = table.TABLE.reshape(table.SLOTS, table.SLOT)
    return whole[whole[:, table.KEY] != 0]


def make_operands(random, m, n, k, dtype, layout):
    shapes = (m, k), (k, n), (m, n)
    return [np.array(random.standard_normal(s), dtype, order=o) for s, o in zip(shapes, layout, strict=True)]


@pytest.mark.parametrize(("dtype", "layouts"), [(np.float32, LAYOUTS), (np.float64, LAYOUTS[:1])])
def test_the_bits_are_those_of_the_general_product(often, random, dtype, layouts):
    call = compile_entry(matmul_into)
    cases = [make_operands(random, *sizes, dtype, layout) for sizes in SIZES for layout in layouts]

    def run():
        results = []
        for (a, b, out), add in itertools.product(cases, (False, True)):
            own = out.copy(order="K")
            call(a, b, own, add)
            results.append(own)
        return results

    general = run()
    assert not rows()[:, table.ADDRESS].any()
    often.specialize_all()
    assert len(rows()) >= len(cases) - 2  # one row lies by rows and by columns
    assert rows()[:, table.ADDRESS].all()
    calls = rows()[:, table.COUNT].sum()
    for before, after in zip(general, run(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert rows()[:, table.COUNT].sum() == calls  # none of them by the general code


def test_a_training_changes_over_with_the_same_bits(often):
    def train(steps, between=lambda: None):
        manual_seed(0)
        net = Sequential(Linear(6, 12), Tanh(), Linear(12, 3))
        step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))
        random = np.random.default_rng(0)
        x, t = random.standard_normal((10, 6)).astype(np.float32), random.integers(0, 3, 10)
        losses = [step(x, t) for _ in range(steps)]
        between()
        return losses + [step(x, t) for _ in range(steps)], net.flat_parameters.copy()

    def change_over():
        often.specialize_all()
        assert len(rows()) == 5
        assert rows()[:, table.ADDRESS].all()

    losses, weights = train(20)
    others, other_weights = train(20, change_over)
    assert losses == others
    np.testing.assert_array_equal(weights, other_weights)


def test_the_code_is_stored(often, random, monkeypatch):
    stored = {}
    monkeypatch.setattr(cache, "write_code", stored.__setitem__)
    a, b, out = make_operands(random, 9, 6, 11, np.float32, "CCC")
    call = compile_entry(matmul_into)
    call(a, b, out, False)
    often.specialize_all()
    (name,) = stored
    assert name.startswith("product_9x6x11.")
    assert name.endswith(".nbp")
    table.TABLE.reshape(-1, table.SLOT)[:, table.ADDRESS] = 0
    later = specialization.Specialization()  # of another process, so to speak
    monkeypatch.undo()
    monkeypatch.setattr(specialization, "SOME", 0.0)
    monkeypatch.setattr(specialization, "can_start_program", lambda: False)
    monkeypatch.setattr(cache, "read_code", stored.get)
    again = np.empty_like(out)
    call(a, b, again, False)
    later.look()
    assert rows()[:, table.ADDRESS].all()
    call(a, b, again, False)
    np.testing.assert_array_equal(again, out)


def test_what_is_not_faster_is_left_general_and_not_tried_again(often, random, monkeypatch):
    monkeypatch.setattr(specialization, "WORTH", 0.0)
    stored = {}
    monkeypatch.setattr(cache, "write_code", stored.__setitem__)
    call, operands = compile_entry(matmul_into), make_operands(random, 4, 9, 6, np.float64, "CFC")
    call(*operands, False)
    often.specialize_all()
    assert len(stored) == 1
    call(*operands, False)
    assert not rows()[:, table.ADDRESS].any()
    often.look()
    assert often._process is None


def test_it_waits_until_a_product_has_taken_some_time(often, random, monkeypatch):
    monkeypatch.setattr(specialization, "OFTEN", 1e-3)
    call, operands = compile_entry(matmul_into), make_operands(random, 4, 9, 6, np.float32, "CCC")
    call(*operands, False)
    often.look()
    assert often._process is None
    table.TABLE.reshape(-1, table.SLOT)[:, table.COUNT] *= 100_000
    monkeypatch.setattr(specialization, "count_cores", lambda: 1)
    often.look()
    assert often._process is None  # alone on a core, it waits longer
    monkeypatch.setattr(specialization, "count_cores", lambda: 2)
    often.look()
    assert often._process is not None


def test_a_process_that_fails_changes_nothing(often, random):
    call, operands = compile_entry(matmul_into), make_operands(random, 4, 9, 7, np.float32, "CCC")
    call(*operands, False)
    expected = operands[2].copy()
    often.look()
    often._process.kill()
    often.wait()
    assert not rows()[:, table.ADDRESS].any()
    call(*operands, False)
    np.testing.assert_array_equal(operands[2], expected)


def test_a_steps_pauses_look_at_the_table(monkeypatch):
    from bprop.modules.engine import step as steps

    looks = []
    monkeypatch.setattr(steps, "specialize_often_called", lambda: looks.append(1))
    net = Sequential(Linear(3, 2))
    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1))
    for _ in range(2 * steps.PAUSE):
        step(np.ones((4, 3), np.float32), np.zeros(4, np.int64))
    assert len(looks) == 2


def test_large_and_empty_products_are_not_looked_up(often, random):
    call = compile_entry(matmul_into)
    for sizes in ((100, 100, 100), (0, 4, 4), (4, 4, 0), (70_000, 1, 2)):
        call(*make_operands(random, *sizes, np.float32, "CCC"), False)
    assert len(rows()) == 0


def test_products_in_a_full_place_stay_general(often, random):
    table.TABLE.reshape(-1, table.SLOT)[:, table.KEY] = -1
    a, b, out = make_operands(random, 5, 6, 7, np.float32, "CCC")
    compile_entry(matmul_into)(a, b, out, False)
    np.testing.assert_allclose(out, a @ b, rtol=1e-5, atol=1e-6)
    assert (table.TABLE.reshape(-1, table.SLOT)[:, table.KEY] == -1).all()


def test_keys_are_read_back(often, random):
    call = compile_entry(matmul_into)
    for dtype in (np.float32, np.float64):
        for layout in ("CCC", "FCC", "CFC", "FFC"):
            call(*make_operands(random, 300, 7, 20, dtype, layout), False)
    found = {product for product, seconds in table.list_called() if 0 < seconds < 1e-4}
    assert found == {Product(300, 7, 20, a, b, size) for a in (False, True) for b in (False, True) for size in (4, 8)}


def test_the_process_is_left_to_the_parent_after_a_fork(often, random):
    compile_entry(matmul_into)(*make_operands(random, 4, 9, 8, np.float32, "CCC"), False)
    often.look()
    process = often._process
    assert process is not None
    often.reset_after_fork()
    assert often._process is None
    process.kill()
    process.returncode = None
    process.wait()


def test_programs_import_what_this_process_can(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import llvmlite.binding, sys\nassert not [m for m in sys.modules if m.startswith('numba')]\n")
    assert llvm_worker.start_program(str(program)).wait() == 0
