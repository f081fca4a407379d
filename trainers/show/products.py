"""Gradients of weights that a layer computes as sums of products over positions, and the factors of these products.

    grad_weight[i, j] = Σₚ δ[p, i] x[p, j],   grad_bias[i] = Σₚ δ[p, i]

Recurrent layers sum over time steps, attention over the steps of its sequences, and both compute δ inside of bprop,
where no other layer sees it. An observer listens to the layer's own methods while bprop runs once more.

Source: Goodfellow et al., Deep Learning, eqs. 10.26 to 10.28, of recurrent layers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...modules.layers.attention.attention import Attention
from ...modules.layers.recurrent.cell_ops import CellOp
from ...modules.layers.recurrent.parameters import KINDS, name_parameters
from ...modules.layers.recurrent.recurrent import Recurrent


@dataclass(eq=False)
class Factor:
    """The numbers (P, J) of P positions, or (..., J) where these have several axes; `text` says what they are.

    They may be those of rows of an array of the step, the `source`, as a matrix of its last axis, from a `column` on:
    number (p, j) is source[rows[p], column + j]; rows[p] is -1 where the source has no such row.
    """

    numbers: np.ndarray
    name: str
    text: str
    source: str = ""
    rows: np.ndarray | None = None  # None: all in their order
    column: int = 0


@dataclass(eq=False)
class Product:
    """From row `first` on, a parameter's gradient is Σₚ left[p] right[p]ᵀ, or of a bias Σₚ left[p]."""

    parameter: str
    left: Factor
    right: Factor | None = None
    first: int = 0


class Observer:
    """Listens to a module's methods while bprop runs, and then tells the products of its gradients.

    Args: module; forward, y, backward: the names of what fprop reads and makes, and of what bprop reads; values: the
        arrays of the step by their names.
    """

    def __init__(
        self, module: Any, forward: tuple[str, ...], y: str, backward: tuple[str, ...], values: dict[str, Any]
    ):
        self.module, self.forward, self.y, self.backward, self.values = module, forward, y, backward, values

    def list_methods(self) -> dict[str, Callable[..., None]]:
        """The methods to listen to, each with a function of the same arguments."""
        raise NotImplementedError

    def list_products(self) -> list[Product]:
        """The products of the run that has been heard."""
        raise NotImplementedError

    def hear(self, run: Callable[[], Any]) -> list[Product]:
        """Run bprop by `run`, and list its products."""
        methods = self.list_methods()
        try:
            for name, take in methods.items():
                vars(self.module)[name] = join_calls(take, getattr(self.module, name))
            run()
        finally:
            for name in methods:
                vars(self.module).pop(name, None)
        return self.list_products()


