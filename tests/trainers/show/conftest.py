"""Pages of small models as data, their scripts in Node.js, and whole pages in Chromium."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from bprop.trainers import show_net
from bprop.trainers.show.arrays import decode
from bprop.trainers.show.page import encode_json
from bprop.trainers.show.show import record_subject
from bprop.trainers.show.subject import Subject, take_arrays

FOLDER = Path(show_net.__code__.co_filename).parent
STUB = """
const document = { getElementById: () => ({ textContent: PAGE }) }, location = { hash: "" };
"""


@pytest.fixture(scope="session")
def record_page():
    """`record_page(net, loss, x, target, optimizer)`: a page's data, its own script, and arrays by their numbers."""

    def record(net, loss, x, target, optimizer=None):
        subject = Subject("net", net, loss, optimizer, None, None)
        take_arrays(subject, x, target)
        data, script = record_subject(subject, 0)
        return data, script, lambda number: decode(data["values"][number], data["contents"])

    return record


@pytest.fixture(scope="session")
def run_pages():
    """`run_pages(pages, body)`: what `body`, of a function, returns for each page (data, script) in Node.js."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    names = ("core", "values", "local", "made", "gradients", "update")
    scripts = {name: (FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in names}

    def run(pages, body):
        parts = []
        for data, own in pages:
            whole = "\n".join([scripts["core"], own, *list(scripts.values())[1:]])
            parts.append(f"(() => {{ const PAGE = {json.dumps(encode_json(data))}; {STUB} {whole}\n{body} }})()")
        script = f"console.log(JSON.stringify([{', '.join(parts)}]))"
        done = subprocess.run(["node", "-"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, tmp_path):
    """`visit(page, fragment)` opens a page; errors and messages of the console fail the test."""
    problems, opened = [], []

    def go(page, fragment="", ready="html[data-ready]", **options):
        path = page.save(tmp_path / "page.html")
        tab = chromium.new_page(viewport={"width": 1300, "height": 900}, **options)
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("request", lambda request: problems.append(request.url) if not request.url.startswith("file:") else None)
        tab.goto(f"{path.as_uri()}#{fragment}")
        tab.wait_for_selector(ready)
        opened.append(tab)
        return tab

    yield go
    for tab in opened:
        tab.close()
    assert problems == []
