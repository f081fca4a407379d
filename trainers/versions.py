"""The versions that figures depend on."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("bprop", "numpy", "numba", "scipy")


def versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that the figures depend on."""
    found = {"python": platform.python_version(), "platform": sys.platform}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
