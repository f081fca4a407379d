"""Pages of small models as data, and their scripts in Node.js, where no browser is needed."""

import json
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
