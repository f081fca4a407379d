"""What is installed, what a run writes where, and the house rules over the syntax tree of every file."""

import ast
import functools
import hashlib
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import bprop
import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("modules", "trainers", "datasets")
TOPLEVEL = "trainers/toplevel"  # what is installed as bprop itself
FILES = sorted(path for folder in (*FOLDERS, "configs") for path in (ROOT / folder).rglob("*.py"))
EVALUATED = "eval(annotation, {**names, **own})"  # the one allowed: an annotation of a class that is imported anyway
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def installed(package, least):
    """Whether a package is installed, in this version or a later one."""
    try:
        return int(version(package).split(".")[0]) >= least
    except PackageNotFoundError:
        return False


def copy_sources(target):
    """What a build reads, copied: building leaves folders behind."""
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in (*FOLDERS, "configs"):
        shutil.copytree(ROOT / folder, target / folder, ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target)
    return target


# -- the wheel ---------------------------------------------------------------------------------------------------------


def test_every_package_is_listed():
    packages = {path.parent.relative_to(ROOT) for path in (ROOT / f for f in FILES) if path.name == "__init__.py"}
    tops = PROJECT["tool"]["setuptools"]["package-dir"]
    assert tops == {"bprop": TOPLEVEL, **{f"bprop.{folder}": folder for folder in (*FOLDERS, "configs")}}
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert listed == sorted(set(listed))
    folders = {Path(name.removeprefix("bprop.").replace(".", "/")) for name in listed if name != "bprop"}
    assert folders | {Path(TOPLEVEL)} == packages


def test_the_oldest_versions_are_tested():
    pinned = (ROOT / ".ci" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    bounds = [re.match(r"[\w.-]+>=[\d.]+", each)[0] for each in PROJECT["project"]["dependencies"]]
    oldest = [line.replace("==", ">=").removesuffix(".*") for line in pinned if not line.startswith("#")]
    assert {name.split(">=")[0] for name in oldest} == {"numba", "numpy"}
    assert set(oldest) <= set(bounds)


@pytest.mark.skipif(not installed("setuptools", 77), reason="setuptools 77, which builds the wheel, is not installed")
def test_the_wheel_is_complete(tmp_path):
    sources = copy_sources(tmp_path / "sources")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*command, str(sources)], check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    paths = [path for folder in (*FOLDERS, "configs") for path in (ROOT / folder).rglob("*")]
    paths = [
        path
        for path in paths
        if path.suffix in (".py", ".yaml", ".typed", ".js", ".css") and "__pycache__" not in path.parts
    ]
    expected = {path.relative_to(ROOT).as_posix().removeprefix(f"{TOPLEVEL}/") for path in paths}
    assert {f"bprop/{name}" for name in expected} == {n for n in names if n.startswith("bprop/")}
    assert {"bprop/__init__.py", "bprop/__main__.py"} <= names
    assert {f"bprop/{folder}/py.typed" for folder in FOLDERS} <= names
    assert "bprop/configs/digits_mlp.yaml" in names


