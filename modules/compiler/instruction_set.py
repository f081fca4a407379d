"""The instruction set that code is compiled for: this machine's, unless numba is configured otherwise.

Compiled results are the same bits on machines that have the same one, and only there: sums are taken in vectors of its
width, and its fused products round once where others round twice.

`NUMBA_CPU_NAME=haswell` stands for all that such a processor has, and no more: AVX2, not the AVX-512 of the machine.
(numba alone takes the name for the order of instructions, and the instructions of the machine.)
"""

import functools
import os
import warnings
from typing import Any

from .numba_api import config, llvm


def cpu_name() -> str:
    """LLVM's name of the processor, such as `znver3`, or `NUMBA_CPU_NAME`."""
    return config.CPU_NAME or llvm.get_host_cpu_name()


def cpu_features() -> set[str]:
    """LLVM's names of what the processor has, such as `avx2`, or what `NUMBA_CPU_NAME` and `NUMBA_CPU_FEATURES` say."""
    if config.CPU_FEATURES is not None:
        return resolve_features(config.CPU_NAME or "", config.CPU_FEATURES)
    return (
        set(host_features()) if config.ENABLE_AVX else {name for name in host_features() if not name.startswith("avx")}
    )


def resolve_features(cpu: str, features: str) -> set[str]:
    """The features of a processor by its name ("" for none), some of which are removed (`-fma`) and others added."""
    words = features.split(",")
    removed = {word[1:] for word in words if word.startswith("-")}
    implied = implied_features(cpu) if cpu else frozenset()
    return {word[1:] for word in words if word.startswith("+")} | (implied - removed)


@functools.cache
def host_features() -> frozenset[str]:
    """The features of this machine's processor."""
    return frozenset(name for name, has in llvm.get_host_cpu_features().items() if has)


def is_x86() -> bool:
    """Whether code is compiled for x86."""
    return llvm.get_default_triple().startswith(("x86_64", "i686"))


# Code whose assembly has the text only on processors with the feature.
PROBES = {
    "avx512f": ("<16 x float>", "fadd <16 x float> %a, %a", "zmm"),
    "avx2": ("<8 x i32>", "add <8 x i32> %a, %a", "vpaddd\t%ymm"),
    "fma": ("float", "call float @llvm.fma.f32(float %a, float %a, float %a)", "vfmadd"),
}


@functools.cache
def implied_features(cpu: str) -> frozenset[str]:
    """Which of the features in PROBES an x86 processor of this name has, as LLVM compiles for it; of others, none."""
    if not is_x86():
        return frozenset()
    machine = make_target_machine(cpu)
    features = set()
    for name, (kind, operation, text) in PROBES.items():
        body = f"define {kind} @f({kind} %a) {{\n%b = {operation}\nret {kind} %b\n}}"
        code = f"declare float @llvm.fma.f32(float, float, float)\n{body}"
        if text in machine.emit_assembly(llvm.parse_assembly(code)):
            features.add(name)
    return frozenset(features)


def make_target_machine(cpu: str):
    """LLVM's target machine for a processor by its name alone."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=base_features())


def base_features() -> str:
    """What LLVM must be told beside a name: code of 64 bits is an error for the name of a 32-bit processor."""
    return "+64bit" if llvm.get_default_triple().startswith("x86_64") else ""


def is_known(cpu: str) -> bool:
    """Whether LLVM knows a processor: it prints that it does not, several times, and goes on without it."""
    reader, writer = os.pipe()
    saved = os.dup(2)
    try:
        os.dup2(writer, 2)
        make_target_machine(cpu)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(writer)
    with os.fdopen(reader, "rb") as output:
        return b"not a recognized processor" not in output.read()


def choose_target() -> None:
    """Let numba compile for what `NUMBA_CPU_NAME` has, if it is set alone and this machine has that, too.

    A processor that LLVM does not know, such as a new one of ARM's or a typing mistake, becomes `generic`, with a line.
    """
    if (config.CPU_NAME or not is_x86()) and not is_known(cpu_name()):
        warnings.warn(f"LLVM does not know the processor {cpu_name()}: compiling for `generic`", stacklevel=2)
        config.CPU_NAME = "generic"
        return
    named = is_x86() and config.CPU_NAME and config.CPU_FEATURES is None
    if named and implied_features(config.CPU_NAME) <= host_features():
        config.CPU_FEATURES = base_features()


choose_target()
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
    required = resolve_features(cpu, features) if signed else set(features.split(","))
    if lacking := sorted(required - host_features()):
        raise ValueError(f"this processor, {llvm.get_host_cpu_name()}, lacks {', '.join(lacking)} of {cpu}")
    if not signed:  # what is not named is switched off, as the processor's name may imply it
        known = sorted(required | set(llvm.get_host_cpu_features()))
        features = ",".join(("+" if name in required else "-") + name for name in known)
    return {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features, "NUMBA_ENABLE_AVX": "1"}
