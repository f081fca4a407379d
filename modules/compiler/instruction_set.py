"""The instruction set that code is compiled for: that of this machine, unless numba is told another.

Compiled results are the same bits on machines that have the same one, and only there: sums are taken in vectors of its
width, and its fused products round once where others round twice.
"""

import functools
from typing import Any

from .numba_api import config, llvm


def cpu_name() -> str:
    """LLVM's name of the processor, such as `znver3`, or what `NUMBA_CPU_NAME` says."""
    return config.CPU_NAME or llvm.get_host_cpu_name()


def cpu_features() -> set[str]:
    """LLVM's names of what the processor has beyond its name, such as `avx2`, or what `NUMBA_CPU_FEATURES` says."""
    if config.CPU_FEATURES is not None:
        return {word[1:] for word in config.CPU_FEATURES.split(",") if word.startswith("+")}
    return (
        set(host_features()) if config.ENABLE_AVX else {name for name in host_features() if not name.startswith("avx")}
    )


@functools.cache
def host_features() -> frozenset[str]:
    """What this machine's processor has."""
    return frozenset(name for name, has in llvm.get_host_cpu_features().items() if has)


VECTOR_BYTES = 64 if "avx512f" in cpu_features() else 32  # of the vectors in which kernels compute


def describe_instruction_set() -> dict[str, Any]:
    """What decides about the bits of compiled results: plain values for a file.

    The features are names between commas; with their signs, if it was `NUMBA_CPU_FEATURES` that named them.
    """
    features = ",".join(sorted(cpu_features())) if config.CPU_FEATURES is None else config.CPU_FEATURES
    return {"cpu": cpu_name(), "features": features, "vector_bytes": VECTOR_BYTES}


def variables_for(recorded: dict[str, Any]) -> dict[str, str]:
    """The variables with which numba compiles for an instruction set that `describe_instruction_set` has described.

    Errors: ValueError where this machine's processor lacks some of it.
    """
    cpu, features = str(recorded["cpu"]), str(recorded["features"])
    signed = not features or features[0] in "+-"
    required = {word.lstrip("+") for word in features.split(",") if word and not word.startswith("-")}
    if lacking := sorted(required - host_features()):
        raise ValueError(f"this processor, {llvm.get_host_cpu_name()}, lacks {', '.join(lacking)} of {cpu}")
    if not signed:  # what is not named is switched off, as the processor's name may imply it
        known = sorted(required | set(llvm.get_host_cpu_features()))
        features = ",".join(("+" if name in required else "-") + name for name in known)
    return {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features, "NUMBA_ENABLE_AVX": "1"}
