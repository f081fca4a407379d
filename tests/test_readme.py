"""README.md and the pages of docs/ are run: their Python, YAML and shell, each page in a folder of its own, in order.

A block whose first line is a comment with a file's name is saved under that name; the pages of docs/ find the files of
README.md, too. A text block after a Python block is what that prints, up to digits. Commands with pip are left to the
continuous integration. A page that says that its blocks are one program is run so. Processes are forked from one that
has imported bprop, but for those of README.md.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from .fork_server import run_python

ROOT = Path(__file__).parents[1]
PATHS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TAUGHT = sorted(path for name in ("lessons", "tutorials") for path in (ROOT / "docs" / name).glob("*.md"))
PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PATHS + TAUGHT}
COMPILED = {"README.md", "docs/custom_modules.md", "docs/energy.md", "docs/engine.md"}  # other tests compile the rest
SHORTER = (  # trainings of pages, and less of them: what the commands do is shown by as little
    ("trainer: {epochs: 10, batch_size: 32}", "trainer: {epochs: 1, batch_size: 32}"),
    ("steps: 200, evaluate_every: 50, batch_size: 16", "steps: 24, evaluate_every: 12, batch_size: 16"),
    ("GreedyPretraining.epochs=5 trainer.epochs=3", "GreedyPretraining.epochs=1 trainer.epochs=1"),
)
DRIVER = """\
import contextlib, io, json, sys, traceback
paths, one_program = json.loads(sys.argv[1])
shared, results = {"__name__": "__main__"}, {}
for path in paths:
    output, error = io.StringIO(), ""
    space = shared if one_program else {"__name__": "__main__"}
    try:
        with contextlib.redirect_stdout(output):
            exec(compile(open(path, encoding="utf-8").read(), path, "exec"), space)
    except BaseException:
        error = traceback.format_exc()
    results[path] = output.getvalue(), error
print(json.dumps(results))
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, text and line."""

    page: str
    language: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """The name in its first line, else one made of its place."""
        named = re.match(r"# (\S+\.(?:py|yaml))\n", self.text)
        return named.group(1) if named else f"line_{self.line}.py"

    @property
    def is_named(self) -> bool:
        return not self.file.startswith("line_")


def find_blocks(page: str) -> list[Block]:
    fences = re.finditer(r"^```(\w+)\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)
    return [Block(page, fence[1], fence[2], PAGES[page].count("\n", 0, fence.start()) + 1) for fence in fences]


BLOCKS = {page: find_blocks(page) for page in PAGES}
ALL = [block for blocks in BLOCKS.values() for block in blocks]


def blocks_to_run(language: str) -> list:
    """A parameter for each block of the language, named by page and line."""
    chosen = [block for block in ALL if block.language == language and "pip install" not in block.text]
    slow = {block for block in chosen if language == "sh" or block.page in COMPILED}  # a page is run as a whole
    return [
        pytest.param(block, id=f"{block.page}:{block.line}", marks=[pytest.mark.slow] * (block in slow))
        for block in chosen
    ]


def shorten(text: str) -> str:
    """The text with the trainings of SHORTER."""
    for whole, part in SHORTER:
        text = text.replace(whole, part)
    return text


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """`folder_of(page)` is the folder in which a page runs, with the examples and the page's files."""

    @cache
    def folder_of(page: str) -> Path:
        folder = tmp_path_factory.mktemp(Path(page).stem)
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
        sweep = folder / "examples" / "depth.yaml"  # 4 short runs instead of 15
        for whole, part in (("[1, 2, 3, 4, 6]", "[1, 6]"), ("[8, 16, 32]", "[8, 32]"), ("epochs: 20", "epochs: 2")):
            assert whole in sweep.read_text(encoding="utf-8")
            sweep.write_text(sweep.read_text(encoding="utf-8").replace(whole, part), encoding="utf-8")
        for block in [*(each for each in BLOCKS["README.md"] if each.is_named), *BLOCKS[page]]:
            if block.language in ("python", "yaml"):
                (folder / block.file).write_text(shorten(block.text), encoding="utf-8")
        return folder

    return folder_of


