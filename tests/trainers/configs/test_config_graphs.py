"""Graphs in YAML: mistakes by line and column, the resolved config, overrides, the schema."""

import json
import re

import pytest
from bprop.modules import Graph
from bprop.trainers.configs import ConfigError, parse_config
from bprop.trainers.configs.schema import make_config_schema

CONFIG = """\
dataset: Digits
model:
  Graph:
    nodes:
      body: [[Flatten, Linear: {in_features: 64, out_features: 8}], x]
      left: [Linear: {in_features: 8, out_features: 8}, body]
      right: [Share: {node: left}, left]
      sum:
        - CAddTable
        - [left, right]
      out: [Linear: {in_features: 8, out_features: 10}, sum]
    outputs: out
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
"""


def test_a_graph_comes_from_yaml():
    config = parse_config(CONFIG, ["model.Graph.nodes.left.0.Linear.bias=false"])
    net = config.build().model
    assert isinstance(net, Graph)
    assert [name for name, _ in net.named_parameters()][:3] == ["body.1.weight", "body.1.bias", "left.weight"]
    assert net.output_shape((5, 1, 8, 8)) == (5, 10)
    again = parse_config(config.resolved())
    assert again.resolved() == config.resolved()
    assert repr(again.build().model) == repr(net)


def test_an_encoder_and_a_decoder_come_from_yaml():
    config = parse_config(
        """\
dataset: Digits
model:
  - Flatten
  - Reshape: {shape: [8, 8]}
  - Graph:
      nodes:
        state: [[WithState: {layer: {LSTM: {input_size: 8, hidden_size: 4}}}, SelectTable: {index: 1}], x]
        decoded: [WithState: {layer: {LSTM: {input_size: 8, hidden_size: 4}}}, [x, state]]
        hidden: [[SelectTable: {index: 0}, LastStep, Linear: {in_features: 4, out_features: 10}], decoded]
      outputs: hidden
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
"""
    )
    net = config.build().model
    assert net.output_shape((5, 1, 8, 8)) == (5, 10)
    assert "2.state.0.layer.weight_ih_l0" in dict(net.named_parameters())


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        (
            "[left, right]",
            "[left, rihgt]",
            "10:18: model.Graph.nodes.sum.1.1",
            "reads 'rihgt', which there is not; did",
        ),
        (
            ", body]",
            ", bodi]",
            "6:57: model.Graph.nodes.left.1",
            "reads 'bodi', which there is not; did you mean 'body'",
        ),
        (", x]", ", out]", "6:57: model.Graph.nodes.left.1", "reads 'sum' reads 'left' reads 'body': a cycle"),
        ("outputs: out", "outputs: oot", "12:5: model.Graph.outputs", "outputs has 'oot', which there is not; did"),
        (
            "[left, right]",
            "[left, left]",
            "7:7: model.Graph.nodes.right",
            "nobody reads the node 'right', and it is no",
        ),
        ("node: left", "node: lift", "7:15: model.Graph.nodes.right.0", "shares the weights of 'lift', which there is"),
        ("out: [Lin", "copy: [Lin", "11:7: model.Graph.nodes.copy", "a node is called 'copy', expected a word that no"),
        ("      right:", "      left:", "7:7: model.Graph.nodes.left", "duplicate key (first on line 6)"),
        (
            "left: [Linear: {in_features: 8, out_features: 8}, body]",
            "left: [Linear: {in_features: 8, out_features: 7}, body]",
            "7:15: model.Graph.nodes.right.0.Share",
            "Linear(8 -> 7): x has shape (1, 7), expected (N, 8); in model.right",
        ),
        (
            "body: [[Flatten, Linear: {in_features: 64",
            "body: [[Flatten, Linear: {in_features: 63",
            "5:24: model.Graph.nodes.body.0.1.Linear",
            "Linear(63 -> 8): x has shape (1, 64), expected (N, 63); in model.body[1]",
        ),
        ("out: [Linear", "out: [Linaer", "11:13: model.Graph.nodes.out.0", "unknown class 'Linaer', expected Module"),
        (
            "sum:\n        - CAddTable\n        - [left, right]",
            "sum: CAddTable",
            "8:12: model",
            "expected tuple[Module",
        ),
    ],
)
def test_mistakes_are_told_with_their_place(old, new, place, message):
    assert old in CONFIG
    with pytest.raises(ConfigError, match=rf"(?m)^c\.yaml:{re.escape(place)}.*{re.escape(message)}"):
        parse_config(CONFIG.replace(old, new), source="c.yaml").build()


def test_the_schema_knows_what_a_node_is():
    schema = make_config_schema()["definitions"]["arguments of Graph"]
    node = json.dumps(schema)
    assert '"minItems": 2, "maxItems": 2' in node
    assert "#/definitions/Module or Share" in node
