"""A directed acyclic graph of modules: named nodes, each with the names of its inputs.

Every module, the internal ops of branches included, is called in one straight line of the compiled step: a graph costs
what its modules cost.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.module import Module
from ..core.type_errors import describe_wrong_type
from ..engine.operations import Operations
from .container import Container, check_table
from .sequential import Sequential
from .share import Share


class Graph(Container):
    """A directed acyclic graph of modules.

        y_node      = module(what the node reads)
        grad_source = Σ over the readers of a source: the gradient that each has of it

        Graph({"one": (Linear(4, 8), "x"), "two": (Tanh(), "one"), "sum": (CAddTable(), ["one", "two"])}, outputs="sum")

    Nodes may stand in any order. A node that reads several sources gets them as a table; of a node that makes a table,
    `split.0` is the first array. With several inputs, x is a table of them, and with several outputs y is one.

    Shapes: those of the modules.
    Args: nodes: for each name a module, or a list of modules one after the other, and the name or names that it reads;
        outputs: name or names of what the graph makes; inputs: name or names of what it gets. `Share("node")` in place
        of a module is one with that node's weights, `Share("node", Linear(D, V))` a Linear with its weight.
    `net.node` and `net["node"]` are the module of a node; parameters have names such as `node.weight`.
    Errors: ValueError for a cycle, a name that is not there or there twice, a node or an input that nobody reads.
    Source: Goodfellow et al., Deep Learning, section 6.5.1 and algorithms 6.1 and 6.2 (in the draft: section 6.4.3,
        algorithms 6.3 and 6.4).
    """

    framework_base = True

    def __init__(
        self,
        nodes: dict[str, tuple[Module | list[Module] | Share, str | list[str]]],
        outputs: str | list[str],
        inputs: str | list[str] = "x",
    ):
        super().__init__()
        self._input_names, self._output_names = as_names(inputs), as_names(outputs)
        self._takes_tables = not isinstance(inputs, str), not isinstance(outputs, str)
        if not nodes:
            raise make_error("got no nodes, expected at least one", "nodes")
        twice = [name for names in (self._input_names, self._output_names) for name in names if names.count(name) > 1]
        if twice:
            raise make_error(f"the name {twice[0]!r} stands twice, expected each once", "inputs", "outputs")
        self._sources: dict[str, list[str]] = {}
        self._reads_table: dict[str, bool] = {}
        twins = {name: node[0].node for name, node in nodes.items() if is_share(node)}  # type: ignore[union-attr]
        for name in sorted(nodes, key=lambda name: name in twins):
            self._add_node(name, nodes[name], twins)
        self._sources = {name: self._sources[name] for name in nodes}
        vars(self)["_modules"] = {name: self._modules[name] for name in nodes}
        self._check_names()
        self._order = sort_nodes(self._sources)
        self._check_readers()
        scratch = Operations()  # makes all internal ops, and finds what nobody reads
        y = self.write_fprop(scratch, tuple(self._input_names) if self._takes_tables[0] else self._input_names[0])
        self.write_bprop(scratch, y)

    def _add_node(self, name: str, node: Any, twins: Mapping[str, Any]) -> None:
        if not isinstance(node, tuple | list) or len(node) != 2:
            raise make_error(f"the node {name!r} is {node!r:.60}, expected a module and what it reads", "nodes", name)
        if name in self._input_names:
            raise make_error(f"the node {name!r} has the name of an input", "nodes", name)
        if not (name.isidentifier() and not name.startswith("_")) or hasattr(self, name):
            raise make_error(f"a node is called {name!r}, expected a word that no attribute is called", "nodes", name)
        module, sources = node
        if name in twins:
            check_name(module.node, self._modules, f"the node {name!r} shares the weights of", "nodes", name, 0)
            module = module.make(self._modules[module.node])
        if isinstance(module, list | tuple):
            module = Sequential(*module)
        if not isinstance(module, Module):
            raise make_error(f"the node {name!r} has {describe_wrong_type(module, 'a Module')}", "nodes", name, 0)
        self._sources[name] = as_names(sources)
        self._reads_table[name] = not isinstance(sources, str)
        if not self._sources[name]:
            raise make_error(f"the node {name!r} reads nothing, expected at least one name", "nodes", name, 1)
        self._add_module(name, module)

    def _check_names(self) -> None:
        """Raise ValueError for names of unknown nodes."""
        known = [*self._input_names, *self._sources]
        for name, sources in self._sources.items():
            for k, source in enumerate(sources):
                place = (1, k) if self._reads_table[name] else (1,)
                check_name(source, known, f"the node {name!r} reads", "nodes", name, *place)
        for k, source in enumerate(self._output_names):
            check_name(source, known, "outputs has", "outputs", *([k] if self._takes_tables[1] else []))

    def _check_readers(self) -> None:
        """Raise ValueError for nodes that nothing reads."""
        read = {
            get_node_name(source) for sources in [*self._sources.values(), self._output_names] for source in sources
        }
        for name in (*self._input_names, *self._sources):
            if name not in read:
                kind, place = ("input", ("inputs",)) if name in self._input_names else ("node", ("nodes", name))
                raise make_error(f"nobody reads the {kind} {name!r}, and it is no output", *place)

    # -- both passes ---------------------------------------------------------------------------------------------

    def call_fprop(self, call, x):
        if self._takes_tables[0]:
            check_table(self, x, len(self._input_names))
        values = dict(zip(self._input_names, x if self._takes_tables[0] else (x,), strict=True))
        for name in self._order:
            sources = tuple(self._read_source(values, name, source) for source in self._sources[name])
            values[name] = call(self._modules[name], "fprop", sources if self._reads_table[name] else sources[0])
        vars(self)["_lengths"] = {name: len(y) for name, y in values.items() if type(y) is tuple}
        y = tuple(self._read_source(values, "outputs", source) for source in self._output_names)
        return y if self._takes_tables[1] else y[0]

    def call_bprop(self, call, grad_y):
        grads: dict[str, list] = {}
        for source, grad in zip(self._output_names, grad_y if self._takes_tables[1] else (grad_y,), strict=True):
            grads.setdefault(source, []).append(grad)
        for name in reversed(self._order):
            grad = call(self._modules[name], "bprop", self._sum_gradients_of(call, name, grads))
            for source, part in zip(self._sources[name], grad if self._reads_table[name] else (grad,), strict=True):
                grads.setdefault(source, []).append(part)
        totals = tuple(self._sum_gradients_of(call, name, grads) for name in self._input_names)
        return totals if self._takes_tables[0] else totals[0]

    def _read_source(self, values: Mapping[str, Any], reader: str, source: str):
        """Get the value of a source: a node's output, or one array of the table that it makes."""
        table, k = values[get_node_name(source)], source.partition(".")[2]
        if not k:
            return table
        if type(table) is not tuple or int(k) >= len(table):
            count = f"a table of {len(table)}" if type(table) is tuple else "one array"
            raise make_error(
                f"{reader!r} reads {source!r}, but {get_node_name(source)!r} makes {count}", "nodes", reader
            )
        return table[int(k)]

    def _sum_gradients_of(self, call, name: str, grads: Mapping[str, list]):
        """Sum the gradients of a node's result; of a table, of each array."""
        length = self._lengths.get(name)
        if length is None:
            return self.sum_gradients(call, f"_sum_{name}_", grads[name])
        whole = grads.get(name, [])
        parts = [[table[k] for table in whole] + grads.get(f"{name}.{k}", []) for k in range(length)]
        if [] in parts:
            raise make_error(f"nobody reads {name}.{parts.index([])}, and it is no output", "nodes", name)
        return tuple(self.sum_gradients(call, f"_sum_{name}_{k}_", part) for k, part in enumerate(parts))

    # -- showing -------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Module:
        if name not in self._sources:
            raise KeyError(f"Graph: there is no node {name!r}{suggest_name(name, self._sources)}")
        return self._modules[name]

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self):
        return iter(self._sources)

    def comment_on(self, name: str) -> list[str]:
        return [f"reads {', '.join(self._sources[name])}", *super().comment_on(name)]

    def extra_repr(self) -> str:
        return f"{', '.join(self._input_names)} -> {', '.join(self._output_names)}"


