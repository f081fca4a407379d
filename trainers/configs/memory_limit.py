"""The free memory, and a limit on it, so that what cannot fit is refused before the system kills the process."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from ...modules.display.summary import format_size

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

MACHINE = "/proc/meminfo"
GROUPS = (  # of control groups, version 2 and 1: a container's limit, what it uses, and what of that are cached files
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "file"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "cache",
    ),
)


def find_free_memory() -> int | None:
    """Find the free memory in bytes: of the machine, or of its container; None if unknown."""
    machine = [read_number(MACHINE, name) for name in ("MemAvailable:", "SwapFree:")]
    limits = [] if machine[0] is None else [1024 * (machine[0] + (machine[1] or 0))]
    for limit, used, parts, cached in GROUPS:
        most, now = read_number(limit), read_number(used)
        if most is not None and now is not None:
            limits.append(max(0, most - now + (read_number(parts, cached) or 0)))
    return min(limits, default=None)


def read_number(file: str, name: str = "") -> int | None:
    """Read the whole number after a name at the beginning of a line; None if there is none."""
    try:
        match = re.search(rf"^{name}\s*(\d+)", Path(file).read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) if match else None


@contextlib.contextmanager
def limit_memory() -> Iterator[None]:
    """Context in which no more than the free memory can be allocated: MemoryError, even for untouched memory."""
    free, used = find_free_memory(), read_number("/proc/self/status", "VmData:")
    if resource is None or free is None or used is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    known = [limit for limit in before if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([1024 * used + free, *known]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def describe_error(error: Exception) -> str:
    """Describe an OSError at the end of a sentence: which file, and what is wrong with it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return f"it {needs}" if (needs := describe_shortage(error)) else str(error)


def describe_shortage(error: Exception) -> str:
    """Describe a failed allocation at the end of a sentence; "" for any other exception."""
    text = str(error)
    unsaid = isinstance(error, ValueError) and text.startswith(("array is too big", "Maximum allowed dimension"))
    if not isinstance(error, MemoryError) and not unsaid:
        return ""
    size = re.search(r"allocate (.*) for", text)
    free = find_free_memory()
    left = f"the {format_size(free)} that are free" if free is not None else "there is"
    what = f"an array of {size[1].replace('. ', ' ')}, more" if size else "an array larger" if unsaid else "more memory"
    return f"needs {what} than {left}"
