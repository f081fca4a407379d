"""Imports run one way: a folder imports from folders below it, no files import each other in a circle, and only
modules/compiler knows numba's internals. Imports inside functions count; those for type checkers do not."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("modules", "trainers", "datasets")
FILES = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}

# From the lowest to the highest; a folder may import from those before it, and from itself.
MODULES = """compiler kernels kernels/matmul kernels/convolution engine initializers core containers layers/activations
layers layers/convolution layers/pooling layers/normalization losses autodiff derivatives checks display"""
TRAINERS = """files metrics optimizers augments schedules callbacks training configs runs plots tools cli"""
ORDER = [
    *(f"modules/{name}" for name in MODULES.split()),
    "modules",
    "datasets/files",
    "datasets",
    *(f"trainers/{name}" for name in TRAINERS.split()),
    "trainers",
    "trainers/toplevel",
]
UPWARDS = {
    ("modules/core/module.py", "modules/display/draw.py"),  # Module.graph and summary, when they are called
    ("modules/core/module.py", "modules/display/summary.py"),
    ("modules/core/module.py", "modules/core/editing.py"),  # Module.find and replace
}
LAZY_NAMES = "trainers/lazy_names.py"  # imports nothing, and is imported by the folders' `__init__`
DOCUMENTED = {"numba", "numba.types"}  # what all may import of numba
MOST_FILES = 25


@cache
def imports(file: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The modules that a file imports, as dotted names from the root, with the names that are taken from each."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    checked = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    skipped = {inner for node in checked for inner in ast.walk(node)}
    package, found = file.split("/")[:-1], []
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])]).removeprefix("bprop.")
            found.append((name, tuple(alias.name for alias in node.names)))
    return tuple(found)


def imported_files(file: str) -> set[str]:
    """The files of this project that a file imports."""
    targets = set()
    for name, members in imports(file):
        path = name.replace(".", "/")
        for each in [f"{path}/{member}" for member in members] or [path]:
            places = (f"{each}.py", f"{each}/__init__.py", f"{path}.py", f"{path}/__init__.py")
            targets |= set([place for place in places if place in FILES][:1])
    return {target for target in targets - {file} if (file, target) not in UPWARDS}


def folder(file: str) -> str:
    return file.rpartition("/")[0]


def test_folders_import_from_those_below():
    assert {folder(file) for file in FILES} == set(ORDER)
    place = {name: k for k, name in enumerate(ORDER)}
    upwards = [
        f"{file} imports {target}"
        for file in sorted(FILES)
        for target in sorted(imported_files(file) - {LAZY_NAMES})
        if place[folder(target)] > place[folder(file)]
    ]
    assert upwards == []


def test_no_files_import_each_other_in_a_circle():
    try:
        TopologicalSorter({file: imported_files(file) for file in FILES}).prepare()
    except CycleError as error:
        raise AssertionError(f"a circle of imports: {' <- '.join(error.args[1])}") from None


def test_exceptions_are_needed():
    UPWARDS_NOW = {(file, target) for file, target in UPWARDS if target in FILES}
    assert UPWARDS_NOW == UPWARDS


def test_only_the_compiler_knows_the_internals_of_numba():
    allowed = {"modules/compiler/numba_api.py", "modules/compiler/llvm_passes.py"}
    found = [
        f"{file} imports {name}"
        for file in sorted(FILES - allowed)
        for name, members in imports(file)
        for full in ([name] if name != "numba" or not members else [f"numba.{member}" for member in members])
        if full.split(".")[0] == "llvmlite" or (full.startswith("numba.") and full not in DOCUMENTED)
        if full != "numba.njit"
    ]
    attributes = [
        f"{file}: {ast.unparse(node)}"
        for file in sorted(FILES)
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node).startswith(("numba.core", "numba.np", "numba.extending"))
    ]
    assert found + attributes == []


def test_folders_are_small():
    sizes = {name: sum(folder(file) == name for file in FILES) for name in ORDER}
    assert {name: size for name, size in sizes.items() if size > MOST_FILES} == {}
