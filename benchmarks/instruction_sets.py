"""The instruction set that every side is told to compute with, and which kernels each then says that it has."""

from .contest import Contestant, has_package
from .sides import PLACES

# The variables that make each side use no more than this; without them each uses what the processor has.
INSTRUCTION_SETS: dict[str, dict[str, str | None]] = {
    "avx2": {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": None,
        "OPENBLAS_CORETYPE": "Haswell",
        "OPENBLAS_L2_SIZE": None,
        "BLIS_ARCH_TYPE": "3",  # Haswell's number, since BLIS takes a name for 0, which is Skylake-X
        "LIBXSMM_TARGET": "hsw",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    }
}


def describe_kernels(sides: list[str], variables: dict[str, str | None]) -> dict[str, str]:
    """Ask each side, in a process of its own, which kernels it runs."""
    answers = {}
    first = {PLACES[side][0]: side for side in reversed(sides)}  # of those that are one package
    for side in sides:
        if has_package(side) and first[PLACES[side][0]] == side:
            contestant = Contestant(side, 1, variables)
            answers[side] = contestant.ask(kernels=True)["kernels"]
            contestant.close()
    return answers