def run(command, folder):
    """The output of a command of this environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_forked(arguments, page, folder):
    """The output of Python with these arguments, which compiles on pages of COMPILED alone."""
    environment = {**os.environ, **({} if page in COMPILED else {"NUMBA_DISABLE_JIT": "1"})}
    done = run_python(arguments, folder, environment, strict=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def results_of(folder_of):
    """`results_of(page)`: what each Python block of a page prints, and its error."""

    @cache
    def results_of(page: str) -> dict[str, tuple[str, str]]:
        files = [block.file for block in BLOCKS[page] if block.language == "python"]
        one_program = "blocks of this page are one program" in " ".join(PAGES[page].split())
        (folder_of(page) / "driver.py").write_text(DRIVER, encoding="utf-8")
        return json.loads(run_forked(["driver.py", json.dumps([files, one_program])], page, folder_of(page)))

    return results_of


def shape(text):
    """A text without what differs between machines: digits of numbers, digests, widths of columns."""
    text = re.sub(r"@\w{16}|\b[0-9a-f]{64}\b", "@", text)
    return re.sub(r"[ -]+", " ", re.sub(r"-?\d[\d.]*(e[-+]\d+)?", "#", text)).strip()


@pytest.mark.parametrize("block", blocks_to_run("python"))
def test_python(block, results_of):
    output, error = results_of(block.page)[block.file]
    assert not error, error
    assert len(output.splitlines()) >= len(re.findall(r"^\s*print\(", block.text, re.MULTILINE))
    following = BLOCKS[block.page][BLOCKS[block.page].index(block) + 1 :]
    if following and following[0].language == "text":
        assert shape(output) == shape(following[0].text)
        assert re.findall(r"WRONG .*|right: .*", output) == re.findall(r"WRONG .*|right: .*", following[0].text)


@pytest.mark.parametrize("block", blocks_to_run("sh"))
def test_shell(block, folder_of):
    folder = folder_of(block.page)
    for line in shorten(block.text).splitlines():
        command, *words = shlex.split(line, comments=True)
        if block.page == "README.md":
            run([command, *words], folder)
        else:
            run_forked({"bprop": ["-m", "bprop"], "python": []}[command] + words, block.page, folder)
    assert "bprop train" not in block.text or list((folder / "runs").glob("*/summary.json"))


def test_every_page_with_python_prints_something():
    pages = {block.page for block in ALL if block.language == "python"}
    assert pages >= COMPILED | {"docs/training.md"}
    assert [page for page in pages if not any("print(" in block.text for block in BLOCKS[page])] == []


@pytest.mark.parametrize("page", sorted({block.page for block in ALL if block.language == "yaml"}))
def test_yaml_is_what_the_shell_trains(page):
    files = [block.file for block in BLOCKS[page] if block.language == "yaml"]
    commands = "".join(block.text for block in BLOCKS[page] if block.language == "sh")
    assert [file for file in files if f"bprop train {file}" not in commands] == []


def test_the_first_command_trains_and_the_second_tests():
    first, second = [block.text for block in BLOCKS["README.md"] if "pip install" in block.text]
    assert first == "python3 -m venv .venv && .venv/bin/pip install -q -e . && .venv/bin/bprop train digits_mlp\n"
    assert second == "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest -n auto\n"


def test_what_the_first_command_prints(folder_of):
    """The metrics that the README promises, to the precision that other processors give."""
    promised = dict(line.split() for line in BLOCKS["README.md"][1].text.splitlines())
    output = run(["bprop", "train", "digits_mlp"], folder_of("README.md"))
    printed = dict(line.split(maxsplit=1) for line in output.splitlines())
    for name, value in promised.items():
        assert float(printed[name]) == pytest.approx(float(value), abs=0.01)


def test_each_training_that_is_shortened_is_on_a_page():
    assert [whole for whole, _ in SHORTER if not any(whole in text for text in PAGES.values())] == []


def test_the_readme_is_one_page():
    assert len(PAGES["README.md"].splitlines()) <= 150


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(path):
    page = str(path.relative_to(ROOT))
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)  # code has brackets, too
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links or page == "docs/decisions.md"
    for link in links:
        target, _, heading = link.partition("#")
        file = path.parent / target if target else path
        assert file.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles], link


def test_the_list_of_pages_has_each_of_them():
    pages = {path.name for path in PATHS if path.parent.name == "docs"} - {"README.md"}
    assert pages <= set(re.findall(r"\]\((\w+\.md)\)", PAGES["docs/README.md"]))


def test_each_section_of_extending_has_an_example():
    examples = [block for block in BLOCKS["docs/extending.md"] if block.language == "python"]
    assert len(examples) == len(re.findall("^## ", PAGES["docs/extending.md"], re.MULTILINE)) == 11
