"""Neural networks whose backward pass is written by hand and compiled: bprop.modules, bprop.trainers, bprop.datasets.

This file is installed as `bprop` itself, beside the folders that are its packages (`package-dir` in pyproject.toml).
"""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """`bprop.__version__`, looked up when it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module 'bprop' has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bprop")
    except PackageNotFoundError:  # copied sources that nobody has installed
        return "unknown"


def __dir__() -> list[str]:
    return [*globals(), *__all__]
