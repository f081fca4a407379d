"""Functions compiled again with constants: what they compute, and when they are not worth it."""

import ctypes

import pytest
from bprop.modules.compiler.code_library import find_code_address, load_machine_code
from bprop.modules.compiler.llvm_specializer import Specializer
from bprop.modules.compiler.llvm_worker import codegen_settings
from bprop.modules.compiler.numba_api import cpu_target, parse_assembly

# out[0] = Σₖ x[k], k < count, by a function that is not inlined.
CODE = """
define float @sum(ptr %x, i64 %count) noinline {
  br label %loop
loop:
  %k = phi i64 [0, %0], [%next, %loop]
  %total = phi float [0.0, %0], [%new, %loop]
  %place = getelementptr float, ptr %x, i64 %k
  %number = load float, ptr %place
  %new = fadd float %total, %number
  %next = add i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %end
end:
  ret float %new
}

define i32 @NAME(ptr %first, ptr %second, ptr %x, i64 %count, ptr %y, ptr %out, i8 %add) {
  %total = call float @sum(ptr %x, i64 %count)
  store float %total, ptr %out
  ret i32 0
}
"""


@pytest.fixture
def specializer():
    """One that knows the function `sum`, whose second argument is a number."""
    specializer = Specializer(codegen_settings(cpu_target.target_context.codegen()))
    module = parse_assembly(specializer._head() + CODE.replace("NAME", "test_of_specializer"))
    code = specializer.compiler.machine.emit_object(module)
    specializer.load_function("sum", [module.as_bitcode()], [code], "test_of_specializer", "test_of_specializer")
    return specializer


def specialize(specializer, worth):
    specializer.specialize(7, "sum", [None, None, None, "5", None, None, None], [5, 1, 1], 4, worth)
    return specializer.results[7]


def test_a_constant_takes_the_place_of_an_argument(specializer):
    name, code = specialize(specializer, 1e9)
    assert name.startswith("bprop.unrolled.")
    load_machine_code(name, code)
    function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 5, ctypes.c_bool)(find_code_address(name))
    x, out = (ctypes.c_float * 6)(1, 2, 3, 4, 5, 100), (ctypes.c_float * 1)()
    assert function(None, None, ctypes.addressof(x), None, ctypes.addressof(out), False) == 0
    assert out[0] == 15


def test_it_is_unrolled_or_has_loops_whichever_is_worth_it(specializer, monkeypatch):
    ratios = iter([(1.0, 0.9), (1.0, 0.7)])
    monkeypatch.setattr("bprop.modules.compiler.llvm_specializer.time_in_turn", lambda *_: next(ratios))
    name, _ = specialize(specializer, 0.8)
    assert name.startswith("bprop.loops.")


def test_what_is_not_worth_it_has_no_code(specializer):
    assert specialize(specializer, 0.0) == ("", b"")
