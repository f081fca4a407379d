"""Settings of all optimizers: penalties, clipping, settings for some parameters, averaged weights.

Each is one more line of the compiled step where it is used, and nothing where it is not.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.locks import locked
from ...modules.engine.operations import Operations
from ...modules.engine.stateful import Stateful
from .checks import check_fraction, check_not_negative, check_positive
from .groups import OWN, Group, Layout
from .vectors import adjust_slice, compute_norm

IDLE = {"weight_decay": 0.0, "l1": 0.0, "clip_value": np.inf, "clip_norm": np.inf, "max_norm": np.inf, "ema": 0.0}


class Extras(Stateful):
    """The settings that all optimizers have, each a line of the step: see `Optimizer`."""

    framework_base = True
    takes_slices = False  # whether sparse_rows may be asked for
    lr: float

    def __init__(
        self,
        *,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        decay: Literal["weights", "all"] = "weights",
        l1: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        max_norm: float | None = None,
        ema: float | None = None,
        groups: Sequence[Group] = (),
        maximize: bool = False,
        sparse_rows: bool = False,
    ):
        super().__init__()
        vars(self).update(
            _vector=None, _plan=None, _loaded=None, _digest=None, _scheduled=frozenset(), _groups=tuple(groups)
        )
        vars(self)["_updated"] = None  # slices: what alone an update is for
        vars(self).update(_rules=(), _decoupled=bool(decoupled_weight_decay), _decay=decay, _sparse_rows=sparse_rows)
        owner = type(self).__name__
        check_not_negative(owner, weight_decay=weight_decay, l1=l1)
        limits = {"clip_value": clip_value, "clip_norm": clip_norm, "max_norm": max_norm}
        check_positive(owner, **{name: value for name, value in limits.items() if value is not None})
        check_fraction(owner, ema=ema or 0.0)
        if decay not in ("weights", "all"):
            raise ValueError(f"{owner}: decay is {decay!r}, expected 'weights' or 'all'")
        for group in groups:
            if not isinstance(group, Group):
                raise TypeError(f"{owner}: groups holds {group!r}, expected Groups")
        for name, value in (("maximize", maximize), ("sparse_rows", sparse_rows)):
            if not isinstance(value, bool):
                raise TypeError(f"{owner}: {name} is {value!r}, expected true or false")
        if sparse_rows and not self.takes_slices:
            raise ValueError(f"{owner}: sparse_rows is true, but a step is not one of single rows, expected false")
        self.maximize = maximize
        self.weight_decay, self.l1, self.ema = float(weight_decay), float(l1), float(ema or 0)
        for name, limit in limits.items():
            setattr(self, name, np.inf if limit is None else float(limit))

    @property
    def sparse_rows(self) -> bool:
        """Whether rows of embeddings that have no gradient are left as they are."""
        return self._sparse_rows

    # -- compiled; only arrays are written here, in place ----------------------------------------------------------

    def remember(self, parameters):
        """Copy the parameters, for `rescale`."""
        for i in range(parameters.size):
            self.before[i] = parameters[i]

    def shrink(self, parameters):
        """Apply decoupled weight decay."""
        for s in range(self.factors.size):
            part = parameters[self.bounds[s] : min(self.bounds[s + 1], parameters.size)]
            decay = self.weight_decay if self.decays[s] < 0 else self.decays[s]
            factor = 1 - self.lr * decay
            for i in range(part.size):
                part[i] *= factor

    def adjust(self, parameters, gradients):
        """Compute the g of the class's docstring: gradient clipping, penalties; zero for frozen parameters."""
        scale, limit = gradients.dtype.type(1), self.clip_value
        if self.clip_norm < np.inf:
            norm = gradients.dtype.type(0)
            for s in range(self.factors.size):
                if self.factors[s] > 0:
                    part = gradients[self.bounds[s] : min(self.bounds[s + 1], parameters.size)]
                    norm = np.hypot(norm, compute_norm(part, limit))
            scale = min(scale, self.clip_norm / (norm + 1e-6))
        if self.maximize:
            scale = -scale
        for s in range(self.factors.size):
            begin, end = self.bounds[s], min(self.bounds[s + 1], parameters.size)
            p, g, adjusted = parameters[begin:end], gradients[begin:end], self.adjusted[begin:end]
            decay = self.coupled * (self.weight_decay if self.decays[s] < 0 else self.decays[s])
            l1 = self.l1 if self.l1s[s] < 0 else self.l1s[s]
            adjust_slice(p, g, adjusted, scale, limit, decay, l1, self.factors[s] == 0)
        return self.adjusted

    def rescale(self, parameters):
        """Multiply the last step by each parameter's lr_factor."""
        for s in range(self.factors.size):
            begin, end = self.bounds[s], min(self.bounds[s + 1], parameters.size)
            p, before, factor = parameters[begin:end], self.before[begin:end], self.factors[s]
            if factor != 1:
                for i in range(p.size):
                    p[i] = before[i] + factor * (p[i] - before[i])

    def shorten(self, parameters):
        """Scale rows that are longer than max_norm to that length."""
        for k in range(self.caps.size):
            begin, columns = self.blocks[k, 0], self.blocks[k, 2]
            cap = self.max_norm if self.caps[k] < 0 else self.caps[k]
            for r in range(self.blocks[k, 1]):
                first = begin + r * columns
                row = parameters[first : min(first + columns, parameters.size)]
                norm = compute_norm(row, parameters.dtype.type(np.inf))
                if norm > cap:
                    for i in range(row.size):
                        row[i] *= cap / norm

    def average(self, parameters):
        """Update the averaged weights; the first time, copy the parameters."""
        ema = self.ema if self.averaged[0] > 0 else 0 * self.ema
        self.averaged[0] += 1
        for i in range(parameters.size):
            self.averages[i] = ema * self.averages[i] + (1 - ema) * parameters[i]

    def write_update(
        self, operations: Operations, parameters: str, gradients: str, layers: Sequence[Module] = ()
    ) -> str:
        """Append the update, and the methods in use around it, to a plan.

        Args: layers: those whose gradients are zeros but in rows that they know.
        """
        factors = any(rule.lr_factor != 1 or rule.frozen for _, _, rule in self._rules)
        decays = self._in_use("weight_decay")
        spans = "_spans" if self.write_spans(operations, gradients, layers) else ""
        if factors:
            operations.call(self, "remember", parameters)
        if decays and self._decoupled:
            operations.call(self, f"shrink{spans}", parameters)
        limited = any(map(self._in_use, ("l1", "clip_value", "clip_norm")))
        if (decays and not self._decoupled) or factors or limited or self.maximize:
            gradients = operations.call(self, f"adjust{spans}", parameters, gradients)
        whole = spans or factors or decays or gradients != "gradients" or not layers
        target = None if whole else self.write_row_update(operations, parameters, gradients, layers)
        target = target or operations.call(self, f"update{spans}", parameters, gradients)
        if factors:
            target = operations.call(self, "rescale", parameters)
        if self._in_use("max_norm"):
            target = operations.call(self, "shorten", parameters)
        if self._in_use("ema"):
            target = operations.call(self, "average", parameters)
        return target

    def write_row_update(
        self, operations: Operations, parameters: str, gradients: str, layers: Sequence[Module]
    ) -> str | None:
        """Append an update that leaves out rows without a gradient, with the same result; None where there is none.

        Args: layers: those whose gradients are zeros but in their `rows[:row_count]`.
        """
        return None

    def write_spans(self, operations: Operations, gradients: str, layers: Sequence[Module]) -> bool:
        """Append the methods that find what a step with sparse_rows is for; returns whether the others heed it.

        Args: layers: as of `write_update`.
        """
        return False

    def lay_out_spans(self, net: Module) -> None:
        """Allocate the arrays of `write_spans`."""

    def _in_use(self, name: str) -> bool:
        in_groups = any(name in group.settings for group in self._groups)
        return in_groups or name in self._scheduled or getattr(self, name) != IDLE[name]

    # -- beginning and ending ------------------------------------------------------------------------------------

    def _lay_out(self, vector: np.ndarray) -> None:
        """Allocate the arrays of the base's methods that are in use."""
        if not self._groups and not self.maximize and not any(map(self._in_use, IDLE)):
            return
        for name, array in vars(Layout.of(self._rules)).items():
            setattr(self, name, array)
        self.coupled = 0.0 if self._decoupled else 1.0
        self.before, self.adjusted, self.averages = (np.zeros(vector.size, vector.dtype) for _ in range(3))
        self.averaged = np.zeros(1, np.int64)

    def check_penalty(self) -> None:
        """Raise ValueError if `compute_penalty` would, because of decoupled weight decay or of maximize."""
        if self.maximize:
            raise ValueError(f"{type(self).__name__}: maximize is true, and a total cost is made small")
        if self._decoupled and self._in_use("weight_decay"):
            name = type(self).__name__
            raise ValueError(f"{name}: decoupled weight decay is no term of the loss, so there is no total cost")

    def compute_penalty(self, net: Module) -> float:
        """λΩ of a model's parameters w: what is added to the loss by weight_decay and l1, whose gradient `adjust` adds.

            λΩ = Σ weight_decay w² / 2 + Σ l1 |w|

        Each parameter counts with the settings of its groups; a frozen one, and a bias under decay="weights", does not.

        Errors: ValueError for decoupled weight decay, which is not the gradient of a penalty, and for maximize.
        Source: Goodfellow et al., Deep Learning, algorithms 6.3 and 6.4 (J = L + λΩ), eq. 7.2 and 7.19.
        """
        self.check_penalty()
        total, end = 0.0, 0
        with locked(net):
            self.attach(net)  # type: ignore[attr-defined]
            for _, shape, rule in self._rules:
                begin, end = end, end + math.prod(shape)
                if not rule.frozen and rule.lr_factor != 0:
                    w = net.flat_parameters[begin:end].astype(np.float64)
                    decay = self.weight_decay if rule.weight_decay == OWN else rule.weight_decay
                    total += decay / 2 * (w @ w) + (self.l1 if rule.l1 == OWN else rule.l1) * np.abs(w).sum()
        return float(total)

    def __setattr__(self, name: str, value: Any) -> None:
        begins = name in IDLE and name in vars(self) and (value == IDLE[name]) != (getattr(self, name) == IDLE[name])
        begins = begins or (name == "maximize" and name in vars(self) and value != self.maximize)
        super().__setattr__(name, value)
        if begins:
            self._begin()

    def schedule(self, names: Sequence[str]) -> None:
        """Let settings of these names change within compiled code."""
        if not self._scheduled >= (new := frozenset(names) & frozenset(IDLE)):
            vars(self)["_scheduled"] = self._scheduled | new
            self._begin()

    def _begin(self) -> None:
        """Prepare for a change of the methods in use: another plan, and their arrays."""
        self.forget_plans()
        if self._vector is not None and self._vector() is not None and "bounds" not in vars(self):
            self._lay_out(self._vector())

    def forget_averages(self) -> None:
        """Restart averaging, since the weights have been replaced."""
        if "averaged" in vars(self):
            self.averaged[0] = 0

    @contextmanager
    def evaluated_weights(self, net: Module) -> Iterator[None]:
        """Context in which the model has its averaged weights, if this optimizer has them.

        No other thread runs the model meanwhile.
        """
        with locked(net):
            if self._vector is None and self._loaded is not None:  # of a copy, or of a file
                self.attach(net)
            vector = net.flat_parameters
            ours = self._vector is not None and self._vector() is vector
            if not ours or not self._in_use("ema") or self.averaged[0] == 0:
                yield
                return
            current = vector.copy()
            vector[:] = self.averages
            try:
                yield
            finally:
                vector[:] = current
