"""Every case of PyTorch's databases that can be expressed here agrees, or is refused in a sentence.

The counts are printed at the end of a run. As plain Python (NUMBA_DISABLE_JIT=1) all cases run; compiled, one for each
class and number of axes, unless the tests marked `slow` are wanted, too.
"""

# ruff: noqa: E402 (PyTorch is asked for first)

from collections import Counter

import pytest
from numba import config

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("expecttest", reason="PyTorch's databases need the package expecttest")

from .compare import compare, compare_optimizers
from .databases import read_common_nn, read_module_db, read_op_db
from .entry import Entry
from .optimizers import read_optim_db

whole = pytest.mark.slow if not config.DISABLE_JIT else pytest.mark.skipif(False, reason="")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, of its own modules
PARTS = 4


def run(entries, compare, record_property, name):
    """Compare all entries; the counts by outcome, and all that differ in one report."""
    counts, wrong = Counter(), []
    for entry in entries:
        try:
            counts[compare(entry).split(":")[0]] += 1
        except Exception as error:
            wrong.append(f"{entry.name}: {type(error).__name__}: {str(error).strip()}")
            counts["differs"] += 1
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    record_property("database", f"{name}: {outcomes}")
    assert not wrong, "\n\n".join(wrong)
    return counts


@whole
def test_module_db(record_property):
    counts = run(read_module_db(), compare, record_property, "module_db")
    assert counts["agrees"] > 450


@whole
def test_common_nn(record_property):
    counts = run(read_common_nn(), compare, record_property, "common_nn")
    assert counts["agrees"] > 80


@whole
@pytest.mark.parametrize("part", range(PARTS))
def test_op_db(record_property, part):
    counts = run(read_op_db(part, PARTS), compare, record_property, f"op_db, part {part + 1} of {PARTS}")
    assert counts["agrees"] > 90


def test_optim_db(record_property):
    counts = run(read_optim_db(), compare_optimizers, record_property, "optim_db")
    assert counts["agrees"] > 50


def first_of_each_kind():
    """An entry for each class of module_db and number of axes."""
    kinds = {}
    for entry in read_module_db():
        if entry.module is not None and entry.module.training:
            axes = tuple(each.ndim if hasattr(each, "ndim") else 0 for each in entry.arguments)
            kinds.setdefault((type(entry.module).__name__, axes), entry)
    return kinds.values()


@pytest.mark.jit
@pytest.mark.slow
def test_compiled(record_property):
    counts = run(first_of_each_kind(), compare, record_property, "module_db, compiled, one of each kind")
    assert counts["agrees"] > 50


def tanh():
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    return Entry("Tanh", torch.nn.Tanh(), (x,))


def test_a_difference_is_seen():
    entry = tanh()
    entry.module.forward = lambda x: x.tanh() * (1 + 1e-7)
    with pytest.raises(AssertionError, match="Tanh: y"):
        compare(entry)


def test_a_wrong_gradient_is_seen():
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.tanh()

        @staticmethod
        def backward(context, grad_y):
            return 2 * grad_y

    entry = tanh()
    entry.module.forward = Doubled.apply
    with pytest.raises(AssertionError, match="Tanh: gradient 0"):
        compare(entry)


def test_a_crash_is_no_refusal(monkeypatch):
    monkeypatch.setattr("bprop.modules.Tanh.fprop", lambda self, x: [][0])
    with pytest.raises(IndexError):
        compare(tanh())
