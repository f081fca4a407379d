"""Tables, what joins and splits them, and graphs of named nodes."""

import numpy as np
from bprop.modules import (
    CAddTable,
    CDivTable,
    CMaxTable,
    CMinTable,
    CMulTable,
    ConcatTable,
    CSubTable,
    Graph,
    JoinTable,
    Linear,
    MapTable,
    NarrowTable,
    Parallel,
    ParallelTable,
    Sequential,
    Share,
    SplitTable,
    StackTable,
    Tanh,
)

from .case import Case
from .core import linear
from .elementwise import tanh


def graph():
    return Graph(
        {
            "halves": (NarrowTable([2, 1]), "x"),
            "one": ([Linear(2, 3), Tanh()], "halves.0"),
            "two": (Linear(1, 3), "halves.1"),
            "sum": (CAddTable(), ["one", "two", "x"]),
            "twin": (Share("two"), "last"),
            "last": (Linear(3, 1), "sum"),
            "both": (JoinTable(), ["twin", "sum", "last"]),
        },
        outputs="both",
    )


def graph_by_hand(net, x):
    total = tanh(None, linear(net["one"][0], x[:, :2])) + linear(net["two"], x[:, 2:]) + x
    last = linear(net["last"], total)
    return np.concatenate([linear(net["twin"], last), total, last], axis=1)


def of_three(net, x):
    a, b, c = np.moveaxis(x, 1, 0)
    return np.concatenate(
        [a + b + c, a * b * c, np.maximum(np.maximum(a, b), c), np.minimum(np.minimum(a, b), c)], axis=1
    )


def of_two(net, x):
    return np.concatenate([x[:, 0] - x[:, 1], x[:, 0] / x[:, 1]], axis=1)


MODULES = [
    Case(
        "Graph",
        graph,
        (4, 3),
        (4, 7),
        "NarrowTable([2, 1], axis=1): x has shape (4, 7), expected size 3 along axis 1\nin model.halves",
        reference=graph_by_hand,
    ),
    Case(
        "CAddTable and its like",
        lambda: Sequential(SplitTable(3), ConcatTable(CAddTable(), CMulTable(), CMaxTable(), CMinTable()), JoinTable()),
        (4, 3, 2),
        (4, 7, 2),
        "SplitTable(3): x has shape (4, 7, 2), expected (N, 3, ...)\nin model[0]",
        reference=of_three,
    ),
    Case(
        "CSubTable and CDivTable",
        lambda: Sequential(SplitTable(2), ConcatTable(CSubTable(), CDivTable()), JoinTable()),
        (4, 2, 3),
        reference=of_two,
        domain=lambda x: x + np.sign(x),
    ),
    Case(
        "JoinTable",
        lambda: Sequential(NarrowTable([1, 2], axis=2), ConcatTable(JoinTable(2), JoinTable(2)), JoinTable(1)),
        (4, 2, 3),
        (4, 2, 7),
        "NarrowTable([1, 2], axis=2): x has shape (4, 2, 7), expected size 3 along axis 2\nin model[0]",
        reference=lambda net, x: np.concatenate([x, x], axis=1),
    ),
    Case(
        "Parallel",
        lambda: Parallel(Linear(3, 2), Tanh()),
        (4, 2, 3),
        (4, 3, 3),
        "Parallel(): x has shape (4, 3, 3), expected (N, 2, ...)",
        reference=lambda net, x: np.concatenate([linear(net[0], x[:, 0]), np.tanh(x[:, 1])], axis=1),
    ),
    Case(
        "ParallelTable",
        lambda: Sequential(SplitTable(2), ParallelTable(Linear(3, 2), Tanh()), JoinTable()),
        (4, 2, 3),
        (4, 2, 7),
        "Linear(3 -> 2): x has shape (4, 7), expected (N, 3)\nin model[1][0]",
        reference=lambda net, x: np.concatenate([linear(net[1][0], x[:, 0]), np.tanh(x[:, 1])], axis=1),
    ),
    Case(
        "MapTable",
        lambda: Sequential(SplitTable(3), MapTable(3, Linear(3, 2), Tanh()), StackTable()),
        (4, 3, 3),
        (4, 3, 7),
        "Linear(3 -> 2): x has shape (4, 7), expected (N, 3)\nin model[1][0][0]",
        reference=lambda net, x: np.stack([tanh(None, linear(net[1][0][0], x[:, k])) for k in range(3)], axis=1),
    ),
]