def join_calls(take: Callable[..., None], method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that calls `take` before it runs."""

    def joined(*arguments):
        take(*arguments)
        return method(*arguments)

    return joined


class RecurrentObserver(Observer):
    """Of RNN, LSTM and GRU: δ are the gradients of the gates before their functions, of each layer and direction."""

    def list_methods(self):
        self.spans: dict[int, list[tuple[np.ndarray, ...]]] = {}
        return {"add_weight_gradients": self.take}

    def take(self, layer, begin, end):
        """Copy the factors of a span of steps: places of its rows in y, δ, δ of the products with h, x, h."""
        module = self.module
        for direction in range(module.directions):
            k, region = layer * module.directions + direction, direction * module.samples * module.span
            first, last = module.find_rows(1 - direction, begin, end)
            rows, count = slice(first, last), last - first
            states = k * (module.rows + module.samples)
            below = module.hidden[(layer - 1) * module.rows :][rows] if layer else module.inputs[rows]
            parts = (
                module.places[rows], module.grads[region : region + count], module.find_state_grads(region, count),
                below, module.states[states:][rows],
            )  # fmt: skip
            self.spans.setdefault(k, []).append(tuple(np.array(each) for each in parts))

    def list_products(self):
        kinds = [name_parameters(kind, self.module.num_layers, self.module.directions) for kind in KINDS]
        products = []
        for k, spans in sorted(self.spans.items()):
            places, *numbers = (np.concatenate(each) for each in zip(*spans, strict=True))
            order = np.argsort(places)
            products += self.describe_layer(k, [kind[k] for kind in kinds], places[order], *(n[order] for n in numbers))
        return products

    def describe_layer(self, k, parameters, places, gates, outer, below, states):
        """Describe the sums of one layer and direction, whose positions are the rows `places` of x and y."""
        module, direction = self.module, k % self.module.directions
        layer = k // module.directions
        ending = f"layer {layer}" + (" backward in time" if direction else "")
        shape = (module.samples, module.steps) if len(places) == module.samples * module.steps else (len(places),)
        text = f"the gradient of a gate of {ending} before its function, by sample, step, and row of the weights"
        delta = delta_state = Factor(gates.reshape(*shape, -1), f"δ of {ending}", text)
        if type(module).find_state_grads is not Recurrent.find_state_grads:  # of a GRU
            text = f"the gradient of what a gate of {ending} gets of W_hh h + b_hh, by sample, step, and row of W_hh"
            delta_state = Factor(outer.reshape(*shape, -1), f"δ_h of {ending}", text)
        if layer:
            text = f"an output of layer {layer - 1}, which layer {layer} reads"
            x = Factor(below.reshape(*shape, -1), f"h of layer {layer - 1}", text)
        else:
            x = Factor(below, "x", "", self.forward[0], places)
        state = Factor(states.reshape(*shape, -1), f"h before, of {ending}", f"the state of {ending} before a step")
        if layer + 1 == module.num_layers:
            state.source, state.column = self.y, direction * module.hidden_size
            state.rows = self.find_earlier(places, direction, states, state.column)
        products = [Product(parameters[0], delta, x), Product(parameters[1], delta_state, state)]
        return products + ([Product(parameters[2], delta), Product(parameters[3], delta_state)] * module.has_bias)

    def find_earlier(self, places, direction, states, column):
        """The rows of y that are the states before the steps; -1 before the first one."""
        y, by = self.values[self.y], 1 if direction else -1
        step = places % y.shape[1] + by
        rows = np.where((step >= 0) & (step < y.shape[1]), places + by, -1)
        known = y.reshape(-1, y.shape[2])[rows, column : column + states.shape[1]]
        return np.where((known == states).all(axis=1), rows, -1)


class CellObserver(Observer):
    """Of RNNCell, LSTMCell and GRUCell: one step, a sum over the samples."""

    def list_methods(self):
        return {"add_gradients": self.take}

    def take(self, gates, outer):
        """Copy δ, and δ of the product with h where that is another one."""
        self.is_one, self.gates, self.outer = gates is outer, np.array(gates), np.array(outer)

    def list_products(self):
        delta = delta_state = Factor(self.gates, "δ", "the gradient of a gate before its function, by sample and row")
        if not self.is_one:  # of a GRU
            delta_state = Factor(
                self.outer, "δ_h", "the gradient of what a gate gets of W_hh h + b_hh, by sample and row"
            )
        x, h = (Factor(np.array(self.values[name]), "x", "", name) for name in self.forward[:2])
        products = [Product("weight_ih", delta, x), Product("weight_hh", delta_state, h)]
        return products + ([Product("bias_ih", delta), Product("bias_hh", delta_state)] * self.module.has_bias)


class AttentionObserver(Observer):
    """Of MultiheadAttention and CrossAttention: sums over the steps of all samples, those of padding left out.

    δ of the projections in are the gradients of q, k and v; that of the projection out is grad_y, and x the heads.
    """

    def list_methods(self):
        self.inner: list[Product] = []
        return {"project_back": self.take_inputs, "write_grad_heads": self.take_outputs}

    def take_inputs(self, x, first, grad):
        """The rows from `first` on of in_proj: of q, k and v of a sequence, or of q, or of k and v of a memory."""
        is_memory = first > 0
        source = self.forward[is_memory]
        rows = self.find_rows(source, len(x))
        what = "k or v" if is_memory else "q, k or v" if grad.shape[1] > self.module.embed_dim else "q"
        text = f"the gradient of a number of {what}, by step and row of in_proj_weight" + f" less {first}" * is_memory
        delta = Factor(self.by_steps(grad, source), f"δ of {what}", text)
        self.add("in_proj", delta, Factor(np.array(x), "x", "", source, rows), first)

    def take_outputs(self, heads, grad, out):
        """The projection out, of the heads side by side."""
        source = self.backward[0]
        delta = Factor(np.array(grad), "grad_y", "", source, self.find_rows(source, len(grad)))
        heads = Factor(self.by_steps(heads, source), "o", "an output of a head, by step; the heads stand side by side")
        self.add("out_proj.", delta, heads)

    def add(self, name, delta, x, first=0):
        """Add the products of a projection: of its weight, and of its bias if it has one."""
        ending = "" if name.endswith(".") else "_"
        self.inner.append(Product(f"{name}{ending}weight", delta, x, first))
        if self.module.in_proj_bias is not None:
            self.inner.append(Product(f"{name}{ending}bias", delta, None, first))

    def by_steps(self, rows, source):
        """Copy rows, as (samples, steps, ...) if there is one of each step of an array."""
        shape = self.values[source].shape[:2]
        return np.array(rows).reshape(*shape, -1) if len(rows) == shape[0] * shape[1] else np.array(rows)

    def find_rows(self, source, count):
        """The rows of an array whose padded steps are left out; None for all of them."""
        samples, steps = self.values[source].shape[:2]
        if count == samples * steps:
            return None
        spans = self.module.spans if hasattr(self.module, "spans") else self.module.k_spans
        return np.concatenate([n * steps + np.arange(spans[n, 1]) for n in range(samples)])

    def list_products(self):
        return self.inner


OBSERVERS = {Recurrent: RecurrentObserver, CellOp: CellObserver, Attention: AttentionObserver}


def find_observer(module: Any) -> type[Observer] | None:
    """Find the observer of a module; None if its gradients are no such sums, or are not known to be."""
    return next((observer for cls, observer in OBSERVERS.items() if isinstance(module, cls)), None)
