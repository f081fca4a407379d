"""The instruction set that code is compiled for: NUMBA_CPU_NAME names a processor, with all that it has and no more."""

import os
import subprocess
import sys

import pytest
from bprop.modules.compiler import instruction_set

pytestmark = pytest.mark.skipif(not instruction_set.is_x86(), reason="about x86 processors")

REPORT = """
from bprop.modules.compiler import instruction_set
from bprop.modules.kernels.matmul import gemm
print(sorted(instruction_set.cpu_features() & {"avx512f", "avx2", "fma"}), instruction_set.VECTOR_BYTES, gemm.TALL)
"""


@pytest.mark.parametrize(
    ("cpu", "features"),
    [
        ("x86-64", set()),
        ("nehalem", set()),
        ("pentium4", set()),
        ("haswell", {"avx2", "fma"}),
        ("znver3", {"avx2", "fma"}),
        ("skylake-avx512", {"avx512f", "avx2", "fma"}),
        ("znver4", {"avx512f", "avx2", "fma"}),
    ],
)
def test_what_a_processor_has(cpu, features):
    assert instruction_set.implied_features(cpu) == features


def test_the_name_alone_stands_for_all_that_the_processor_has(monkeypatch):
    monkeypatch.setattr(instruction_set, "host_features", lambda: frozenset({"avx512f", "avx2", "fma", "sse2"}))
    monkeypatch.setattr(instruction_set.config, "CPU_NAME", "haswell")
    monkeypatch.setattr(instruction_set.config, "CPU_FEATURES", None)
    instruction_set.choose_target()
    assert instruction_set.base_features() == instruction_set.config.CPU_FEATURES
    assert instruction_set.cpu_features() - {"64bit"} == {"avx2", "fma"}
    assert instruction_set.describe_instruction_set()["features"] == instruction_set.base_features()
    monkeypatch.setattr(instruction_set.config, "CPU_FEATURES", "-fma")
    assert instruction_set.cpu_features() == {"avx2"}


def test_a_name_of_more_than_the_machine_has_is_left_to_numba(monkeypatch):
    monkeypatch.setattr(instruction_set, "host_features", lambda: frozenset({"avx2", "fma", "sse2"}))
    monkeypatch.setattr(instruction_set.config, "CPU_NAME", "znver4")
    monkeypatch.setattr(instruction_set.config, "CPU_FEATURES", None)
    instruction_set.choose_target()
    assert instruction_set.config.CPU_FEATURES is None
    assert "avx512f" not in instruction_set.cpu_features()


def test_another_machine_must_have_what_the_recorded_name_implies(monkeypatch):
    monkeypatch.setattr(instruction_set, "host_features", lambda: frozenset({"sse2"}))
    with pytest.raises(ValueError, match=r"^this processor, .*, lacks avx2, fma of haswell$"):
        instruction_set.variables_for({"cpu": "haswell", "features": "", "vector_bytes": 32})


@pytest.mark.skipif("avx2" not in instruction_set.host_features(), reason="this machine has no AVX2")
@pytest.mark.parametrize(("cpu", "line"), [("haswell", "['avx2', 'fma'] 32 6"), ("x86-64", "[] 32 4")])
def test_kernels_follow_the_name(cpu, line):
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CPU_FEATURES"}
    done = subprocess.run(
        [sys.executable, "-c", REPORT], env=environment | {"NUMBA_CPU_NAME": cpu}, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"{line}\n", "")


def test_a_processor_that_llvm_does_not_know_becomes_generic():
    """A typing mistake, or a new processor: LLVM would print that it ignores it at each function."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CPU_FEATURES"}
    code = "import numpy as np; from bprop.modules import Exp; print(Exp().fprop(np.zeros((1, 1))))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"NUMBA_CPU_NAME": "haswel"}, capture_output=True, text=True
    )
    assert done.stdout == "[[1.]]\n"
    assert done.stderr.count("haswel") == 1
    assert "UserWarning: LLVM does not know the processor haswel: compiling for `generic`" in done.stderr


def test_what_llvm_knows():
    assert instruction_set.is_known("haswell")
    assert not instruction_set.is_known("apple-m99")
