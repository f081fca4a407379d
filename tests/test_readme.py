"""README.md is run: its Python, YAML and shell, in one folder and in the order in which they stand; and docs/.

A block whose first line is a comment with a file's name is saved under that name. A text block after a Python block is
what that prints, up to digits. Commands with pip are left to the continuous integration.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass
class Block:
    """A fenced block: its language, text and line."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """The name in its first line, else one made of its place."""
        named = re.match(r"# (\S+\.(?:py|yaml))\n", self.text)
        return named.group(1) if named else f"line_{self.line}.py"


FENCES = re.finditer(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
BLOCKS = [Block(fence[1], fence[2], README.count("\n", 0, fence.start()) + 1) for fence in FENCES]
RUN = [block for block in BLOCKS if block.language != "text" and "pip install" not in block.text]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the examples, in which the blocks run."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    for block in BLOCKS:
        if block.language in ("python", "yaml"):
            (folder / block.file).write_text(block.text, encoding="utf-8")
    return folder


def run(command, folder):
    """The output of a command; `python` and `bprop` are those of this environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PATH": path, "PYTHONWARNINGS": "error"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shape(text):
    """A text without what differs between machines: digits of numbers, digests, widths of columns."""
    text = re.sub(r"@\w{16}|\b[0-9a-f]{64}\b", "@", text)
    return re.sub(r"[ -]+", " ", re.sub(r"-?\d[\d.]*(e[-+]\d+)?", "#", text)).strip()


@pytest.mark.parametrize("block", [b for b in RUN if b.language == "python"], ids=lambda block: f"line {block.line}")
def test_python(block, folder):
    output = run([sys.executable, block.file], folder)
    after = BLOCKS[BLOCKS.index(block) + 1]
    if after.language == "text":
        assert shape(output) == shape(after.text)
        assert re.findall(r"WRONG .*|right: .*", output) == re.findall(r"WRONG .*|right: .*", after.text)
    else:
        assert output


@pytest.mark.parametrize("block", [b for b in RUN if b.language == "sh"], ids=lambda block: f"line {block.line}")
def test_shell(block, folder):
    for line in block.text.splitlines():
        run(["bash", "-c", line], folder)
    assert list((folder / "runs").glob("*/summary.json"))


def test_yaml_is_what_the_shell_trains():
    files = [block.file for block in BLOCKS if block.language == "yaml"]
    commands = "".join(block.text for block in BLOCKS if block.language == "sh")
    assert files
    assert [file for file in files if f"bprop train {file}" not in commands] == []


def test_the_first_command_trains_and_the_second_tests():
    first, second = [block.text for block in BLOCKS if "pip install" in block.text]
    assert first == "python3 -m venv .venv && .venv/bin/pip install -q -e . && .venv/bin/bprop train digits_mlp\n"
    assert second == "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest -n auto\n"


def test_what_the_first_command_prints(folder):
    """The figures that the README promises, to the precision that other processors give."""
    promised = dict(line.split() for line in BLOCKS[1].text.splitlines())
    printed = dict(line.split(maxsplit=1) for line in run(["bprop", "train", "digits_mlp"], folder).splitlines())
    for name, value in promised.items():
        assert float(printed[name]) == pytest.approx(float(value), abs=0.01)


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


# -- docs/: the Python of a page is one program ------------------------------------------------------------------------


PAGES = {path.stem: path for path in sorted((ROOT / "docs").glob("*.md")) if "```python" in path.read_text("utf-8")}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # what is compiled is the matter of other tests
    text = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGES[page].read_text("utf-8"), re.MULTILINE | re.DOTALL))
    (tmp_path / "page.py").write_text(text, encoding="utf-8")
    assert len(run([sys.executable, "page.py"], tmp_path).splitlines()) >= text.count("print(") > 0


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page):
    links = re.findall(r"\]\(([^)]+)\)", PAGES[page].read_text("utf-8"))
    assert links
    assert [link for link in links if not (PAGES[page].parent / link).exists()] == []


def test_each_example_of_extending_runs_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    examples = re.findall(r"^```python\n(.*?)^```$", PAGES["extending"].read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for k, text in enumerate(examples):
        (tmp_path / f"example{k}.py").write_text(text, encoding="utf-8")
    driver = "import runpy, sys\nfor path in sys.argv[1:]:\n    runpy.run_path(path, run_name='__main__')\n"
    (tmp_path / "driver.py").write_text(driver, encoding="utf-8")
    run([sys.executable, "driver.py", *(f"example{k}.py" for k in range(len(examples)))], tmp_path)
    assert len(examples) == len(re.findall("^## ", PAGES["extending"].read_text("utf-8"), re.MULTILINE)) == 11
