"""Drawings of models: the nodes, the arrows with their shapes, what is summed, and a layout without overlaps."""

import itertools
import re
from xml.etree import ElementTree

import pytest
from bprop.modules import (
    GRU,
    CAddTable,
    Concat,
    Graph,
    Identity,
    JoinTable,
    Linear,
    LossPart,
    MapTable,
    MeanSquaredError,
    MultiLoss,
    Parallel,
    Residual,
    SelectTable,
    Sequential,
    Share,
    SoftmaxCrossEntropy,
    SplitTable,
    Tanh,
    WithState,
)
from bprop.modules.display.drawing import make_diagram

SVG = "{http://www.w3.org/2000/svg}"


def net():
    return Graph(
        {
            "one": (Linear(3, 4), "x"),
            "two": (Tanh(), "one"),
            "sum": (CAddTable(), ["two", "one"]),
        },
        outputs="sum",
    )


def test_dot():
    assert net().graph("dot", (5, 3)).splitlines()[3:10] == [
        '  n0 [label="x\\ninput"]',
        '  n1 [label="one\\nLinear(3 -> 4)\\n16 parameters"]',
        '  n2 [label="two\\nTanh()"]',
        '  n3 [label="sum\\nCAddTable()"]',
        '  n4 [label="y\\noutput"]',
        '  n0 -> n1 [label="(N, 3)"]',
        '  n1 -> n0 [label="grad", style=dashed, color="#b04a2f", fontcolor="#b04a2f", constraint=false]',
    ]


def test_mermaid():
    assert net().graph("mermaid", (5, 3)) == (
        "flowchart TD\n"
        '  n0["x<br>input"]\n'
        '  n1["one<br>Linear(3 -&gt; 4)<br>16 parameters"]\n'
        '  n2["two<br>Tanh()"]\n'
        '  n3["sum<br>CAddTable()"]\n'
        '  n4["y<br>output"]\n'
        '  n0 -->|"(N, 3)"| n1\n'
        '  n1 -.->|"grad"| n0\n'
        '  n1 -->|"(N, 4)"| n2\n'
        '  n2 -.->|"Σ grad"| n1\n'
        '  n2 -->|"(N, 4)"| n3\n'
        '  n3 -.->|"grad"| n2\n'
        '  n1 -->|"(N, 4)"| n3\n'
        '  n3 -.->|"Σ grad"| n1\n'
        '  n3 -->|"(N, 4)"| n4\n'
        '  n4 -.->|"grad"| n3\n'
    )
    assert '-->|"' not in net().graph("mermaid")  # no shapes where none is given


def boxes(svg):
    """The boxes of the forward panel as (left, top, right, bottom)."""
    panel = ElementTree.fromstring(svg).find(f"{SVG}g")
    result = []
    for rect in panel.iter(f"{SVG}rect"):
        x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        result.append((x, y, x + width, y + height))
    return result


def test_svg_has_both_passes():
    svg = net().graph("svg", (5, 3))
    assert svg._repr_svg_() == svg
    assert net().graph("dot")._repr_svg_() is None
    panels = ElementTree.fromstring(svg).findall(f"{SVG}g")
    texts = [[text.text for text in panel.iter(f"{SVG}text")] for panel in panels]
    assert [entry[0] for entry in texts] == ["forward", "backward"]
    assert [entry.count("Σ") for entry in texts] == [0, 1]
    for panel, entry in zip(panels, texts, strict=True):
        assert len(list(panel.iter(f"{SVG}rect"))) == 5
        assert len(list(panel.iter(f"{SVG}path"))) == 5
        assert {"Linear(3 -> 4)", "(N, 3)", "(N, 4)", "16 parameters"} <= set(entry)


def test_a_chain_is_straight_and_its_target_beside_it():
    chain = Sequential(Linear(3, 40), Tanh(), Linear(40, 2))
    *straight, target, last = boxes(chain.graph("svg", (5, 3), MeanSquaredError(), (5, 2)))
    assert {round((left + right) / 2, 1) for left, _, right, _ in [*straight, last]} == {(last[0] + last[2]) / 2}
    assert target[0] > straight[-1][2]
    assert target[1] == straight[-1][1]


