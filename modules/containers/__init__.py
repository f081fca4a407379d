"""Modules made of modules: Sequential, Graph, Residual, Concat, tables, and the internal operations that these emit.

A layer that is built of others but shows one meaning (a gated unit, say) belongs in `layers`.
"""

from .arithmetic import CAddTable, CDivTable, CMaxTable, CMinTable, CMulTable, CSubTable
from .concat import Concat
from .graph import Graph
from .join_split import JoinTable, NarrowTable, SelectTable, SplitTable, StackTable
from .padded import Padded
from .residual import Residual
from .sequential import Sequential
from .share import Share
from .tables import ConcatTable, MapTable, Parallel, ParallelTable

__all__ = [
    "CAddTable",
    "CDivTable",
    "CMaxTable",
    "CMinTable",
    "CMulTable",
    "CSubTable",
    "Concat",
    "ConcatTable",
    "Graph",
    "JoinTable",
    "MapTable",
    "NarrowTable",
    "Padded",
    "Parallel",
    "ParallelTable",
    "Residual",
    "SelectTable",
    "Sequential",
    "Share",
    "SplitTable",
    "StackTable",
]
