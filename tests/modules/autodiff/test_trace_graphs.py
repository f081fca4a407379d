"""Evaluation traces and runs on dual numbers as graphs: the books' figures, node by node and term by term."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from bprop.modules import Linear, Sequential, Tanh
from bprop.modules.autodiff import Untraceable, derive, trace_duals
from bprop.modules.display.draw_trace import make_trace_diagram

DOCS = Path(__file__).parents[3] / "docs"
SVG = "{http://www.w3.org/2000/svg}"
E2, S, C = math.exp(2), math.sin(2), math.cos(2)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Traces run plain Python anyway, and compiling takes its time."""
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)


def bishop(x1, x2):
    """Bishop and Bishop, Deep Learning, figure 8.4: x1 x2 + exp(x1 x2) - sin(x2), by v3 to v7."""
    v3 = x1 * x2
    v4 = np.sin(x2)
    v5 = np.exp(v3)
    v6 = v3 - v4
    return v5 + v6


def two_outputs(x1, x2):
    """The same with a second value, (x1 x2 - sin(x2)) exp(x1 x2)."""
    v3 = x1 * x2
    v4 = np.sin(x2)
    v5 = np.exp(v3)
    v6 = v3 - v4
    return v5 + v6, v5 * v6


def geron(x, y):
    """Géron, Hands-On Machine Learning, appendix D."""
    return x**2 * y + y + 2


def domke(x):
    """Domke, Automatic Differentiation and Neural Networks, eq. 2.3: exp(c) + sin(c), c = exp(x) + exp(x)²."""
    a = np.exp(x)
    b = a**2
    c = a + b
    return np.exp(c) + np.sin(c)


def diagram_of(derivation, **settings):
    numbers = derivation.tangents, derivation.adjoints
    return make_trace_diagram(derivation.trace, derivation.result, *numbers, **settings)


def lines_of(diagram):
    return [(node.title, node.text, node.note, *node.forward, *node.backward) for node in diagram.nodes]


def number(line):
    return float(line.split()[-1])


def test_bishops_figure_with_primal_tangent_and_adjoint():
    """Figures 8.4 and 8.5: v1 and v2 are named x1 and x2."""
    derivation = derive(bishop, 1.0, 2.0)
    derivation.tangent(x1=1.0)
    derivation.bprop()
    expected = [  # by hand
        ("x1", "input", 1, 1, 2 + 2 * E2),
        ("x2", "input", 2, 0, 1 + E2 - C),
        ("v3", "x1 * x2", 2, 2, 1 + E2),
        ("v4", "sin(x2)", S, 0, -1),
        ("v5", "exp(v3)", E2, 2 * E2, 1),
        ("v6", "v3 - v4", 2 - S, 2, 1),
        ("v7 = y", "v5 + v6", E2 + 2 - S, 2 + 2 * E2, 1),
    ]
    found = lines_of(diagram_of(derivation))
    for (title, text, value, tangent, adjoint), want in zip(found, expected, strict=True):
        assert (title, text) == want[:2]
        assert (value.split()[0], tangent.split()[0], adjoint.split()[0]) == ("value", "tangent", "adjoint")
        assert [number(value), number(tangent), number(adjoint)] == pytest.approx(want[2:], rel=1e-5)
    arrows = [(arrow.source, arrow.target) for arrow in diagram_of(derivation).arrows]
    assert arrows == [(0, 2), (1, 2), (1, 3), (2, 4), (2, 5), (3, 5), (4, 6), (5, 6)]


@pytest.mark.parametrize(("function", "at"), [(bishop, (1.0, 2.0)), (geron, (3.0, 4.0)), (domke, (0.3,))])
def test_the_terms_on_the_arrows_add_up(function, at):
    """A node's tangent is the sum of what its arrows carry forward, its adjoint of what they carry back."""
    derivation = derive(function, *at)
    derivation.tangent(**{name: 0.7 + k for k, name in enumerate(derivation.trace.inputs)})
    derivation.bprop()
    diagram = diagram_of(derivation)

    def product(label):
        return math.prod(map(float, label.split(" · ")))

    for k, node in enumerate(diagram.nodes):
        into = [product(arrow.label) for arrow in diagram.arrows if arrow.target == k]
        out = [product(arrow.back_label) for arrow in diagram.arrows if arrow.source == k]
        if node.text != "input":
            assert sum(into) == pytest.approx(number(node.forward[0]), rel=2e-3)
        if "= y" not in node.title:
            assert sum(out) == pytest.approx(number(node.backward[0]), rel=2e-3)


