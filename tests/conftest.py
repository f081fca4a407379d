"""One folder of compiled plans for the whole run, empty at first; and the marks of tests that need the compiler."""

import collections
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from bprop.modules import manual_seed
from numba import config as numba_config
from numba.core.runtime import _nrt_python, rtsys


@pytest.fixture(autouse=True, scope="session")
def plans(tmp_path_factory):
    """Keep compiled plans apart from the user's, and share them between tests; $BPROP_CACHE_DIR wins if it is set."""
    if "BPROP_CACHE_DIR" not in os.environ:
        folder = tmp_path_factory.getbasetemp()
        together = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
        os.environ["BPROP_CACHE_DIR"] = str(together / "plans")


@pytest.fixture(autouse=True, scope="session")
def state(tmp_path_factory):
    """What is noted of trainings stays apart from the user's."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(autouse=True)
def seeded():
    """Initial values are the same in each test, in whatever order they run."""
    manual_seed(0)
    if "torch" in sys.modules:  # its own manual_seed notes a traceback for devices that are not there
        sys.modules["torch"].random.default_generator.manual_seed(0)


@pytest.fixture
def random():
    """A generator of the test's own."""
    return np.random.default_rng(0)


@pytest.fixture
def allocations():
    """`allocations()` counts the arrays that compiled code has made or was given so far."""
    _nrt_python.memsys_enable_stats()
    yield lambda: rtsys.get_allocation_stats().mi_alloc
    _nrt_python.memsys_disable_stats()


SLOW_TESTS = Path(__file__).with_name("slow_tests.txt")


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="run all tests, also the slow ones")
    parser.addoption("--only-slow", action="store_true", help="run the slow tests alone")
    parser.addoption("--all-notebooks", action="store_true", help="run all notebooks of the docs, not some of them")
    parser.addoption("--compiled", action="store_true", help="compile in all tests of modules, not in some of them")
    parser.addoption(
        "--not-yet-plain",
        action="store_true",
        help="leave out the tests of modules that run as plain Python with numba, too, and are not marked plain",
    )
    parser.addoption(
        "--list-slow", type=float, metavar="SECONDS", help=f"write {SLOW_TESTS.name}: the tests that take so long"
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long, so run with --all only, as those in tests/slow_tests.txt")
    config.addinivalue_line("markers", "browser: needs Playwright and Chromium, and is skipped where one is not there")
    config.addinivalue_line("markers", "rare: slow, and left out by --only-slow, too: for --all, before a release")
    config.addinivalue_line("markers", "quick: always run, whatever tests/slow_tests.txt says")
    config.addinivalue_line("markers", "jit: about compilation, so skipped under NUMBA_DISABLE_JIT=1")
    config.addinivalue_line("markers", "plain: also run with --not-yet-plain, by which CI tries NUMBA_DISABLE_JIT=1")
    config.addinivalue_line("markers", "compiled: of modules that are compiled, not run as plain Python")
    if config.getoption("--list-slow") and not os.environ.get("PYTEST_XDIST_WORKER"):
        config.pluginmanager.register(SlowList(config.getoption("--list-slow")))


class SlowList:
    """Writes the names of tests that take long, as measured in this run; those that did not run stay as they were."""

    def __init__(self, limit: float):
        self.limit, self.seconds = limit, collections.Counter()

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self):
        names = {name for name, seconds in self.seconds.items() if seconds >= self.limit}
        names |= read_slow_list() - self.seconds.keys()
        SLOW_TESTS.write_text("".join(f"{name}\n" for name in sorted(names)), "utf-8")


def read_slow_list() -> set[str]:
    """The names in tests/slow_tests.txt."""
    return set(SLOW_TESTS.read_text("utf-8").splitlines())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    if numba_config.DISABLE_JIT:
        for item in items:
            if item.get_closest_marker("jit"):
                item.add_marker(pytest.mark.skip(reason="about compilation"))
    listed = set() if config.getoption("--list-slow") else read_slow_list()
    rare = {item for item in items if item.get_closest_marker("rare")}
    slow = rare | {item for item in items if item.get_closest_marker("slow") or item.nodeid in listed}
    slow -= {item for item in items if item.get_closest_marker("quick")}
    named = any("::" in argument for argument in config.args)  # a test asked for by name always runs
    if config.getoption("--only-slow"):
        left_out = [item for item in items if item not in slow - rare]
    elif config.getoption("--all") or named:
        left_out = []
    else:
        left_out = [item for item in items if item in slow]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
