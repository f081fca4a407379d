"""Modules of one's own, imported from the folder of the config."""

import sys
from pathlib import Path

import pytest
from bprop.trainers.configs.catalog import Catalog, Role
from bprop.trainers.configs.imports import import_from

ANYTHING = Role((object,), "Module")


@pytest.fixture(autouse=True)
def forget_modules():
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def find(folder, name):
    return Catalog([], folder).find(name, ANYTHING)


def message(folder, name):
    with pytest.raises(LookupError) as caught:
        find(folder, name)
    return str(caught.value)


def test_a_module_beside_the_config(tmp_path):
    file = write(tmp_path, "own_layers.py", "from own_helper import base\nclass Scale(base): pass")
    write(tmp_path, "own_helper.py", "base = object")
    path = list(sys.path)
    catalog = Catalog([], tmp_path)
    cls = catalog.find("own_layers.Scale", ANYTHING)
    assert (cls.__name__, cls.__module__) == ("Scale", "own_layers")
    assert Path(sys.modules["own_layers"].__file__) == file
    assert sys.path == path
    assert catalog.sources == {file: Path("own_layers.py"), tmp_path / "own_helper.py": Path("own_helper.py")}


def test_own_classes_are_bases_if_derived_from_ours(tmp_path):
    write(
        tmp_path,
        "own_layers.py",
        "from fractions import Fraction\nclass Half(Fraction): pass\nclass Kernel: pass",
    )
    catalog = Catalog(["fractions"], tmp_path)
    kernel = catalog.find("own_layers.Kernel", ANYTHING)
    assert not catalog.is_base(kernel)
    catalog.find("own_layers.Half", ANYTHING)
    assert catalog.is_base(kernel)
    catalog.find("builtins.int", ANYTHING)
    assert not catalog.is_base(int)


def test_a_module_in_a_package(tmp_path):
    write(tmp_path, "own_package/__init__.py", "")
    write(tmp_path, "own_package/inner.py", "class Scale: pass")
    assert find(tmp_path, "own_package.inner.Scale").__module__ == "own_package.inner"


def test_an_installed_module(tmp_path):
    catalog = Catalog([], tmp_path)
    assert catalog.find("fractions.Fraction", ANYTHING).__name__ == "Fraction"
    assert catalog.sources == {}


def test_the_path_is_clean_after_a_failed_import(tmp_path):
    path = list(sys.path)
    write(tmp_path, "own_broken.py", "import sys\nsys.path.remove(sys.path[0])\n1 / 0")
    message(tmp_path, "own_broken.Scale")
    assert sys.path == path
    assert "own_broken" not in sys.modules


def test_messages(tmp_path):
    broken = write(tmp_path, "own_broken.py", "x = 1\nx / 0\n")
    write(tmp_path, "own_needy.py", "import not_there_at_all")
    write(tmp_path, "own_typo.py", "class Scale(:")
    write(tmp_path, "own_layers.py", "class Scale: pass\nnumber = 3")
    taken = write(tmp_path, "fractions.py", "class Fraction: pass")
    neither = f"neither beside the config (in '{tmp_path}') nor installed"
    assert message(tmp_path, "own_nothing.Scale") == f"there is no module 'own_nothing', {neither}"
    assert message(tmp_path, "own_layers.inner.Scale") == f"there is no module 'own_layers.inner', {neither}"
    assert message(None, "own_nothing.Scale") == "there is no module 'own_nothing'"
    assert message(tmp_path, "own_layers.Scal") == "the module 'own_layers' has no class 'Scal'; did you mean 'Scale'?"
    assert message(tmp_path, "own_layers.number") == "the module 'own_layers' has no class 'number'"
    assert message(tmp_path, "own_broken.Scale") == (
        f"importing 'own_broken' failed with ZeroDivisionError: division by zero ({broken}, line 2)"
    )
    assert message(tmp_path, "own_needy.Scale").startswith(
        "importing 'own_needy' failed with ModuleNotFoundError: No module named 'not_there_at_all' ("
    )
    assert message(tmp_path, "own_typo.Scale") == (
        "importing 'own_typo' failed with SyntaxError: invalid syntax (own_typo.py, line 1)"
    )
    import fractions

    assert message(tmp_path, "fractions.Fraction") == (
        f"the name 'fractions' is taken by {fractions.__file__}, so {taken} cannot be imported; rename it"
    )


def test_a_built_in_module_takes_its_name(tmp_path):
    write(tmp_path, "time.py", "class Scale: pass")
    with pytest.raises(ImportError, match="the name 'time' is taken by a built-in module, so "):
        import_from(tmp_path, "time")


def test_a_class_of_another_kind(tmp_path):
    write(tmp_path, "own_layers.py", "class Scale: pass")
    with pytest.raises(LookupError, match=r"own_layers\.Scale is no Path"):
        Catalog([], tmp_path).find("own_layers.Scale", Role((Path,), "Path"))
