"""The page as a file: it asks for nothing, and no text of a user's gets into its markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bprop.modules import Linear, MeanSquaredError, Module, Sequential, Tanh
from bprop.trainers import SGD, show_config, show_net
from bprop.trainers.cli import main
from bprop.trainers.show import Page
from bprop.trainers.show.page import SCRIPTS, encode_json, make_page, measure_page
from bprop.trainers.show.subject import choose_data
from bprop.trainers.show.texts import reveal

FOLDER = Path(show_net.__code__.co_filename).parent
HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert('2')"> & \u202eevil\u2066 \x00\x1b[31m"""


class Reader(HTMLParser):
    """The elements of a page with their attributes, and the texts of scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts = [], {"script": [], "style": [], "title": []}
        self.open = None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open = tag if tag in self.texts else None
        if self.open:
            self.texts[tag].append("")

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open:
            self.texts[self.open][-1] += data

    @property
    def data(self):
        return json.loads(self.texts["script"][0])


@pytest.fixture(scope="module")
def page():
    net = Sequential(Linear(2, 2), Tanh(), Linear(2, 1))
    return show_net(net, MeanSquaredError(), np.ones((1, 2)), np.zeros((1, 1)), SGD(lr=0.1))


def test_it_is_whole_and_small(page):
    reader = Reader(page)
    assert [tag for tag, _ in reader.elements if tag in ("link", "img", "iframe", "object", "base")] == []
    assert [attributes for tag, attributes in reader.elements if tag == "script"] == [
        {"type": "application/json", "id": "data"},
        {},
    ]
    assert not any("src" in attributes or "href" in attributes for _, attributes in reader.elements)
    sizes = measure_page(page)
    assert sizes["rest"] < 400_000
    assert sizes["bytes"] == sizes["data"] + sizes["rest"] == len(page.encode())
    assert {f"{name}.js" for name in SCRIPTS} == {path.name for path in FOLDER.glob("*.js")}


def test_a_chain_is_drawn_straight(record_page):
    net = Sequential(Linear(2, 3), Tanh(), Linear(3, 1))
    data, _, _ = record_page(net, MeanSquaredError(), np.ones((1, 2)), np.ones((1, 1)))
    places = {node["title"]: node["x"] for node in data["diagram"]["nodes"]}
    target = places.pop("t")
    assert len(places) == 6
    assert max(places.values()) - min(places.values()) < 1e-9
    assert target > places["y"]


def test_its_policy_allows_its_own_script_and_style_alone(page):
    reader = Reader(page)
    (policy,) = [a["content"] for _, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for rule, kind, place in (("script-src", "script", 1), ("style-src", "style", 0)):
        digest = hashlib.sha256(reader.texts[kind][place].encode()).digest()
        assert rules[rule] == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert "unsafe" not in policy


def test_scripts_never_make_markup_of_text():
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.js")))
    forbidden = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "fetch(",
                 "XMLHttpRequest", "import(", "localStorage", "cookie")  # fmt: skip
    assert [word for word in forbidden if word in source] == []
    assert set(re.findall(r"https?://[\w./]+", source)) == {"http://www.w3.org/2000/svg"}  # a name, no address


def test_hostile_texts_are_escaped():
    data = {"title": HOSTILE, "config": HOSTILE, HOSTILE: [HOSTILE, {"x": float("nan")}]}
    page = make_page(data)
    reader = Reader(page)
    assert [tag for tag, _ in reader.elements].count("script") == 2
    assert not any(tag == "img" for tag, _ in reader.elements)
    assert reader.data["title"] == reveal(HOSTILE)
    assert reader.data[reveal(HOSTILE)][1] == {"x": "nan"}
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page)
    assert "\\u202eevil\\u2066 \\x00\\x1b[31m" in reader.data["title"]
    assert all(character not in encode_json(data) for character in "<>&")
    assert reader.texts["title"][0].startswith("</script><script>alert(1)")  # as text


def test_a_class_with_a_hostile_name_and_docstring():
    def fprop(self, x):
        return x

    def bprop(self, grad_y):
        return grad_y

    evil = type(HOSTILE.split("\x00")[0], (Module,), {"__doc__": HOSTILE, "fprop": fprop, "bprop": bprop})
    page = show_net(Sequential(evil()), MeanSquaredError(), np.ones((1, 2)), np.zeros((1, 2)))
    reader = Reader(page)
    assert [tag for tag, _ in reader.elements].count("script") == 2
    assert "<script>alert(1)</script>" in reader.data["modules"][0]["label"]
    assert "\\u202e" in reader.data["modules"][0]["label"]


def test_a_notebook_shows_it_in_a_frame(page, tmp_path):
    frame = page._repr_html_()
    assert frame.startswith('<iframe sandbox="allow-scripts" srcdoc="&lt;!DOCTYPE html&gt;')
    assert frame.count("<") == 2
    assert repr(page).startswith("Page(")
    assert page.save(tmp_path / "net.html").read_text(encoding="utf-8") == page
    assert isinstance(page, Page)


def test_the_command_writes_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or False)
    assert main(["show", "two_curves", "--steps", "0", "--sample", "3", "--open"]) == 0
    output = capsys.readouterr()
    assert output.out == "two_curves.html\n"
    assert "there is no browser" in output.err
    assert opened == [(tmp_path / "two_curves.html").as_uri()]
    data = Reader((tmp_path / "two_curves.html").read_text(encoding="utf-8")).data
    assert data["title"] == "two_curves.yaml"
    assert data["sample"]["row"] == 3
    assert "lr: 0.03" in data["config"]
    assert main(["show", "two_curves", "--steps", "0", "--json", "--output", "x.html"]) == 0
    assert json.loads(capsys.readouterr().out)["page"] == "x.html"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": 100_000}, "sample is 100000, expected 0 to 199"),
        ({"sample": -1}, "sample is -1, expected 0 to"),
        ({"part": "tran"}, "part is 'tran', expected train, valid or test; did you mean 'train'?"),
        ({"steps": -1}, "steps is -1, expected at least 0"),
    ],
)
def test_what_is_not_there_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        show_config("two_curves", **({"steps": 0} | options))


def test_a_sample_that_does_not_fit():
    with pytest.raises(ValueError, match="SimpleNamespace has no test part"):
        choose_data(SimpleNamespace(test=None), "test")
    with pytest.raises(ValueError, match="expected"):
        show_net(Linear(2, 1), MeanSquaredError(), np.ones((1, 3)), np.zeros((1, 1)))
    with pytest.raises(ValueError, match="reduction is 'none', expected 'mean' or 'sum'"):
        show_net(Linear(2, 1), MeanSquaredError("none"), np.ones((1, 2)), np.zeros((1, 1)))
