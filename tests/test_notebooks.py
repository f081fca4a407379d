"""The notebooks of lessons and tutorials run from a fresh kernel, each in an empty folder, without a warning.

They are the pages' own blocks, which test_readme.py runs, too, so some are enough:
`--all-notebooks` runs each of them.
"""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "site"))
build = importlib.import_module("build")
PAGES = [path for name in build.TAUGHT for path in sorted((ROOT / "docs" / name).glob("*.md"))]
TAUGHT = {f"{path.parent.name}/{path.stem}": path.read_text("utf-8") for path in PAGES if path.name != "README.md"}
NOTEBOOKS = {name: text for name, text in TAUGHT.items() if "```python" in text}
SOME = ("lessons/linear", "tutorials/first_net")


def expected_texts(text: str) -> list[str]:
    """What each Python block of a page prints, or nothing where the page does not say."""
    blocks = re.findall(r"^```python\n.*?^```$(?:\n\n```text\n(.*?)^```$)?", text, re.MULTILINE | re.DOTALL)
    return [block.strip() for block in blocks]


def mask_digits(text: str) -> str:
    """The text without its numbers, whose last digits may be others on another machine."""
    return re.sub(r"-?\d[\d.]*(e[-+]\d+)?", "#", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_a_fresh_kernel(name, tmp_path, monkeypatch, request):
    if name not in SOME and not request.config.getoption("--all-notebooks"):
        pytest.skip("one of those that --all-notebooks runs")
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    notebook = nbformat.reads(build.make_notebook(NOTEBOOKS[name]), as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert [each.text for cell in outputs for each in cell if each.get("name") == "stderr"] == []
    for cell, expected in zip(outputs, expected_texts(NOTEBOOKS[name]), strict=True):
        printed = "".join(each.text for each in cell if each.output_type == "stream").strip()
        assert not expected or mask_digits(printed) == mask_digits(expected)


def test_a_notebook_has_no_link_to_a_file_beside_it():
    for text in NOTEBOOKS.values():
        cells = json.loads(build.make_notebook(text))["cells"]
        markdown = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        assert re.findall(r"\]\((?!https?:)[^)]*\)", markdown) == []
    assert build.unlink("[a](b.md) ![c](d.png)\n![e](f.png)\n[g](https://h.org)") == "a [g](https://h.org)"
