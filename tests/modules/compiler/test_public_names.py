"""Kernels of the same code have one public name, by which one caller may call both."""

import llvmlite.binding as llvm
import pytest
from bprop.modules.compiler.llvm_passes import call_by_public_names

CALLER = """
define i64 @caller(i64 %x) {
  %y = call i64 @"kernel one"(i64 %x)
  %z = call i64 @"kernel two"(i64 %y)
  %w = call i64 @other(i64 %z)
  ret i64 %w
}
declare i64 @"kernel one"(i64)
declare i64 @"kernel two"(i64)
declare i64 @other(i64)
"""


@pytest.mark.parametrize("same", [False, True])
def test_calls_of_kernels_of_the_same_code(same):
    second = "bprop.aaaa" if same else "bprop.bbbb"
    names = [
        ("kernel one", "bprop.aaaa"),
        ("kernel two", second),
        ("other", "bprop.cccc"),
        ("not called", "bprop.dddd"),
    ]
    module = call_by_public_names(llvm.parse_assembly(CALLER), names)
    module.verify()
    declared = sorted(function.name for function in module.functions if function.is_declaration)
    assert declared == sorted({"bprop.aaaa", second, "bprop.cccc"})
    calls = [line.split("@")[1].split("(")[0] for line in str(module).splitlines() if "call" in line]
    assert calls[-3:] == ["bprop.aaaa", second, "bprop.cccc"]
