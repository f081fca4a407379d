"""`bprop graph`."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from bprop.trainers.cli import main


def test_it_draws_the_net_of_a_config(tmp_path, capsys):
    assert main(["graph", "digits_mlp", "--format", "mermaid"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("flowchart TD\n")
    assert '-->|"(N, 1, 8, 8)"|' in text
    assert '["loss<br>SoftmaxCrossEntropy()"]' in text
    assert '-->|"(N,)"|' in text
    assert main(["graph", "digits_mlp", "--output", str(tmp_path / "net.svg"), "model.1.Linear.out_features=72"]) == 0
    assert "(N, 72)" in {each.text for each in ElementTree.parse(tmp_path / "net.svg").iter()}
    assert capsys.readouterr().out == ""


def test_the_output_names_the_format(tmp_path, capsys):
    assert main(["graph", "digits_mlp", "--output", str(tmp_path / "net.dot")]) == 0
    assert (tmp_path / "net.dot").read_text().startswith("digraph net {")
    with pytest.raises(SystemExit, match="2"):
        main(["graph", "digits_mlp", "--format", "png"])
    assert "error: --format png is written to a file, expected --output FILE" in capsys.readouterr().err


def test_a_png_has_what_the_svg_has(tmp_path):
    """Twice as many pixels, with arrows in the colours of both passes."""
    from PIL import Image

    for end in ("png", "svg"):
        assert main(["graph", "digits_mlp", "--output", str(tmp_path / f"net.{end}")]) == 0
    root = ElementTree.parse(tmp_path / "net.svg").getroot()
    image = np.asarray(Image.open(tmp_path / "net.png").convert("RGB")).astype(int)
    assert image.shape[:2] == (2 * int(root.get("height")), 2 * int(root.get("width")))
    space = "{http://www.w3.org/2000/svg}"
    for group in root.iter(f"{space}g"):
        x, y = map(float, re.findall(r"[\d.]+", group.get("transform")))
        for path in group.iter(f"{space}path"):  # its colour is there, shortly after its start
            start, (red, green, blue) = read_start(path), bytes.fromhex(path.get("style").removeprefix("stroke:#"))
            across, down = round(2 * (x + start[0])), round(2 * (y + start[1]))
            near = image[down - 12 : down + 13, across - 3 : across + 4]
            assert (np.abs(near - (red, green, blue)).max(axis=2) < 40).sum() > 10


def read_start(path):
    """The first point of a path."""
    return [float(number) for number in re.match(r"M([\d.]+) ([\d.]+)", path.get("d")).groups()]
