"""The documentation as a site: docstrings, equations, links, notebooks, and an example for each public name."""

import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bprop.modules import Module

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "site"))
build, diagrams, docstrings, equations, gaps, reference = (
    importlib.import_module(name) for name in ("build", "diagrams", "docstrings", "equations", "gaps", "reference")
)


def test_each_public_name_has_an_example_and_no_other():
    assert set(reference.read_examples()) == {name for names in reference.list_names().values() for name, _ in names}


def test_each_docstring_has_shapes_arguments_and_errors():
    names = [each for names in reference.list_names().values() for each in names]
    docs = {name.rsplit(".", 1)[1]: inspect.getdoc(thing) or "" for name, thing in names if callable(thing)}
    things = {name.rsplit(".", 1)[1]: thing for name, thing in names if callable(thing)}
    found = {name: gaps.find_gaps(name, thing, docs) for name, thing in things.items()}
    assert {name: each for name, each in found.items() if each} == {}


def test_gaps_of_a_docstring_are_found():
    class Gappy(Module):
        """Args: size: of something."""

        def __init__(self, size, shape):
            raise ValueError(size)

    assert gaps.find_gaps("Gappy", Gappy, {"Gappy": Gappy.__doc__}) == ["Shapes", "argument shape", "Errors"]
    docs = {"Gappy": "Shapes, Args: as of Other.", "Other": "Args: size, shape: two. Errors: none"}
    assert gaps.find_gaps("Gappy", Gappy, docs) == ["Errors"]


def test_an_example_gets_the_imports_of_its_names_alone():
    code = "print(np.abs(ReLU()(x)))"
    imports = {"np": "import numpy as np", "ReLU": "bprop.modules", "Tanh": "bprop.modules"}
    assert reference.add_imports(code, imports) == f"import numpy as np\nfrom bprop.modules import ReLU\n\n{code}"
    assert reference.run("print(1 + 1)") == "2\n"


def test_names_are_grouped_by_the_folder_that_defines_them():
    from bprop.modules import ReLU, Sequential
    from bprop.trainers import Adam

    assert reference.find_group("bprop.modules", ReLU) == "modules.layers.activations"
    assert reference.find_group("bprop.modules", Sequential) == "modules.containers"
    assert reference.find_group("bprop.trainers", Adam) == "trainers.optimizers"


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("y           = x Wᵀ + b", ["<i>y</i>", "=", "<i>x</i> <i>Wᵀ</i> +~<i>b</i>"]),
        ("grad_b      += Σₙ grad_y[n]", ["grad<sub>b</sub>", "+=", "<i>Σₙ</i>~grad<sub>y</sub>[<i>n</i>]"]),
        ("a -> b   c = -d", ["<i>a</i>", "→", "<i>b</i>", "<span><i>c</i> = −<i>d</i></span>"]),
        ("a   b   c", ["<i>a</i>", "<span><i>b</i></span> <span><i>c</i></span>"]),
        ("W_hhᵀ grad_h' = ns_steps", ["<i>W</i><sub>hh</sub>ᵀ grad<sub>h</sub>′", "=", "ns_steps"]),
        ("y = x (a - b)", ["<i>y</i>", "=", "<i>x</i> (<i>a</i>~−~<i>b</i>)"]),
        ("c' = f(a = 1)", ["<i>c</i>′", "=", "<i>f</i>(<i>a</i>~=~1)"]),
        ("x <script> & y", ["<i>x</i> &lt;script&gt; &amp; <i>y</i>"]),
    ],
)
def test_equations_are_typeset(line, cells):
    html = equations.typeset([line])
    assert [cell.replace("\u00a0", "~") for cell in re.findall(r"<td[^>]*>(.*?)</td>", html)] == cells
    assert html.startswith('<table class="equations" role="math" aria-label="')