def test_chains_between_branches_are_straight():
    """Also where the boxes of the branches differ in width, and where one branch is longer."""
    short, long = Sequential(Linear(3, 3), Tanh()), Sequential(Linear(3, 3), Tanh(), Linear(3, 3), Tanh())
    svg = Sequential(Linear(3, 3), Concat(short, long), Linear(6, 2)).graph("svg", (5, 3))
    panel = ElementTree.fromstring(svg).find(f"{SVG}g")
    lines = [[float(each) for each in re.findall(r"[\d.]+", path.get("d"))] for path in panel.iter(f"{SVG}path")]
    starts = [(line[0], line[-2]) for line in lines]
    assert sum(abs(first - last) < 0.2 for first, last in starts) == 7  # all but those that branch and merge
    assert len(starts) == 11


def test_boxes_do_not_overlap_and_stand_below_what_they_read():
    wide = Sequential(Concat(*(Sequential(Linear(3, 3), *(Tanh() for _ in range(k))) for k in range(5))), Linear(15, 2))
    deep = Sequential(Linear(3, 3), Residual(Linear(3, 3), Tanh(), Linear(3, 3)), Concat(Identity(), Linear(3, 1)))
    for made in (wide, deep):
        for (a, b, c, d), (e, f, g, h) in itertools.combinations(boxes(made.graph("svg", (5, 3))), 2):
            assert c < e or g < a or d < f or h < b
        rectangles = boxes(made.graph("svg", (5, 3)))
        for arrow in make_diagram(made).arrows:
            assert rectangles[arrow.source][3] < rectangles[arrow.target][1]


def test_what_containers_do_is_seen():
    made = Sequential(Residual(Linear(3, 3)), Concat(Linear(3, 2), Tanh()))
    shown = make_diagram(made, (5, 3))
    assert [f"{node.title} {node.text}" for node in shown.nodes] == [
        "x input",
        "[0][0] Linear(3 -> 3)",
        "[0] Residual: sum",
        "[1][0] Linear(3 -> 2)",
        "[1][1] Tanh()",
        "[1] Concat: side by side",
        "y output",
    ]
    assert [(a.source, a.target, a.label) for a in shown.arrows] == [
        (0, 1, "(N, 3)"),
        (1, 2, "(N, 3)"),
        (0, 2, "(N, 3)"),
        (2, 3, "(N, 3)"),
        (2, 4, "(N, 3)"),
        (3, 5, "(N, 2)"),
        (4, 5, "(N, 3)"),
        (5, 6, "(N, 5)"),
    ]


def test_a_layer_with_a_state_is_one_node():
    net = Graph(
        inputs=["x", "h"],
        nodes={"gru": (WithState(GRU(2, 3)), ["x", "h"]), "last": (SelectTable(1), "gru")},
        outputs="last",
    )
    diagram = make_diagram(net, ((4, 5, 2), (4, 3)))
    nodes = {node.title: k for k, node in enumerate(diagram.nodes)}
    arrows = {(arrow.source, arrow.target): arrow.shape for arrow in diagram.arrows}
    assert arrows[nodes["x"], nodes["gru"]] == (4, 5, 2)
    assert arrows[nodes["h"], nodes["gru"]] == (4, 3)
    assert (4, 3) in [shape for (source, _), shape in arrows.items() if source == nodes["gru"]]


def test_arrays_of_a_table_are_told_apart():
    shown = make_diagram(Sequential(SplitTable(2), MapTable(2, Linear(3, 2), Tanh()), JoinTable()), (5, 2, 3))
    assert not any(shown.sums_gradients(k) for k in range(len(shown.nodes)))
    assert [node.note for node in shown.nodes if node.note] == ["8 parameters", "the weights of [1][0][0]"]
    several = Graph({"a": (Linear(3, 2), "l"), "b": (Share("a"), "r")}, ["b", "a"], ["l", "r"])
    assert [n.title for n in make_diagram(several, ((5, 3), (5, 3))).nodes] == ["l", "r", "a", "b", "b", "a"]
    assert [n.title for n in make_diagram(several).nodes] == ["l", "r", "a", "b", "b", "a"]