def digests(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_an_installation_is_never_written(tmp_path):
    """A copy of the packages without leave to write: training works, and compiled code goes to the cache folder."""
    packages = copy_sources(tmp_path / "install" / "bprop")
    shutil.copytree(ROOT / TOPLEVEL, packages, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [packages, *packages.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = digests(packages)
    code = (
        "import bprop.modules; assert bprop.modules.__file__.startswith(sys.argv[1]), bprop.modules.__file__\n"
        "from bprop.trainers.cli import main; raise SystemExit(main(['train', 'iris', 'trainer.epochs=1']))"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(packages.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BPROP_CACHE_DIR": str(tmp_path / "cache"),
    }
    command = [sys.executable, "-c", f"import sys\n{code}", str(packages)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert digests(packages) == before
    if os.environ.get("NUMBA_DISABLE_JIT") != "1":
        assert list((tmp_path / "cache").glob("plan_*.py"))


def test_bprop_itself(monkeypatch):
    """Its version without importing anything slow, and `python -m bprop`, which is the command."""
    code = "import sys, bprop; print(bprop.__version__); raise SystemExit('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == version("bprop")
    done = subprocess.run([sys.executable, "-m", "bprop", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"bprop {version('bprop')}\n"
    assert {"__version__", "modules", "trainers", "datasets", "configs"} <= set(dir(bprop))
    assert bprop.__getattr__("modules").Linear  # after `import bprop` alone
    with pytest.raises(AttributeError, match="module 'bprop' has no attribute 'nothing'"):
        bprop.nothing  # noqa: B018

    def unknown(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", unknown)  # sources that nobody has installed
    assert bprop.__version__ == "unknown"


# -- house rules -------------------------------------------------------------------------------------------------------


@functools.cache
def nodes_of(path):
    """All nodes of a file's syntax tree, the whole first."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path):
    """Full names of what a file imports; relative imports as `bprop.`"""
    package = ("bprop", *path.relative_to(ROOT).parent.parts)
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join([*base, *(node.module or "").split(".")]).strip(".")


def names(paths):
    return [path.relative_to(ROOT).as_posix() for path in paths]


@pytest.mark.parametrize(
    ("folder", "others"),
    [("modules", ("trainers", "datasets")), ("datasets", ("trainers", "modules"))],
)
def test_who_imports_whom(folder, others):
    forbidden = tuple(f"bprop.{other}" for other in (*others, "configs"))
    for path in (ROOT / folder).rglob("*.py"):
        assert not [name for name in imported(path) if name.startswith(forbidden)], path


def test_the_packages_import_each_other_relatively():
    for path in FILES:
        if path == ROOT / TOPLEVEL / "__main__.py":  # which is installed beside what it imports
            continue
        absolute = [node.module for node in nodes_of(path) if isinstance(node, ast.ImportFrom) and not node.level]
        assert not [name for name in absolute if name.split(".")[0] == "bprop"], path


def test_kernels_stand_alone():
    allowed = {"numpy", "numba", *sys.stdlib_module_names}
    for path in (ROOT / "modules" / "kernels").rglob("*.py"):
        others = [name for name in imported(path) if name.split(".")[0] not in allowed]
        assert not [name for name in others if not name.startswith(("bprop.modules.kernels", "bprop.modules.compiler"))]


EXECUTING = {"exec", "compile", "__import__", "load", "eval"}  # the last word of what is called


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_reading_a_file_executes_nothing(path):
    forbidden = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
    if path.name == "code_cache.py":  # machine code, which is executed anyway: of trusted folders, with a checksum
        forbidden.remove("pickle")
    assert not {name.split(".")[0] for name in imported(path)} & forbidden
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            if getattr(node.func, "id", getattr(node.func, "attr", "")) in EXECUTING:
                called = ast.unparse(node.func)
                assert called not in ("exec", "compile", "__import__", "yaml.load"), node.lineno
                assert called != "eval" or ast.unparse(node) == EVALUATED, node.lineno
            assert all(ast.unparse(k.value) == "False" for k in node.keywords if k.arg == "allow_pickle"), node.lineno


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_every_file_says_why_it_is_there(path):
    tree = nodes_of(path)[0]
    assert ast.get_docstring(tree) or not tree.body


def public():
    """(place, object) of all public classes and functions that the three packages define, and their methods."""
    for folder in FOLDERS:
        package = importlib.import_module(f"bprop.{folder}")
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                here = getattr(value, "__module__", None) == module.__name__
                if here and not name.startswith("_") and (inspect.isclass(value) or inspect.isroutine(value)):
                    yield f"{module.__name__}.{name}", value


def test_everything_public_is_explained():
    assert [place for place, value in public() if not (value.__doc__ or "").strip()] == []


def test_what_is_exported_is_there():
    for folder in FOLDERS:
        package = importlib.import_module(f"bprop.{folder}")
        assert list(package.__all__) == sorted(
            package.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)
        )
        assert len(set(package.__all__)) == len(package.__all__)
        assert all((getattr(package, name).__doc__ or "").strip() for name in package.__all__)