def is_share(node: Any) -> bool:
    """Whether a node is a `Share`: a module with another node's weights."""
    return isinstance(node, tuple | list) and bool(node) and isinstance(node[0], Share)


def as_names(names: str | list[str]) -> list[str]:
    """Convert one name or several to a list."""
    return [names] if isinstance(names, str) else list(names)


def get_node_name(source: str) -> str:
    """Get the node `node` of `node` or `node.1`."""
    return source.partition(".")[0]


def sort_nodes(sources: Mapping[str, list[str]]) -> list[str]:
    """Sort the nodes topologically, in the order of the arguments where possible; ValueError that names a cycle."""
    done: list[str] = []

    def visit(name: str, readers: tuple[str, ...]) -> None:
        if name in readers:
            cycle = " reads ".join(map(repr, [*readers[readers.index(name) :], name]))
            raise make_error(f"{cycle}: a cycle", "nodes", readers[-1], 1)
        if name in sources and name not in done:
            for source in sources[name]:
                visit(get_node_name(source), (*readers, name))
            done.append(name)

    for name in sources:
        visit(name, ())
    return done


def check_name(source: Any, known: Iterable[str], text: str, *place) -> None:
    """Raise ValueError unless `node` or `node.1` is an output of an existing node."""
    name, dot, k = source.partition(".") if isinstance(source, str) else (source, "", "")
    if name not in known or (dot and not k.isdecimal()):
        raise make_error(f"{text} {source!r}, which there is not{suggest_name(name, known)}", *place)


def suggest_name(name: Any, known: Iterable[str]) -> str:
    """Suggest the most similar known name, or list all of them."""
    close = difflib.get_close_matches(str(name), known := list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def make_error(text: str, *place: str | int) -> ValueError:
    """Make a ValueError whose attribute `argument` is the path in the arguments, for a config's line and column."""
    error = ValueError(f"Graph: {text}")
    vars(error)["argument"] = place
    return error