def test_layers_that_are_taken_apart():
    shown = make_diagram(Parallel(Linear(3, 2), Tanh()), (5, 2, 3))
    assert [node.text for node in shown.nodes][1:-1] == [
        "Parallel: layers",
        "Linear(3 -> 2)",
        "Tanh()",
        "Parallel: side by side",
    ]
    assert [arrow.label for arrow in shown.arrows] == ["(N, 2, 3)", "(N, 3)", "(N, 3)", "(N, 2)", "(N, 3)", "(N, 5)"]


def two_losses():
    parts = [
        LossPart(SoftmaxCrossEntropy(), "0:3", 0, name="kind"),
        LossPart(MeanSquaredError(), [3], [1], weight=0.5),
    ]
    return MultiLoss(parts)


def test_a_loss_is_drawn():
    """After the net; a target has no gradient, and lies beside the output."""
    shown = net().graph("mermaid", (5, 3), SoftmaxCrossEntropy(), (5,))
    assert shown.endswith(
        '  n5["t<br>target"]\n  n6["loss<br>SoftmaxCrossEntropy()"]\n' + shown[shown.index("  n0 -->") :]
    )
    after = ['  n4 -->|"(N, 4)"| n6', '  n6 -.->|"grad"| n4', '  n5 -->|"(N,)"| n6', ""]
    assert shown.split("\n")[-4:] == after
    assert '  n5 -> n6 [label="(N,)"]\n}' in net().graph("dot", (5, 3), SoftmaxCrossEntropy(), (5,))
    rectangles = boxes(net().graph("svg", (5, 3), SoftmaxCrossEntropy(), (5,)))
    assert rectangles[5][1] == rectangles[4][1]
    assert rectangles[6][1] > rectangles[5][3]


def test_parts_of_a_loss_are_drawn():
    shown = make_diagram(net(), (5, 3), two_losses(), (5, 2))
    assert [(node.title, node.text, node.note) for node in shown.nodes[5:]] == [
        ("t", "target", ""),
        ("kind", "SoftmaxCrossEntropy()", "1 × loss(y[0:3], target[0])"),
        ("loss 1", "MeanSquaredError()", "0.5 × loss(y[3], target[1])"),
        ("loss", "MultiLoss: sum", ""),
    ]
    assert [(a.source, a.target, a.label, a.backward) for a in shown.arrows[5:]] == [
        (4, 6, "(N, 3)", True),
        (5, 6, "(N,)", False),
        (4, 7, "(N, 1)", True),
        (5, 7, "(N, 1)", False),
        (6, 8, "", True),
        (7, 8, "", True),
    ]
    assert [k for k in range(9) if shown.sums_gradients(k)] == [1, 4]
    svg = ElementTree.fromstring(net().graph("svg", (5, 3), two_losses(), (5, 2)))
    forward, backward = (len(list(panel.iter(f"{SVG}path"))) for panel in svg.findall(f"{SVG}g"))
    assert (forward, backward) == (11, 9)
    dot = net().graph("dot", (5, 3), two_losses(), (5, 2))
    assert dot.count("style=dashed") == 9
    assert 'n6 [label="kind\\nSoftmaxCrossEntropy()\\n1 × loss(y[0:3], target[0])"]' in dot
    mermaid = net().graph("mermaid", loss=two_losses())
    assert mermaid.endswith('  n6 --> n8\n  n8 -.->|"grad"| n6\n  n7 --> n8\n  n8 -.->|"grad"| n7\n')


def test_a_picture_is_written(tmp_path):
    net().graph("svg", (5, 3)).save(tmp_path / "net.svg")
    assert ElementTree.parse(tmp_path / "net.svg").getroot().tag == f"{SVG}svg"


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match=r"^graph: format is 'png', expected svg, dot or mermaid$"):
        net().graph("png")
    with pytest.raises(ValueError, match=re.escape("Linear(3 -> 4): x has shape (5, 7), expected (N, 3)")):
        net().graph("svg", (5, 7))
    with pytest.raises(ValueError, match=r"^SoftmaxCrossEntropy\(\): y has shape \(5, 4\) and target \(4,\)"):
        net().graph("svg", (5, 3), SoftmaxCrossEntropy(), (4,))
    with pytest.raises(
        ValueError, match=r"^graph: the model makes a table of 2 arrays, expected one array for the loss$"
    ):
        Sequential(SplitTable(2)).graph("svg", (5, 2, 3), SoftmaxCrossEntropy())
