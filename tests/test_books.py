"""docs/books.md: each line of its tables is run, each test that it names exists, and its counts are right."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from bprop.modules import manual_seed
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import cli

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "books.md").read_text("utf-8")


@dataclass(frozen=True)
class Row:
    """A row of a table: its section of the page, where in the text it stands, what it says, and the line for it."""

    text: str
    where: str
    says: str
    line: str


def read_rows() -> list[Row]:
    """The rows of all tables whose last column is `line`."""
    rows: list[Row] = []
    text, reads, columns = "", False, 0
    for line in PAGE.splitlines():
        if line.startswith("## "):
            text = line[3:]
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        if not cells or line.startswith("|---"):
            reads = reads and bool(cells)
        elif cells[-1] == "line":
            reads, columns = True, len(cells)
        elif reads:
            assert len(cells) == columns, line
            rows.append(Row(text, " / ".join(cells[:-2]), cells[-2], cells[-1]))
    return rows


ROWS = read_rows()
PARAMETERS = [pytest.param(row, id=f"{number}: {row.where}") for number, row in enumerate(ROWS, 1)]


@cache
def run_blocks() -> dict:
    """What the Python blocks of the page define, as one program."""
    space: dict = {}
    manual_seed(0)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    with uncompiled():
        for block in blocks:
            exec(compile(block, "docs/books.md", "exec"), space)
    return space


@cache
def list_tests(path: str) -> set[str]:
    """The names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", PARAMETERS)
def test_each_line_does_it(row, capsys, monkeypatch, tmp_path):
    code = re.fullmatch(r"`([^`]+)`", row.line)
    assert code, f"no code in one pair of backticks: {row.line}"
    line = code[1]
    if line.startswith("tests/"):
        path, name = line.split("::")
        assert name in list_tests(path)
    elif line.startswith("bprop "):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
        assert cli.main(line.split()[1:]) == 0, capsys.readouterr().err
    else:
        space = run_blocks()
        with uncompiled():
            assert bool(eval(compile(line, "docs/books.md", "eval"), space)) is True


def test_the_page_counts_its_rows():
    counts = dict(re.findall(r"^\| ([^|]+) \| (\d+) \|$", PAGE, re.MULTILINE))
    texts = dict.fromkeys(row.text for row in ROWS)
    expected = {text: str(sum(row.text == text for row in ROWS)) for text in texts}
    assert counts == {**expected, "all": str(len(ROWS))}


def test_no_row_stands_twice():
    keys = [(row.text, row.where, row.says) for row in ROWS]
    assert len(set(keys)) == len(keys)
