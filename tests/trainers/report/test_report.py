"""Reports of runs: everything is in one file, escaped, and says what is missing."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bprop.trainers import report_runs
from bprop.trainers.cli import main
from bprop.trainers.report.page import Picture, Report, RunReport, make_page

HOSTILE = """</pre><script>alert(1)</script><img src=x onerror="alert('2')"> & \u202eevil\u2066 \x00\x1b[31m"""
CONFIG = """\
dataset: Iris
model: [{Linear: {in_features: 4, out_features: 5}}, Tanh, {Linear: {in_features: 5, out_features: 3}}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 3, threads: 1}
"""


class Reader(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "iris.yaml").write_text(CONFIG, encoding="utf-8")
    for name, rate in (("slow", "0.01"), ("quick", "0.1")):
        word = f"optimizer.SGD.lr={rate}"
        assert main(["train", str(folder / "iris.yaml"), word, "--run", str(folder / name), "--quiet"]) == 0
    return folder


def test_a_report_of_one_run(runs):
    path = report_runs([runs / "quick"])
    assert path == runs / "quick" / "report.html"
    page = path.read_text(encoding="utf-8")
    reader, text = Reader(page), " ".join(Reader(page).words)
    images = [attributes for tag, attributes in reader.elements if tag == "img"]
    assert {"curves", "confusion", "matrices"} <= {each["alt"] for each in images}
    assert re.search(r"mistakes: \w+", text)  # why that plot does not fit
    kinds = {each["src"].partition(";")[0] for each in images}
    assert kinds == {"data:image/png", "data:image/svg+xml"}
    svg = next(base64.b64decode(each["src"].partition(",")[2]) for each in images if "svg" in each["src"])
    assert b"<svg" in svg
    summary = json.loads((runs / "quick" / "summary.json").read_text(encoding="utf-8"))
    assert f"{summary['test_loss']:.6g}" in text
    assert "in_features: 4" in text
    assert "Linear(4 -> 5)" in text
    assert "versions.numba" in text
    assert re.search(r"Where a step's time goes.*Linear", text, re.DOTALL)
    assert "What differs" not in text
    assert [tag for tag, _ in reader.elements if tag in ("script", "link", "iframe")] == []


def test_several_runs_side_by_side(runs, tmp_path, capsys):
    target = tmp_path / "both.html"
    words = ["report", str(runs / "slow"), str(runs / "quick"), "--output", str(target), "--no-profile", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == {"page": str(target), "bytes": target.stat().st_size}
    text = " ".join(Reader(target.read_text(encoding="utf-8")).words)
    assert re.search(r"What differs\s+slow\s+quick\s+optimizer\.SGD\.lr\s+0\.01\s+0\.1\s", text)
    assert "Where a step's time goes" not in text
    assert "test_loss" in text


def test_what_is_missing_is_named(runs, tmp_path):
    import shutil

    shutil.copytree(runs / "quick", tmp_path / "cut")
    (tmp_path / "cut" / "summary.json").unlink()
    (tmp_path / "cut" / "model.safetensors").unlink()
    page = report_runs([tmp_path / "cut"], profile=False).read_text(encoding="utf-8")
    text = " ".join(Reader(page).words)
    assert "No run is finished." in text
    assert "not finished" in text
    assert "model.safetensors" in text
    assert 'alt="curves"' in page


def test_data_that_have_moved_are_named_as_files(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{k},{k * k % 7},{k % 5},{k % 4},{k % 3}\n" for k in range(60))
    Path("a.csv").write_text("x,y,z,w,label\n" + rows, encoding="utf-8")
    config = CONFIG.replace("Iris", "{CsvDataset: {path: a.csv, target: label, task: classification}}")
    Path("a.yaml").write_text(config, "utf-8")
    assert main(["train", "a.yaml", "--run", "run", "--quiet"]) == 0
    Path("a.csv").rename("b.csv")
    text = " ".join(Reader(report_runs(["run"]).read_text(encoding="utf-8")).words)
    assert text.count("a.csv: No such file or directory") >= 2  # of plots, and of the profile
    assert "Errno" not in text
    capsys.readouterr()
    for command in ("show", "evaluate"):
        assert main([command, "run"]) == 2
        assert "a.csv: No such file or directory\n  data that have moved" in capsys.readouterr().err
    assert main(["show", "run", "dataset.CsvDataset.path=b.csv"]) == 0


def test_errors(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"^report: there is no run, expected at least one run folder$"):
        report_runs([])
    assert main(["report", str(tmp_path)]) != 0
    assert "config.yaml" in capsys.readouterr().err


def test_texts_are_escaped_and_the_policy_allows_only_what_is_there():
    rows, picture = {HOSTILE: [HOSTILE]}, Picture(HOSTILE, reason=HOSTILE)
    run = RunReport(
        HOSTILE, True, HOSTILE, [picture, Picture(HOSTILE, b"x", "png")], HOSTILE, HOSTILE, {HOSTILE: HOSTILE}
    )
    page = make_page(Report(HOSTILE, [HOSTILE], rows, rows, picture, [run, run]))
    reader = Reader(page)
    assert [tag for tag, _ in reader.elements if tag == "script"] == []
    assert all(set(attributes) <= {"src", "alt"} for tag, attributes in reader.elements if tag == "img")
    assert "\u202e" not in page
    assert "\x1b" not in page
    policy = next(each["content"] for tag, each in reader.elements if "http-equiv" in each)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_plots_are_png_or_svg(runs, tmp_path, capsys):
    words = ["plot", str(runs / "quick"), "curves", "confusion", "--out", str(tmp_path), "--format", "svg"]
    assert main(words) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusion.svg", "curves.svg"]
    first = (tmp_path / "curves.svg").read_bytes()
    assert main(words) == 0
    assert (tmp_path / "curves.svg").read_bytes() == first
    assert first.startswith(b"<?xml")
    assert Path(tmp_path / "confusion.svg").read_bytes().rstrip().endswith(b"</svg>")
