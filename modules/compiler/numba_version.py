"""The versions of numba that bprop is tested with; imported before any of numba's internals.

An untested version says so in one line on the first import, so that whatever fails later is understood at once.
"""

import warnings

import numba

OLDEST, BEYOND = (0, 65), (0, 69)  # as the dependency in pyproject.toml


def is_tested(version: str) -> bool:
    """Whether this version of numba is in the tested range."""
    return OLDEST <= tuple(int(part) for part in version.split(".")[:2]) < BEYOND


def warn_if_untested(version: str) -> None:
    """Warn of a version outside the tested range."""
    if not is_tested(version):
        oldest, newest = (f"{major}.{minor}" for major, minor in (OLDEST, (BEYOND[0], BEYOND[1] - 1)))
        warnings.warn(f"numba {version} is not tested with bprop, which expects {oldest} to {newest}", stacklevel=2)


warn_if_untested(numba.__version__)
