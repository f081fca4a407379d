"""Optimizers whose update may be cut into slices: for `sparse_rows`, which leaves rows of embeddings alone."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.operations import Operations
from ...modules.engine.plan import is_custom
from ...modules.layers.embedding.embedding import TokenTable
from .groups import Layout
from .optimizer import Optimizer
from .vectors import add_span, add_squares, adjust_slice, compute_norm, has_gradient


class SliceOptimizer(Optimizer):
    """Family base of optimizers that update each parameter by itself, so that a step may leave some of them out.

    A leaf defines `update_slice(self, parameters, gradients, begin, end)`, compiled, which updates that part of the
    flat vectors, and `count_step(self)` if it counts steps.

    With `sparse_rows` a step is for some spans of the flat vector: all that is no table of an Embedding or
    EmbeddingBag, and the rows of tables whose gradient is not zero. A span is (begin, end, the number of the slice of
    equal settings that it is in), in the order of the vector; those that meet are one. The spans of a step are found
    first: by its tokens, or by all gradients of a table where others write to them.
    """

    takes_slices = True

    def count_step(self):
        """Count a step."""

    def update_slice(self, parameters, gradients, begin, end):
        """Update `parameters[begin:end]` in place."""
        raise NotImplementedError(f"{type(self).__name__} has no update_slice")

    def update(self, parameters, gradients):
        self.count_step()
        self.update_slice(parameters, gradients, 0, parameters.size)

    # -- with sparse_rows: compiled; only arrays are written, in place ---------------------------------------------

    def clear_spans(self):
        """Begin the spans of a step."""
        self.span_counts[:] = 0

    def add_dense_spans(self):
        """Append the spans before the next table; returns its (begin, rows, columns, slice of equal settings)."""
        table = self.span_counts[1]
        self.span_counts[1] = table + 1
        for k in range(self.tables[table, 0], self.tables[table, 1]):
            add_span(self.spans, self.span_counts, self.dense[k, 0], self.dense[k, 1], self.dense[k, 2])
        return self.tables[table, 2:]

    def add_rows(self, gradients):
        """Append the spans up to the end of the next table."""
        begin, rows, columns, s = self.add_dense_spans()
        for row in range(rows):
            first = begin + row * columns
            if has_gradient(gradients[first : first + columns]):
                add_span(self.spans, self.span_counts, first, first + columns, s)

    def add_rows_of_tokens(self, layer, gradients):
        """As `add_rows`, for a layer that knows the tokens of the step."""
        begin, _, columns, s = self.add_dense_spans()
        for row in range(layer.marks.size):
            if layer.marks[row] == layer.call_number:
                first = begin + row * columns
                if has_gradient(gradients[first : first + columns]):
                    add_span(self.spans, self.span_counts, first, first + columns, s)

    def shrink_spans(self, parameters):
        """As `shrink`, for the spans."""
        for k in range(self.span_counts[0]):
            begin, end, s = self.spans[k]
            part = parameters[begin:end]
            decay = self.weight_decay if self.decays[s] < 0 else self.decays[s]
            factor = 1 - self.lr * decay
            for i in range(part.size):
                part[i] *= factor

    def adjust_spans(self, parameters, gradients):
        """As `adjust`, for the spans."""
        scale, limit = gradients.dtype.type(1), self.clip_value
        if self.clip_norm < np.inf:
            scale = min(scale, self.clip_norm / (self.compute_spans_norm(gradients, limit) + 1e-6))
        if self.maximize:
            scale = -scale
        for k in range(self.span_counts[0]):
            begin, end, s = self.spans[k]
            decay = self.coupled * (self.weight_decay if self.decays[s] < 0 else self.decays[s])
            l1 = self.l1 if self.l1s[s] < 0 else self.l1s[s]
            p, g, adjusted = parameters[begin:end], gradients[begin:end], self.adjusted[begin:end]
            adjust_slice(p, g, adjusted, scale, limit, decay, l1, self.factors[s] == 0)
        return self.adjusted

    def compute_spans_norm(self, gradients, limit):
        """The norm of the gradient, in the order in which `adjust` adds up: what is left out is zero."""
        norm = gradients.dtype.type(0)
        k = 0
        for s in range(self.factors.size):
            total = gradients.dtype.type(0)
            while k < self.span_counts[0] and self.spans[k, 2] == s:
                total = add_squares(total, gradients[self.spans[k, 0] : self.spans[k, 1]], limit)
                k += 1
            if self.factors[s] > 0:
                part = gradients[self.bounds[s] : min(self.bounds[s + 1], gradients.size)]
                norm = np.hypot(norm, np.sqrt(total) if total < np.inf else compute_norm(part, limit))
        return norm

    def update_spans(self, parameters, gradients):
        """As `update`, for the spans."""
        self.count_step()
        for k in range(self.span_counts[0]):
            self.update_slice(parameters, gradients, self.spans[k, 0], self.spans[k, 1])

    # -- in Python -------------------------------------------------------------------------------------------------

    def lay_out_spans(self, net: Module) -> None:
        """Find the tables of embeddings of a model, and allocate the spans of a step."""
        bounds = Layout.of(self._rules).bounds
        dense: list[tuple[int, int, int]] = []
        tables: list[tuple[int, ...]] = []
        owners, layers, begin, start = net._owners(), [], 0, 0

        def begin_table(rows: int, columns: int) -> None:
            first, s = len(dense), int(np.searchsorted(bounds, begin, side="right")) - 1
            cuts = [start, *(int(bound) for bound in bounds if start < bound < begin), begin]
            for a, b in itertools.pairwise(cuts):
                dense.append((a, b, int(np.searchsorted(bounds, a, side="right")) - 1))
            tables.append((first, len(dense), begin, rows, columns, s))

        for (_, shape, _), (owner, _) in zip(self._rules, owners, strict=True):
            if isinstance(owner, TokenTable):
                begin_table(*shape)
                layers.append(owner)
                start = begin + math.prod(shape)
            begin += math.prod(shape)
        begin_table(0, 0)  # none: after the last one
        arrays = {"dense": dense, "tables": tables, "spans": [(0, 0, 0)] * (len(dense) + sum(t[3] for t in tables))}
        for name, rows in (*arrays.items(), ("span_counts", [0, 0])):
            setattr(self, name, np.array(rows, np.int64))  # what a method assigns is state, which is saved; not this
        vars(self)["_tables"] = tuple(layers)

    @property
    def can_update_slices(self) -> bool:
        """Whether slices of the flat vector can be updated by themselves: no setting looks at all of it, or at rows."""
        return not (
            is_custom(type(self)) or self.sparse_rows or any(map(self._in_use, ("clip_norm", "max_norm", "ema")))
        )

    def update_slices(self, net: Module, slices: Sequence[slice]) -> None:
        """Update slices of a model's flat vector, as a whole update does; the other numbers stay."""
        vars(self)["_updated"] = tuple(slices)
        try:
            self._update(net)
        finally:
            vars(self)["_updated"] = None

    def find_arrays(self) -> list[np.ndarray]:
        """The arrays of the state with a number for each parameter (P,)."""
        vector = self._vector() if self._vector is not None else None
        values = [self.view(name) for name in self._state_names()]
        return [a for a in values if isinstance(a, np.ndarray) and vector is not None and a.shape == vector.shape]

    def write_spans(self, operations: Operations, gradients: str, layers: Sequence[Module]) -> bool:
        if self._updated is not None:
            groups = list(enumerate(itertools.pairwise(Layout.of(self._rules).bounds.tolist())))
            spans = [(max(a, own.start), min(b, own.stop), s) for own in self._updated for s, (a, b) in groups]
            spans = sorted(span for span in spans if span[0] < span[1])
            for name, rows in (("spans", spans or [(0, 0, 0)]), ("span_counts", [len(spans), 0])):
                setattr(self, name, np.array(rows, np.int64))
            return True
        if not (self.sparse_rows and self._tables):
            return False
        operations.call(self, "clear_spans")
        for table in self._tables:
            if any(table is layer for layer in layers):
                operations.call(self, "add_rows_of_tokens", gradients, other=table)
            else:
                operations.call(self, "add_rows", gradients)
        operations.call(self, "add_rows", gradients)
        return True