def test_a_line_far_to_the_right_goes_on_with_the_comment_above():
    html = equations.typeset(["y = a x      a: the slope,", "                    which is learned"])
    assert re.findall(r"<tr>(.*?)</tr>", html)[1].startswith('<td colspan="3" class="text"></td>')


DOCSTRING = """Affine map of `x`.

    y = x Wᵀ + b

It is *linear*, as `Linear`.

    layer = Linear(3, 4)
    layer.fprop(x)

Shapes: x (N, in),
    y (N, out).
Errors: ValueError for sizes below 1."""


def test_docstrings_become_fields_equations_and_code():
    text = "\n".join(docstrings.rewrite(DOCSTRING.split("\n")))
    assert "Affine map of ``x``." in text
    assert "It is \\*linear\\*, as `Linear`." in text
    assert '.. raw:: html\n\n   <table class="equations"' in text
    assert "::\n\n    layer = Linear(3, 4)\n    layer.fprop(x)\n" in text
    assert ":Shapes: x (N, in),\n    y (N, out).\n:Errors: ValueError for sizes below 1." in text


def test_sections_as_of_another_name_are_links():
    text = docstrings.rewrite(["Mean.", "", "Args, Errors: as of AvgPool2d, with one", "    size each."])
    assert text == ["", "Mean.", "", ":Args, Errors: as of `AvgPool2d`, with one", "    size each.", ""]


def test_arguments_are_a_list_if_there_are_several():
    text = docstrings.rewrite(["Args: x, y: sizes; at least 1; bias: whether", "    to add b.", "Errors: none."])
    assert text[:4] == [":Args:", "    - x, y: sizes; at least 1", "    - bias: whether to add b.", ":Errors: none."]
    assert docstrings.rewrite(["Args: x: a size."])[0] == ":Args: x: a size."


def test_diagrams_are_as_they_are_drawn():
    """`python docs/site/diagrams.py` writes them; they have no empty line, which would end them in Markdown."""
    for draw in diagrams.DRAWINGS:
        svg = draw().svg()
        path = diagrams.FOLDER / f"{draw().name}.svg"
        assert path.read_text("utf-8") == svg
        assert ElementTree.fromstring(svg).get("class") == "diagram"
        assert "\n\n" not in svg
        assert diagrams.set_in_page(path, "what").startswith(
            '<figure class="diagram">\n<svg role="img" aria-label="what" '
        )
    css = (ROOT / "docs" / "site" / "style" / "bprop.css").read_text("utf-8")
    for k, theme in enumerate(("light", "dark")):
        colours = "; ".join(f"--{name}: {pair[k]}" for name, pair in diagrams.COLOURS.items())
        assert f'html[data-theme="{theme}"] svg.diagram {{ {colours} }}' in css


def test_links_lead_to_pages_and_to_files_of_the_site(tmp_path):
    assembly = build.Assembly(tmp_path)
    page = ROOT / "docs" / "training.md"
    text = "[a](layers.md#x) [b](../README.md) [c](../examples/swish.py) `[d](no.md)` [e](https://x.org)"
    turned = assembly.turn_links(page, Path("training.md"), text)
    assert (
        turned == "[a](layers.md#x) [b](first_steps.md) [c](files/examples/swish.py.md) `[d](no.md)` [e](https://x.org)"
    )
    with pytest.raises(FileNotFoundError, match=r"docs/training\.md: a link to no\.md, which is not there"):
        assembly.turn_links(page, Path("training.md"), "[d](no.md)")


def test_every_link_of_every_page_leads_somewhere(tmp_path):
    build.Assembly(tmp_path).assemble()
    assert "lessons/index" in (tmp_path / "index.md").read_text(encoding="utf-8")


def test_lessons_are_notebooks_too():
    text = (ROOT / "docs" / "lessons" / "linear.md").read_text(encoding="utf-8")
    notebook = json.loads(build.make_notebook(text))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert "\n\n".join(code) == "\n\n".join(re.findall(r"^```python\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL))
    assert all("```text" not in "".join(cell["source"]) for cell in notebook["cells"])
