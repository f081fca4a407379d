"""What modules compute is tested as plain Python, as checks/test_compiled.py compares compiled code with it."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from bprop.modules.engine.stateful import uncompiled

HERE = Path(__file__).parent
COMPILED = {"compiler", "engine", "kernels"}  # folders whose tests are about compiled code


def compiles(item: pytest.Item) -> bool:
    """Whether a test of modules is about compiled code."""
    marked = any(item.get_closest_marker(name) for name in ("compiled", "jit"))
    return marked or item.path.relative_to(HERE).parts[0] in COMPILED


def pytest_collection_modifyitems(config, items):
    if config.getoption("--not-yet-plain"):
        plain = {item for item in items if item.path.is_relative_to(HERE) and not compiles(item)}
        plain -= {item for item in plain if item.get_closest_marker("plain")}
        config.hook.pytest_deselected(items=list(plain))
        items[:] = [item for item in items if item not in plain]


@pytest.fixture(autouse=True)
def plain_unless_compiled(request):
    """Plain Python, but for tests of compiled code, those marked `compiled` or `jit`, and with --compiled."""
    with nullcontext() if compiles(request.node) or request.config.getoption("--compiled") else uncompiled():
        yield
