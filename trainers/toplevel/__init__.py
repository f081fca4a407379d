"""Neural networks whose backward pass is written by hand and compiled: bprop.modules, bprop.trainers, bprop.datasets.

This file is installed as `bprop` itself, beside the folders that are its packages (`package-dir` in pyproject.toml).
"""

from typing import Any

PACKAGES = ("configs", "datasets", "modules", "trainers")
__all__ = ["__version__", *PACKAGES]


def __getattr__(name: str) -> Any:
    """The packages and `__version__`, imported or looked up when they are asked for."""
    if name in PACKAGES:
        from importlib import import_module

        return import_module(f"bprop.{name}")
    if name != "__version__":
        raise AttributeError(f"module 'bprop' has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bprop")
    except PackageNotFoundError:  # copied sources that nobody has installed
        return "unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "PACKAGES"})