def test_two_outputs_are_marked():
    derivation = derive(two_outputs, 1.0, 2.0)
    gradients = derivation.bprop((0.0, 1.0))
    assert gradients["x1"] == pytest.approx(2 * E2 * (2 - S) + E2 * 2, rel=1e-14)
    titles = [line[0] for line in lines_of(diagram_of(derivation))]
    assert titles == ["x1", "x2", "v3", "v4", "v5", "v6", "v7 = y.0", "v8 = y.1"]
    assert [node.is_end for node in diagram_of(derivation).nodes] == [True, True, *[False] * 4, True, True]


def test_gerons_reverse_mode():
    """Figure D-3: 42 at (3, 4), and the adjoints 24 and 10; the constants 2 as nodes."""
    derivation = derive(geron, 3.0, 4.0)
    derivation.bprop()
    assert lines_of(diagram_of(derivation, constants=True)) == [
        ("x", "input", "value 3", "adjoint 24"),
        ("y", "input", "value 4", "adjoint 10"),
        ("v3", "x ** 2", "value 9", "adjoint 4"),
        ("v4", "v3 * y", "value 36", "adjoint 1"),
        ("v5", "v4 + y", "value 40", "adjoint 1"),
        ("v6 = y", "v5 + 2", "value 42", "adjoint 1"),
        ("2", "constant", ""),
        ("2", "constant", ""),
    ]
    arrows = diagram_of(derivation, constants=True).arrows
    assert [(a.source, a.target, a.backward) for a in arrows[-2:]] == [(6, 2, False), (7, 5, False)]


def test_gerons_dual_numbers():
    """Figure D-2: f(3 + ε, 4) = 42 + 24 ε, line by line as the run goes."""
    run = trace_duals(geron, 3.0, 4.0, directions=(1.0, 0.0))
    assert (run.y, run.dy) == (42, 24)
    shown = run.graph("mermaid").splitlines()
    assert shown[1:7] == [
        '  n0["x<br>input<br>3 + 1 ε"]',
        '  n1["y<br>input<br>4 + 0 ε"]',
        '  n2["v3<br>x ** 2<br>9 + 6 ε"]',
        '  n3["v4<br>v3 * y<br>36 + 24 ε"]',
        '  n4["v5<br>v4 + y<br>40 + 24 ε"]',
        '  n5["v6 = y<br>v5 + 2<br>42 + 24 ε"]',
    ]
    assert shown[7:9] == ['  n0 -->|"6 · 1"| n2', '  n2 -->|"4 · 6"| n3']
    assert "-.->" not in run.graph("mermaid")  # nothing goes back in forward mode
    assert "style=dashed" not in run.graph("dot")
    assert '"2<br>constant"' in run.graph("mermaid", constants=True)
    assert str(run).splitlines()[-1].split() == ["v6", "v5", "+", "2", "42", "24"]
    assert "9 - 6 ε" in trace_duals(geron, 3.0, 4.0, directions=(-1.0, 0.0)).graph("mermaid")


def test_domkes_graph():
    derivation = derive(domke, 0.0)
    derivation.bprop()
    diagram = diagram_of(derivation)
    texts = ["input", "exp(x)", "v2 ** 2", "v2 + v3", "exp(v4)", "sin(v4)", "v5 + v6"]
    assert [node.text for node in diagram.nodes] == texts
    assert number(diagram.nodes[0].backward[0]) == pytest.approx(3 * (math.exp(2) + math.cos(2)), rel=1e-5)
    assert [diagram.sums_gradients(k) for k in range(7)] == [False, True, False, True, False, False, False]


def test_runs_on_dual_arrays_follow_the_trace():
    x, v = np.array([0.3, -0.4, 1.2]), np.array([1.0, 0.5, -2.0])

    def function(x):
        return np.tanh(x).sum() * x[0], x * 2

    run, derivation = trace_duals(function, x, directions=(v,)), derive(function, x)
    for ours, theirs in zip(run.dy, derivation.tangent(x=v), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)
    np.testing.assert_allclose(run.y[1], 2 * x)
    assert run.graph("dot").count(" = y.1") == 3


