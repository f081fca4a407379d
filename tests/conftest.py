"""One folder of compiled plans for the whole run, empty at first; and the marks of tests that need the compiler."""

import os

import numpy as np
import pytest
from bprop.modules import manual_seed
from numba import config


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


@pytest.fixture
def random():
    """A generator of the test's own."""
    return np.random.default_rng(0)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: compiles for ten seconds and more, so left out with -m 'not slow'")
    config.addinivalue_line("markers", "jit: about compilation, so skipped under NUMBA_DISABLE_JIT=1")


def pytest_collection_modifyitems(items):
    if config.DISABLE_JIT:
        for item in items:
            if item.get_closest_marker("jit"):
                item.add_marker(pytest.mark.skip(reason="about compilation"))
