"""The package as a whole: what it exports, what it may import, and a data set of one's own."""

import ast
import importlib
import inspect
from functools import cached_property
from pathlib import Path

import bprop.datasets
import numpy as np
import pytest
from bprop.datasets import ArrayDataset, Dataset

FOLDER = Path(bprop.datasets.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
INTERNAL = {
    "array_checks",
    "checks",
    "column_kinds",
    "columns",
    "csv_table",
    "download",
    "npy",
    "paths",
    "image_files",
    "scikit_learn",
    "byte_pairs",
    "sequence_parts",
    "token_files",
    "ts_file",
    "windows",
}  # helpers of the other files
FAMILIES = {
    "MemoryTask",
    "fill_missing",
    "group_rows",
    "read_bytes",
    "read_named",
    "Fold",
    "make_fold_rows",
    "spread_classes",
    "join_samples",
    "ArrayFiles",
    "ClassTarget",
    "EmbeddedDataset",
    "IdxImages",
    "NumberTarget",
    "SplitDataset",
    "is_cached",
    "check_choice",
    "find_partners",
    "compute_mean_and_std",
    "cut_to_longest",
    "split_sizes",
    "choose_token_type",
    "collect_characters",
    "cut_contexts",
    "fill_with_last",
    "find_test_file",
    "format_characters",
    "format_token",
    "make_vocabulary",
    "to_code_points",
}  # shared by leaves in several files


def imports(path):
    """(level, module) of every import in a file, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)


def test_reexports_are_complete():
    public = set()
    for path in FILES:
        if path.stem in INTERNAL | {"__init__"}:
            continue
        module = importlib.import_module(".".join(["bprop.datasets", *path.relative_to(FOLDER).with_suffix("").parts]))
        for name, value in vars(module).items():
            defined_here = getattr(value, "__module__", None) == module.__name__
            if defined_here and not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
                public.add(name)
    assert public - FAMILIES == set(bprop.datasets.__all__)
    assert public >= FAMILIES
    assert all(hasattr(bprop.datasets, name) for name in bprop.datasets.__all__)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_stay_inside(path):
    for level, module in imports(path):
        assert level <= len(path.relative_to(FOLDER).parts), f"{path.name} imports from outside bprop.datasets"
        assert module.split(".")[0] not in {"bprop", "pickle", "sklearn", "numba"}, f"{path.name}: {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_and_everything_public_is_explained(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) or (isinstance(node, ast.FunctionDef) and not node.name.startswith("_")):
            assert ast.get_docstring(node), f"{path.name}: {node.name}"


class Halves(Dataset):
    """The example in the docstring of `Dataset`."""

    input_shape, target_shape, classes = (1,), (), 2

    @cached_property
    def train(self):
        x = np.linspace(-1, 1, 100).reshape(100, 1)
        return ArrayDataset(x, x[:, 0] > 0)


def test_a_data_set_of_ones_own():
    ds = Halves()
    assert (ds.valid, ds.test, repr(ds)) == (None, None, "Halves((1,) -> 2 classes)")
    assert (ds.train.input_shape, ds.train.target_shape, ds.train.classes) == ((1,), (), 2)


def test_a_data_set_without_shapes_is_refused():
    class Forgetful(Dataset):
        train = None

    with pytest.raises(TypeError, match=r"classes.*input_shape.*target_shape"):
        Forgetful()