def test_svg_has_both_passes_and_no_labels_on_each_other():
    derivation = derive(lambda x1, x2: x1 * x2 + np.exp(x1 * x2) - np.sin(x2), 1.0, 2.0)  # arrows cross
    derivation.tangent(x1=1.0)
    forward = ElementTree.fromstring(derivation.graph()).findall(f"{SVG}g")
    assert [panel.find(f"{SVG}text").text for panel in forward] == ["forward"]
    derivation.bprop()
    panels = ElementTree.fromstring(derivation.graph()).findall(f"{SVG}g")
    assert [panel.find(f"{SVG}text").text for panel in panels] == ["forward", "backward"]
    for panel, name in zip(panels, ("tangent 16.7781", "adjoint 16.7781"), strict=True):
        texts = [text.text for text in panel.iter(f"{SVG}text")]
        assert name in texts
        assert len(list(panel.iter(f"{SVG}path"))) == 10
        places = [(float(e.get("cx")), float(e.get("cy")), float(e.get("rx"))) for e in panel.iter(f"{SVG}ellipse")]
        assert len(places) == 10
        for k, (x, y, width) in enumerate(places):
            assert not any(abs(x - a) < width + w - 1 and abs(y - b) < 8 for a, b, w in places[:k])


def test_an_operand_that_is_read_twice_has_two_arrows():
    derivation = derive(lambda x: x * x, 3.0)
    derivation.bprop()
    svg = derivation.graph()
    paths = re.findall(r'<path d="(M[^"]+)" style="stroke:#2b6cb0"', svg)
    assert len(set(paths)) == 2
    assert svg.count(">Σ<") == 1
    assert derivation.graph("dot").count('label="Σ 3 · 1"') == 2


def test_arrays_and_modules_are_drawn():
    derivation = derive(Sequential(Linear(3, 2), Tanh()), np.ones((4, 3)))
    derivation.bprop(np.ones((4, 2)))
    diagram = diagram_of(derivation)
    assert [node.title for node in diagram.nodes[:4]] == ["x", "0.weight", "0.bias", "v4"]
    assert diagram.nodes[1].text == "input  (2, 3)"
    assert diagram.nodes[3].text == "x @ 0.weightᵀ  (4, 2)"
    assert [(a.source, a.target, a.label, a.back_label) for a in diagram.arrows[:2]] == [
        (0, 3, "(4, 3)", "(4, 3)"),
        (1, 3, "(2, 3)", "(2, 3)"),
    ]
    assert sum("= y" in node.title for node in diagram.nodes) == 8
    rows = derive(lambda x: np.exp(x @ np.ones((3, 2))), np.ones((4, 3)))
    assert '"(3, 2)<br>constant"' in rows.graph("mermaid", constants=True)
    assert len(diagram_of(derive(lambda x: 3.0, 1.0)).arrows) == 0


def test_a_drawing_is_written(tmp_path):
    derive(geron, 3.0, 4.0).graph().save(tmp_path / "geron.svg")
    assert ElementTree.parse(tmp_path / "geron.svg").getroot().tag == f"{SVG}svg"


def test_the_picture_in_the_documentation_is_current():
    derivation = derive(bishop, 1.0, 2.0)
    derivation.tangent(x1=1.0)
    derivation.bprop()
    assert (DOCS / "images" / "evaluation_trace.svg").read_text(encoding="utf-8") == derivation.graph()


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match=r"^graph: format is 'png', expected svg, dot or mermaid$"):
        derive(geron, 3.0, 4.0).graph("png")
    with pytest.raises(ValueError, match=r"^graph: there are 301 operations, expected at most 200; print it as a"):
        derive(lambda x: sum(x * k for k in range(1, 151)), 1.0).graph()
    with pytest.raises(ValueError, match=r"^trace_duals: there are 1 directions, expected 2$"):
        trace_duals(geron, 3.0, 4.0, directions=(1.0,))
    with pytest.raises(ValueError, match=r"^trace_duals: x has a direction of shape \(2,\), expected \(3,\)$"):
        trace_duals(lambda x: x, np.ones(3), directions=(np.ones(2),))
    with pytest.raises(Untraceable, match=r"cannot be traced: a float is asked for.*line \d+: .*math\.exp"):
        trace_duals(lambda x: math.exp(x), 1.0, directions=(1.0,))
