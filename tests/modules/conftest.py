"""What modules compute is tested as plain Python, as checks/test_compiled.py compares compiled code with it."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from bprop.modules.engine.stateful import uncompiled

COMPILED = {"compiler", "engine", "kernels"}  # folders whose tests are about compiled code


@pytest.fixture(autouse=True)
def plain_unless_compiled(request):
    """Plain Python, but for tests of compiled code, those marked `compiled` or `jit`, and with --compiled."""
    marked = any(request.node.get_closest_marker(name) for name in ("compiled", "jit"))
    folder = Path(request.path).relative_to(Path(__file__).parent).parts[0]
    compiles = marked or folder in COMPILED or request.config.getoption("--compiled")
    with nullcontext() if compiles else uncompiled():
        yield
