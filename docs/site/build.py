"""Builds the documentation as a site: `python docs/site/build.py [FOLDER]`, by default into build/site.

The pages are those of docs/, the README, the changelog and CONTRIBUTING, as they are, with their blocks of equations
typeset; the reference is made from the docstrings, with an example for each name; each lesson
and tutorial is a notebook, too. Files that pages link to, examples say, become pages of their own. Warnings are errors,
broken links among them. Needs the extra `docs`.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path

from diagrams import set_in_page
from equations import typeset

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
PICTURE = re.compile(r"!\[[^\]]*\]\([^)\s]+\)\n?")
DIAGRAM = re.compile(r"^!\[([^\]]*)\]\(((?:\.\./)?images/how/\w+\.svg)\)$", re.MULTILINE)
EQUATIONS = re.compile(r"^```equations\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = {  # pages of contents: their names, titles and pages
    "guide": (
        "Guide",
        "training outputs layers configs command_line run_folders plots show graphs sequences energy learning_rules "
        "data_paths parallel parallel_model batch_systems",
    ),
    "own_parts": ("Your own parts", "custom_modules extending derivatives"),
    "how_it_works": ("How it works", "engine kernels threads resuming same_bits"),
    "background": ("Background", "books results performance words decisions contributing files"),
}
TAUGHT = ("lessons", "tutorials")  # folders of pages that are notebooks, too
TOP = "First steps <first_steps>|tutorials/index|lessons/index|guide|own_parts|how_it_works|reference/index|background"


def main(arguments: list[str]) -> int:
    target = Path(arguments[0]) if arguments else ROOT / "build" / "site"
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # examples are short
    source = target.parent / f"{target.name}-source"
    for old in (source, target):
        shutil.rmtree(old, ignore_errors=True)
    source.mkdir(parents=True)
    Assembly(source).assemble()
    from reference import write_reference
    from sphinx.cmd.build import main as sphinx

    count = write_reference(source / "reference")
    status = sphinx(
        [
            "-q",
            "-W",
            "--keep-going",
            "-c",
            str(HERE),
            "-d",
            str(source / ".doctrees"),
            "-j",
            "auto",
            str(source),
            str(target),
        ]
    )
    if not status:
        print(f"{target / 'index.html'}: {count} names in the reference")
    return status


class Assembly:
    """The source tree of the site: pages with their links turned to where the files are within it."""

    def __init__(self, source: Path):
        self.source = source
        self.pages = {path: Path(path.name) for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"}
        self.pages |= {ROOT / "docs" / "README.md": Path("index.md"), ROOT / "README.md": Path("first_steps.md")}
        self.pages |= {ROOT / "CHANGELOG.md": Path("changelog.md"), ROOT / "CONTRIBUTING.md": Path("contributing.md")}
        for name in TAUGHT:
            self.pages |= {path: Path(name, path.name) for path in (ROOT / "docs" / name).glob("*.md")}
            self.pages[ROOT / "docs" / name / "README.md"] = Path(name, "index.md")
        self.files: dict[Path, Path] = {}

    def assemble(self) -> None:
        for path, place in self.pages.items():
            text = path.read_text(encoding="utf-8")
            if place.parent.name in TAUGHT and place.stem != "index" and "```python" in text:
                self.write(place.with_suffix(".ipynb"), make_notebook(text))
                text += f"\n{{download}}`This page as a notebook <{place.stem}.ipynb>`\n"
            text = DIAGRAM.sub(lambda link: set_in_page(ROOT / "docs" / link[2].removeprefix("../"), link[1]), text)
            text = EQUATIONS.sub(lambda block: typeset(block[1].splitlines()), self.turn_links(path, place, text))
            if place == Path("index.md"):
                text += list_contents([*TOP.split("|"), "changelog"])
            elif place.name == "index.md":
                text += list_contents(list_pages(text))
            self.write(place, text)
        for path, place in list(self.files.items()):
            self.write(place, describe_file(path))
        self.write(Path("files.md"), list_files(self.files.values()))
        self.write_sections()
        shutil.copytree(ROOT / "docs" / "images", self.source / "images")

    def write(self, place: Path, text: str) -> None:
        (self.source / place).parent.mkdir(parents=True, exist_ok=True)
        (self.source / place).write_text(text, encoding="utf-8")

    def turn_links(self, path: Path, place: Path, text: str) -> str:
        """Links to other pages and files, as seen from the page's place in the site; code is left alone."""

        def turn(match: re.Match) -> str:
            label, link = match.groups()
            if re.match(r"[a-z]+:|#", link):
                return match[0]
            file, _, anchor = link.partition("#")
            aim = (path.parent / file).resolve()
            if not aim.exists():
                raise FileNotFoundError(f"{path.relative_to(ROOT)}: a link to {link}, which is not there")
            to = self.pages.get(aim) or (aim.relative_to(ROOT / "docs") if is_image(aim) else self.place_file(aim))
            relative = os.path.relpath(to, place.parent)
            return f"[{label}]({relative}{'#' + anchor if anchor else ''})"

        parts = re.split(r"(^```.*?^```$|`[^`\n]+`(?!\]))", text, flags=re.MULTILINE | re.DOTALL)
        return "".join(part if k % 2 else LINK.sub(turn, part) for k, part in enumerate(parts))

    def place_file(self, aim: Path) -> Path:
        """The page of a file or a folder of the repository."""
        return self.files.setdefault(aim, Path("files") / f"{aim.relative_to(ROOT)}.md")

    def write_sections(self) -> None:
        """Write the pages of contents. Errors: ValueError for a page that stands in none."""
        listed = {"index", "first_steps", "changelog"}
        for name, (title, pages) in SECTIONS.items():
            self.write(Path(f"{name}.md"), f"# {title}\n" + list_contents(pages.split(), hidden=False))
            listed |= set(pages.split())
        names = {place.stem for place in self.pages.values() if place.parent == Path()}
        if rest := names - listed:
            raise ValueError(f"docs/site/build.py: SECTIONS lacks {', '.join(sorted(rest))}")


