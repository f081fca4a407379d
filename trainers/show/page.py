"""The page as text: styles, data and scripts in one file, which asks for nothing from anywhere."""

import base64
import hashlib
import json
import webbrowser
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ..files.atomic_files import write_atomically
from ..runs.run_folder import replace_not_finite
from .texts import reveal, reveal_all

HERE = Path(__file__).parent
SCRIPTS = (
    "core", "values", "arrays", "local", "made", "gradients", "charts", "walk", "weight", "update", "net", "learning",
    "engine", "play", "main",
)  # fmt: skip
FRAME = 'width="100%" height="720" style="border:1px solid #8888"'


class Page(str):
    """A page as text: a notebook shows it in a frame, `save(path)` writes it, `open()` shows it in a browser."""

    __slots__ = ()

    def save(self, path: str | Path) -> Path:
        """Write it into a file, atomically; returns the path."""
        target = expand_path(path)
        write_atomically(target, self.encode("utf-8"))
        return target

    def open(self, path: str | Path) -> bool:
        """Write it into a file, and show that in the user's browser; whether there is one."""
        return webbrowser.open(self.save(path).resolve().as_uri())

    def _repr_html_(self) -> str:
        return f'<iframe sandbox="allow-scripts" srcdoc="{escape(self)}" {FRAME}></iframe>'

    def __repr__(self) -> str:
        return f"Page({len(self):,} characters): save(path) writes it, a notebook shows it"


@cache
def read_file(name: str) -> str:
    """Read a script or the style of the page."""
    return (HERE / name).read_text(encoding="utf-8")


def make_hash(text: str) -> str:
    """Make the hash by which the page's policy allows a script or a style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def make_page(data: dict[str, Any], generated: str = "") -> Page:
    """Make the page of recorded data.

    Args: data: for JSON; generated: a script of the model's own functions, by `play`.
    """
    style = read_file("show.css")
    scripts = [read_file(f"{name}.js") for name in SCRIPTS]
    script = '"use strict";\n' + "\n".join([scripts[0], *([generated] if generated else []), *scripts[1:]])
    text = encode_json(data)
    policy = "; ".join([
        "default-src 'none'",
        f"script-src {make_hash(script)}",
        f"style-src {make_hash(style)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ])  # fmt: skip
    title = escape(reveal(f"{data['title']} · bprop show"))
    return Page(
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This page draws itself by a script, which is part of it; it asks for nothing from anywhere.</noscript>
<div id="page"></div>
<script type="application/json" id="data">{text}</script>
<script>{script}</script>
</body>
</html>
"""
    )


def encode_json(data: dict[str, Any]) -> str:
    """Encode data as JSON of ASCII letters that no HTML parser takes for a tag."""
    text = json.dumps(reveal_all(replace_not_finite(data)), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def measure_page(page: Page) -> dict[str, int]:
    """Measure a page in bytes: all of it, its data, and the rest."""
    size = len(page.encode("utf-8"))
    data = page.partition('id="data">')[2].partition("</script>")[0]
    return {"bytes": size, "data": len(data), "rest": size - len(data)}
