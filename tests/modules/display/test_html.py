"""Models in notebooks."""

from html.parser import HTMLParser

import numpy as np
from bprop.modules import Linear, Module, Sequential, Tanh


class Elements(HTMLParser):
    """The names of the elements of a text."""

    def __init__(self, text):
        super().__init__()
        self.names = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)


def test_a_net_has_a_drawing_and_a_table():
    net = Sequential(Linear(2, 3), Tanh())
    net[0].weight[:] = 2
    text = net._repr_html_()
    assert Elements(text).names.count("svg") == 1
    assert "<tr><td>0.weight</td><td>(3, 2)</td><td>2</td></tr>" in text
    assert "9 parameters in float32" in text


def test_many_parameters_are_cut():
    assert "<tr><td>and 10 more</td></tr>" in Sequential(*[Linear(1, 1) for _ in range(25)])._repr_html_()


def test_names_are_escaped():
    evil = type("<script>alert(1)</script>", (Tanh,), {})
    assert "script" not in Elements(Sequential(evil())._repr_html_()).names


def test_what_cannot_be_drawn_is_shown_as_text():
    class Broken(Module):
        def write_fprop(self, operations, *arguments):
            raise RuntimeError("this one")

        def output_shape(self, input_shape):
            return np.broadcast_shapes(input_shape)

    assert "<pre>Broken()</pre>" in Broken()._repr_html_()