def list_contents(pages: list[str], hidden: bool = True) -> str:
    """A table of contents, from which the navigation is made."""
    options = ":hidden:" if hidden else ":maxdepth: 1"
    return "\n```{toctree}\n" + options + "\n\n" + "\n".join(pages) + "\n```\n"


def list_pages(text: str) -> list[str]:
    """The lessons or tutorials in the order in which their page of contents links to them."""
    return re.findall(r"^\d+\. \[[^\]]*\]\((\w+)\.md\)", text, re.MULTILINE)


def make_notebook(text: str) -> str:
    """A lesson as a Jupyter notebook: its Python blocks are cells, and what they print is left to the kernel.

    A notebook lies in any folder: links to other pages become their titles, and pictures are left to its cells.
    """
    cells = []
    for part in re.split(r"(^```python\n.*?^```$(?:\n\n```text\n.*?^```$)?)", text, flags=re.MULTILINE | re.DOTALL):
        code = re.match(r"```python\n(.*?)\n```", part, re.DOTALL)
        source = code[1] if code else unlink(part).strip()
        if not source:
            continue
        cell = {"metadata": {}, "source": source.splitlines(keepends=True)}
        cell |= {"cell_type": "code", "outputs": [], "execution_count": None} if code else {"cell_type": "markdown"}
        cells.append(cell | {"id": f"cell-{len(cells)}"})
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}, indent=1)


def unlink(text: str) -> str:
    """The text with the titles of its links to files, without its pictures, and with equations as plain text."""
    text = PICTURE.sub("", text.replace("```equations", "```"))
    return LINK.sub(lambda match: match[0] if re.match(r"[a-z]+:", match[2]) else match[1], text)


def is_image(path: Path) -> bool:
    return path.suffix in {".png", ".svg", ".jpg"}


def describe_file(path: Path) -> str:
    """A page with a file's text, or with the names of a folder's files."""
    name = path.relative_to(ROOT)
    if path.is_dir():
        names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir() if not p.name.startswith(("_", ".")))
        return f"# {name}/\n\n" + "\n".join(f"- `{each}`" for each in names) + "\n"
    language = {".py": "python", ".yaml": "yaml", ".md": "text", ".toml": "toml"}.get(path.suffix, "text")
    return f"# {name}\n\n~~~~~{language}\n{path.read_text(encoding='utf-8').rstrip()}\n~~~~~\n"


def list_files(places) -> str:
    """A page of the files that other pages link to."""
    names = sorted(str(place.with_suffix("")) for place in places)
    return "# Files\n\nSource files that pages link to.\n" + list_contents(names, hidden=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
