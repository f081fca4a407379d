"""Imports run one way: a folder imports from folders below it, no files import each other in a circle, and only
modules/compiler knows numba's internals. Imports inside functions count; those for type checkers do not."""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("modules", "trainers", "datasets")
FILES = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}

# From the lowest to the highest; a folder may import from those before it, and from itself.
MODULES = """compiler kernels kernels/matmul kernels/convolution kernels/recurrent kernels/attention engine initializers
core containers layers/activations layers layers/padding layers/normalization layers/convolution layers/pooling
layers/embedding layers/attention layers/energy layers/recurrent losses autodiff derivatives checks display"""
TRAINERS = """files metrics optimizers rules augments schedules callbacks parallel progress training recipes configs
runs generation plots tools show report cli"""
ORDER = [
    *(f"modules/{name}" for name in MODULES.split()),
    "modules",
    "datasets/files",
    "datasets",
    "datasets/sequences",
    *(f"trainers/{name}" for name in TRAINERS.split()),
    "trainers",
    "trainers/toplevel",
]
UPWARDS = {
    ("modules/core/module.py", "modules/display/draw.py"),  # Module.graph and summary, when they are called
    ("modules/core/module.py", "modules/display/html.py"),
    ("modules/core/module.py", "modules/display/summary.py"),
    ("modules/autodiff/graph.py", "modules/display/draw_trace.py"),  # the drawing of a trace, when it is asked for
    ("modules/core/module.py", "modules/core/editing.py"),  # Module.find and replace
    ("datasets/__init__.py", "datasets/sequences/__init__.py"),  # the exports
}
LAZY_NAMES = "trainers/lazy_names.py"  # imports nothing, and is imported by the folders' `__init__`
INTERNAL = re.compile(r"numba\.(core|np|cpython|extending|_[a-z])")
MAX_FILES = 25


@cache
def parse(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


@cache
def imports(file: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The modules that a file imports, as dotted names from the root, with the names that are taken from each."""
    nodes = list(ast.walk(parse(file)))
    conditions = [node for node in nodes if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    skipped = {each for node in conditions for each in ast.walk(node)}
    package, result = file.split("/")[:-1], []
    for node in nodes:
        if isinstance(node, ast.Import) and node not in skipped:
            result += [(alias.name.removeprefix("bprop."), ()) for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node not in skipped:
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])]).removeprefix("bprop.")
            result.append((name, tuple(alias.name for alias in node.names)))
    return tuple(result)


def imported_files(file: str, allowed=frozenset(UPWARDS)) -> set[str]:
    """The files of this project that a file imports, but for the exceptions that are `allowed`."""
    targets = set()
    for name, members in imports(file):
        path = name.replace(".", "/")
        for each in [f"{path}/{member}".lstrip("/") for member in members] or [path]:
            places = (f"{each}.py", f"{each}/__init__.py", f"{path}.py", f"{path}/__init__.py")
            targets |= set([place for place in places if place in FILES][:1])
    return {target for target in targets - {file} if (file, target) not in allowed}


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
    assert all(target in imported_files(file, UPWARDS - {(file, target)}) for file, target in UPWARDS)


def internals(file: str) -> set[str]:
    """What a file imports of numba's internals and of llvmlite, or reaches as attributes of `numba`."""
    names = {f"{name}.{member}" for name, members in imports(file) for member in members or [""]}
    attributes = {
        ast.unparse(node)
        for node in ast.walk(parse(file))
        if isinstance(node, ast.Attribute) and "numba" in ast.dump(node.value)
    }
    return {name for name in names | attributes if INTERNAL.match(name)} | {
        name for name in names if name.startswith("llvmlite.")
    }


def test_only_the_compiler_knows_the_internals_of_numba():
    known = [file for file in sorted(FILES) if internals(file)]
    programs = ["modules/compiler/llvm_passes.py", "modules/compiler/llvm_specializer.py"]
    assert known == [*programs, "modules/compiler/numba_api.py"]


def test_folders_are_small():
    sizes = {name: sum(folder(file) == name for file in FILES) for name in ORDER}
    assert {name: size for name, size in sizes.items() if size > MAX_FILES} == {}
