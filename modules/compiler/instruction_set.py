"""The instruction set that code is compiled for: this machine's, unless numba is configured otherwise.

Compiled results are the same bits on machines that have the same one, and only there: sums are taken in vectors of its
width, and its fused products round once where others round twice.
"""

import functools
from typing import Any

from .numba_api import config, llvm


def cpu_name() -> str:
    """LLVM's name of the processor, such as `znver3`, or `NUMBA_CPU_NAME`."""
    return config.CPU_NAME or llvm.get_host_cpu_name()


def cpu_features() -> set[str]:
    """LLVM's names of the processor's features, such as `avx2`, or `NUMBA_CPU_FEATURES`."""
    if config.CPU_FEATURES is not None:
        return {word[1:] for word in config.CPU_FEATURES.split(",") if word.startswith("+")}
    return (
        set(host_features()) if config.ENABLE_AVX else {name for name in host_features() if not name.startswith("avx")}
    )


@functools.cache
def host_features() -> frozenset[str]:
    """The features of this machine's processor."""
    return frozenset(name for name, has in llvm.get_host_cpu_features().items() if has)


VECTOR_BYTES = 64 if "avx512f" in cpu_features() else 32  # of the vectors in which kernels compute


def describe_instruction_set() -> dict[str, Any]:
    """Describe, as plain values for a file, the instruction set that determines the bits of results.

    The features are names between commas; with their signs, if it was `NUMBA_CPU_FEATURES` that named them.
    """
    features = ",".join(sorted(cpu_features())) if config.CPU_FEATURES is None else config.CPU_FEATURES
    return {"cpu": cpu_name(), "features": features, "vector_bytes": VECTOR_BYTES}


def variables_for(recorded: dict[str, Any]) -> dict[str, str]:
    """The environment variables that make numba compile for a described instruction set.

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
