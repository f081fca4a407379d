"""The versions and the instruction set that results depend on."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from threadpoolctl import threadpool_info

from ...modules.compiler import instruction_set as machine

PACKAGES = ("bprop", "numpy", "numba", "scipy")


def collect_versions() -> dict[str, str]:
    """Collect the versions of Python, the platform and the packages that results depend on."""
    versions = {"python": platform.python_version(), "platform": sys.platform}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return versions


def describe_instruction_set() -> dict[str, Any]:
    """Describe the instruction set that the bits of results depend on: of compiled code, and of BLAS."""
    architectures = {
        str(library.get("architecture")) for library in threadpool_info() if library.get("user_api") == "blas"
    }
    return machine.describe_instruction_set() | {"blas": ",".join(sorted(architectures))}


def compare_instruction_sets(recorded: dict[str, Any], own: dict[str, Any]) -> str:
    """Describe how an instruction set differs from another; "" if it does not."""
    names = [name for name in ("cpu", "vector_bytes", "blas") if recorded.get(name) != own[name]]
    texts = [f"{name} {recorded.get(name)} there, {own[name]} here" for name in names]
    return ", ".join(texts + (["other features"] if recorded.get("features") != own["features"] else []))


def make_environment(recorded: dict[str, Any]) -> dict[str, str]:
    """Make the environment variables for the bits of another machine, as far as this one can compute them.

    Errors: ValueError where this machine's processor lacks some of its instructions.
    """
    blas = str(recorded["blas"])
    variables = machine.variables_for(recorded)
    return variables | ({"OPENBLAS_CORETYPE": blas} if blas.isalnum() and blas != "None" else {})
