"""A model as HTML for notebooks: its drawing, forward and backward, and a table of its parameters."""

from html import escape

import numpy as np

from ..core.module import Module
from .draw import draw

MOST_ROWS = 40
HINT = "bprop.trainers.show_net(net, loss, x, target, optimizer) shows every number of a training step"


def as_html(net: Module) -> str:
    """Format a model as HTML, every name in it escaped; where it cannot be drawn, its text stands for the drawing."""
    try:
        picture = draw(net).replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)
    except Exception:  # of a custom container, anything: a notebook shall show the model all the same
        picture = f"<pre>{escape(repr(net))}</pre>"
    rows = [format_row(name, array) for name, array in net.named_parameters()]
    more = f"<tr><td>and {len(rows) - MOST_ROWS} more</td></tr>" if len(rows) > MOST_ROWS else ""
    head = "<tr><th>parameter</th><th>shape</th><th>root mean square</th></tr>"
    table = f"<table>{head}{''.join(rows[:MOST_ROWS])}{more}</table>" if rows else ""
    count = f"<p>{net.parameter_count:,} parameters in {net.dtype}. {escape(HINT)}.</p>"
    return f"<div>{picture}{count}{table}</div>"


def format_row(name: str, array: np.ndarray) -> str:
    """Format a parameter as a row of the table."""
    size = float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0
    return f"<tr><td>{escape(name)}</td><td>{escape(str(array.shape))}</td><td>{size:.4g}</td></tr>"
