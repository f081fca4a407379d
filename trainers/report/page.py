"""The page of a report: tables, pictures and texts in one file, whose policy allows nothing else."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ..show.texts import reveal

STYLE = Path(__file__).with_name("report.css")


@dataclass(frozen=True)
class Picture:
    """A plot as PNG or SVG, or the reason why it is not there."""

    name: str
    content: bytes = b""
    kind: str = ""
    reason: str = ""


@dataclass(frozen=True)
class RunReport:
    """What is told of one run."""

    name: str
    finished: bool
    config: str
    pictures: list[Picture]
    layers: str
    profile: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Report:
    """What is told of all runs: rows by name, a text a run."""

    title: str
    names: list[str]
    results: dict[str, list[str]]
    differences: dict[str, list[str]]
    curves: Picture
    runs: list[RunReport]


def make_page(report: Report) -> str:
    """Make the page; everything that a user may have named is escaped."""
    style = STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{quote(report.title)} · bprop report</title>
<style>{style}</style>
</head>
<body>
<main>
{"".join(list_parts(report))}</main>
</body>
</html>
"""


def quote(text: str) -> str:
    """Escape a text for the page."""
    return escape(reveal(text))


def list_parts(report: Report) -> Iterator[str]:
    """The parts of the page in their order."""
    yield f"<h1>{quote(report.title)}</h1>\n"
    yield "<h2>Figures</h2>\n"
    yield make_table(report.names, report.results) if report.results else "<p>No run is finished.</p>\n"
    if report.differences:
        yield "<h2>What differs</h2>\n" + make_table(report.names, report.differences)
    yield "<h2>Learning curves</h2>\n" + make_picture(report.curves)
    for run in report.runs:
        yield from list_run(run, alone=len(report.runs) == 1)


def list_run(run: RunReport, alone: bool) -> Iterator[str]:
    """The parts of one run; those of several are folded."""
    state = "" if run.finished else ' <span class="note">not finished</span>'
    yield f"<section>\n<h2>{quote(run.name)}{state}</h2>\n" if not alone else f"<section>\n{state}\n"
    yield from (make_picture(picture) for picture in run.pictures if not picture.reason)
    if reasons := [picture for picture in run.pictures if picture.reason]:
        items = "".join(f"<li>{quote(each.name)}: {quote(each.reason)}</li>\n" for each in reasons)
        yield f"<details><summary>Plots that do not fit</summary>\n<ul>\n{items}</ul>\n</details>\n"
    yield make_text("Layers", run.layers, alone)
    yield make_text("Config", run.config, alone)
    if run.profile:
        yield make_text("Where a step's time goes", run.profile, alone)
    if run.environment:
        rows = {name: [value] for name, value in run.environment.items()}
        yield f"<details><summary>Environment</summary>\n{make_table([run.name], rows)}</details>\n"
    yield "</section>\n"


def make_table(names: list[str], rows: dict[str, list[str]]) -> str:
    """A table with a column for each run."""
    head = "".join(f'<th scope="col">{quote(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{quote(name)}</th>{"".join(f"<td>{quote(value)}</td>" for value in values)}</tr>\n'
        for name, values in rows.items()
    )
    return (
        f'<div class="wide"><table>\n<thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'
    )


def make_picture(picture: Picture) -> str:
    """A figure with its caption, or why it is not there."""
    if picture.reason:
        return f'<p class="note">{quote(picture.name)}: {quote(picture.reason)}</p>\n'
    kind = "image/svg+xml" if picture.kind == "svg" else "image/png"
    data = base64.b64encode(picture.content).decode()
    caption = quote(picture.name.replace("_", " "))
    return f'<figure><img src="data:{kind};base64,{data}" alt="{caption}"><figcaption>{caption}</figcaption></figure>\n'


def make_text(title: str, text: str, is_open: bool) -> str:
    """A text with its lines as they are, under a title that folds it."""
    opened = " open" if is_open else ""
    return f"<details{opened}><summary>{quote(title)}</summary>\n<pre>{quote(text)}</pre>\n</details>\n"
