"""A version of numba that bprop is not tested with says so, in one line, once."""

import os
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
from bprop.modules.compiler.numba_version import BEYOND, OLDEST, is_tested, warn_if_untested

ROOT = Path(__file__).parents[3]


def test_bounds_are_those_of_the_package():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    oldest, beyond = (".".join(map(str, version)) for version in (OLDEST, BEYOND))
    assert f"numba>={oldest},<{beyond}" in dependencies


@pytest.mark.parametrize("version", ["0.64.9", "0.69.0rc1", "1.0.0"])
def test_untested_versions_warn(version):
    with pytest.warns(
        UserWarning, match=rf"^numba {version} is not tested with bprop, which expects \d.\d+ to \d.\d+$"
    ):
        warn_if_untested(version)


@pytest.mark.parametrize("version", [f"0.{OLDEST[1]}.0", f"0.{BEYOND[1] - 1}.7"])
def test_tested_versions_are_silent(version):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_untested(version)
    assert is_tested(version)


def test_the_import_says_it_once():
    code = "import numba; numba.__version__ = '9.9.0'; import bprop.modules, bprop.trainers, bprop.datasets"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("numba 9.9.0 is not tested with bprop") == 1
