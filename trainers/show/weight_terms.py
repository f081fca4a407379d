"""The terms of which the gradients of weights are sums, of layers for which the page has no formula.

    grad_weight[i, j] = Σₚ δ[p, i] x[p, j]      of recurrent layers and attention: see products.py
    grad_w = Σₖ grad_y[k] dy[k]/dw              of all others, by bprop of unit vectors, over outputs k
    grad_w = Σ_g (grad_w of the outputs of g)   where these are too many, by bprop of grad_y in groups g of outputs

The same is found of δ. What is kept has to give the gradient that bprop has recorded.
"""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import Arrays
from .probes import Stopwatch, are_close
from .products import Factor, Product, find_observer
from .walk import Walk, list_parameters

SINGLE = 1_000  # outputs whose derivatives are found one by one, at most
GROUPS = (6, 64)  # of outputs where these are too many: at least, where time is short, and at most
LOOKED_AT = 2_000_000  # numbers that are computed of the gradients of a parameter, for all outputs or groups
KEPT, KEPT_OF_DELTA = 20_000, 4_000  # terms that are kept of a parameter, or of δ, those of the largest gradients
SECONDS = 0.2  # for all modules together, beyond the least
FORMULAS = ("linear", "conv2d", "embedding")

Arrays_ = dict[str, np.ndarray]


def record_weight_terms(walk: Walk, arrays: Arrays, rows: dict[Any, Arrays_]) -> None:
    """Add `weights` to the modules of a recorded step: of each parameter without a formula its terms, or why not.

    Args: rows: of small modules the derivatives of all outputs, (outputs, size of the parameter), by its name.
    """
    watch, jobs = Stopwatch(SECONDS), []
    for module, place in walk.places.items():
        described = walk.modules[place]
        named = [] if module is walk.loss else list_parameters(module)
        if described["form"]["kind"] == "norm":
            named = [each for each in named if each[0] not in ("weight", "bias")]
        if not named or described["form"]["kind"] in FORMULAS:
            continue
        described["weights"], described["inner"] = {}, {}
        reason = find_reason(walk, module)
        if reason:
            described["weights"] = {name: {"reason": reason} for name, _, _ in named}
        else:
            jobs.append(Job(walk, module, described, arrays, named))
    for job in jobs:
        job.record_products()
    for job in sorted(jobs, key=lambda job: job.seconds):
        job.record_derivatives(rows.get(job.module, {}), watch)


def find_reason(walk: Walk, module: Any) -> str:
    """Find why the gradients of a module's weights cannot be taken apart; "" if they can."""
    if sum(each.module is module and each.method == "fprop" for each in walk.forward) != 1:
        return "it runs more than once in this step"
    if sum(each.module is module and each.method == "bprop" for each in walk.backward) != 1:
        return "its bprop does not run once in this step"
    return ""


@dataclass(eq=False)
class Job:
    """The gradients of one module's parameters, as they are taken apart."""

    walk: Walk
    module: Any
    described: dict[str, Any]
    arrays: Arrays
    named: list[tuple[str, Any, str]]  # path from the module, owner, name
    seconds: float = 0.0  # that a run of bprop takes
    products: list[Product] = field(default_factory=list)
    numbers: dict[Factor, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        walk, module = self.walk, self.module
        self.backward = [each for each in walk.backward if each.module is module]
        own = {each.target for each in self.backward}
        names = dict.fromkeys(name for each in self.backward for name in each.arguments if name not in own)
        self.incoming = {name: np.array(walk.values[name]) for name in names}
        forward = next(each for each in walk.forward if each.module is module and each.method == "fprop")
        self.observer = find_observer(module)
        self.forward = forward.arguments, forward.target
        self.deltas: dict[str, Factor] = {}

    # -- runs of bprop -------------------------------------------------------------------------------------------------

    def run(self, incoming: Arrays_) -> Arrays_:
        """Run the module's backward calls on other gradients; returns those of its parameters."""
        values: dict[str, Any] = dict(incoming)
        for _, owner, name in self.named:
            vars(owner)[f"grad_{name}"].fill(0)
        for each in self.backward:
            values[each.target] = getattr(self.module, each.method)(*(values[name] for name in each.arguments))
        return {path: vars(owner)[f"grad_{name}"].ravel() for path, owner, name in self.named}

    def run_and_hear(self, incoming: Arrays_) -> tuple[Arrays_, list[Product]]:
        """The same, and the products of the gradients."""
        if self.observer is None:
            return self.run(incoming), []
        found: Arrays_ = {}
        backward = next(each for each in self.backward if each.method == "bprop").arguments
        observer = self.observer(self.module, *self.forward, self.trace_back(backward), self.walk.values)
        products = observer.hear(lambda: found.update(self.run(incoming)))
        return found, products

    def trace_back(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names of what comes from outside of the module, where its own calls hand it on: grad_y."""
        made = {each.target: each.arguments for each in self.backward if each.arguments}
        return tuple(made[name][0] if name in made else name for name in names)

    # -- sums of products ----------------------------------------------------------------------------------------------

    def record_products(self) -> None:
        """Record the gradients that are sums of products of the layer's own factors, and measure a run."""
        begin = time.perf_counter()
        found, products = self.run_and_hear({name: each.copy() for name, each in self.incoming.items()})
        self.seconds = time.perf_counter() - begin
        self.totals = {name: each.copy() for name, each in found.items()}
        for name, _, _ in self.named:
            own = [each for each in products if each.parameter == name]
            if own and are_close(add_up(own, self.totals[name].size), self.totals[name]):
                self.products += own
                self.described["weights"][name] = {"products": [self.describe_product(each) for each in own]}

    def describe_product(self, product: Product) -> dict[str, Any]:
        """Describe a product for the page."""
        factors = {"left": product.left} | ({} if product.right is None else {"right": product.right})
        positions = math.prod(product.left.numbers.shape[:-1])
        described = {name: self.describe_factor(each) for name, each in factors.items()}
        return {"first": product.first, "positions": positions, **described}

    def describe_factor(self, factor: Factor) -> dict[str, Any]:
        """Describe a factor: the number of an array, its width, which rows and which columns of it."""
        width = factor.numbers.shape[-1]
        described: dict[str, Any] = {"size": width}
        if factor.source:
            source, rows = self.walk.numbers[factor.source], factor.rows
            described |= {"value": source, "width": self.walk.values[factor.source].shape[-1], "column": factor.column}
            if rows is not None and not (rows == np.arange(rows.size)).all():
                described["rows"] = self.arrays.add("rows", rows.astype(np.int64))
                if (rows < 0).any():
                    described["other"] = self.add_numbers(factor)
            return described
        return described | {"value": self.add_numbers(factor), "width": width, "column": 0}

    def add_numbers(self, factor: Factor) -> int:
        """Add the numbers of a factor to the arrays of the page, once."""
        if factor not in self.numbers:
            short = self.described["short"]
            self.numbers[factor] = number = self.arrays.add(f"{factor.name} of {short}", factor.numbers)
            self.described["inner"][number] = {"text": factor.text}
            if factor.name.startswith("δ"):
                self.deltas[factor.name] = factor
        return self.numbers[factor]

    # -- derivatives by outputs ----------------------------------------------------------------------------------------

    def record_derivatives(self, rows: Arrays_, watch: Stopwatch) -> None:
        """Record the terms of all other parameters, and, as far as there is time, of δ."""
        self.grads = np.concatenate([each.ravel() for each in self.incoming.values()])
        for name in rows if len(self.incoming) == 1 else ():
            if name not in self.described["weights"]:
                self.keep(name, np.arange(self.grads.size), None, rows[name], np.arange(rows[name].shape[1]))
        wanted = {name: self.totals[name] for name, _, _ in self.named if name not in self.described["weights"]}
        count = max(0.0, watch.left) / max(self.seconds, 1e-6)  # runs for which there is time
        if count >= GROUPS[0]:
            wanted |= {name: each.numbers.ravel() for name, each in self.deltas.items()}
        outputs = np.flatnonzero(self.grads)
        if not wanted:
            return
        single = len(outputs) <= min(SINGLE, max(count, GROUPS[0]))
        parts = [outputs[k : k + 1] for k in range(len(outputs))] if single else self.divide(outputs, count)
        columns = {name: choose_columns(total, LOOKED_AT // max(1, len(parts))) for name, total in wanted.items()}
        found = {name: np.zeros((len(parts), columns[name].size), total.dtype) for name, total in wanted.items()}
        with watch:
            self.run_parts(parts, single, columns, found)
        texts = None if single else [self.describe_group(part) for part in parts]
        for name in wanted:
            self.keep(name, outputs, texts, found[name], columns[name])

    def divide(self, outputs: np.ndarray, count: float) -> list[np.ndarray]:
        """Divide the outputs into groups: the steps or channels that they are of, or parts of these if they are few."""
        most = int(min(max(count, GROUPS[0]), GROUPS[1]))
        shapes = [each.shape for each in self.incoming.values()]
        for axes in range(max(map(len, shapes)), 0, -1):
            first, numbers = 0, []
            for shape in shapes:
                inside = math.prod(shape[axes:])
                numbers.append(first + np.arange(math.prod(shape)) // inside)
                first += math.prod(shape[:axes])
            groups = np.concatenate(numbers)[outputs]
            known = np.unique(groups)
            if 1 < len(known) <= most:
                parts = most // len(known) if 4 * len(known) <= most else 1
                split = [np.array_split(outputs[groups == each], parts) for each in known]
                return [part for whole in split for part in whole if len(part)]
        return np.array_split(outputs, most)

    def run_parts(self, parts: list[np.ndarray], single: bool, columns: dict[str, np.ndarray], found: Arrays_) -> None:
        """Run bprop of each part of the outputs: of a one in each place, or of grad_y there; fill rows of `found`."""
        ends = np.cumsum([each.size for each in self.incoming.values()])[:-1]
        for row, part in enumerate(parts):
            grads = np.zeros_like(self.grads)
            grads[part] = 1 if single else self.grads[part]
            incoming = {
                name: own.reshape(self.incoming[name].shape)
                for name, own in zip(self.incoming, np.split(grads, ends), strict=True)
            }
            gradients, products = (
                self.run_and_hear(incoming) if self.deltas.keys() & columns else (self.run(incoming), [])
            )
            gradients |= {each.left.name: each.left.numbers.ravel() for each in products}
            for name, own in columns.items():
                found[name][row] = gradients[name][own]

    def describe_group(self, part: np.ndarray) -> str:
        """Describe the outputs of a group by the first and the last of them."""
        k, last = int(part[0]), int(part[-1])
        for each in self.incoming.values():
            if k < each.size:
                ends = [
                    ", ".join(map(str, map(int, np.unravel_index(place, each.shape))))
                    for place in (k, min(last, each.size - 1))
                ]
                return f"grad_y[{ends[0]}]" + (f" to [{ends[1]}]" if k != last else "")
            k, last = k - each.size, last - each.size
        raise IndexError(part)

    def keep(
        self, name: str, outputs: np.ndarray, texts: list[str] | None, matrix: np.ndarray, columns: np.ndarray
    ) -> None:
        """Keep the terms of a parameter or of δ, from the largest gradients on as many as the page has room for.

        Args: outputs: of the rows of `matrix`; texts: of groups of outputs instead; columns: the numbers of the
            gradient whose derivatives `matrix` has, or whose terms, of groups.
        """
        delta = self.deltas.get(name)
        total = self.totals[name] if delta is None else delta.numbers.ravel()
        terms = matrix * self.grads[outputs, None] if texts is None else matrix
        if not are_close(terms.sum(axis=0), total[columns]):
            if delta is None:
                reason = "its bprop is no linear function of the gradients that it gets"
                self.described["weights"][name] = {"reason": reason}
            return
        counts = np.count_nonzero(terms, axis=0)
        order = np.argsort(-np.abs(total[columns]), kind="stable")
        most = KEPT if delta is None else KEPT_OF_DELTA
        kept = np.sort(order[: np.searchsorted(np.cumsum(counts[order]), most, side="right")])
        which, places = np.nonzero(terms[:, kept].T)
        value: dict[str, Any] = {
            "entries": self.arrays.add("entries", columns[kept].astype(np.int64)),
            "starts": self.arrays.add("starts", np.concatenate([[0], np.cumsum(counts[kept])]).astype(np.int64)),
            "terms": self.arrays.add(f"dy/d{name}", matrix[places, kept[which]]),
            "outputs": self.arrays.add("outputs", (outputs[places] if texts is None else places).astype(np.int64)),
        }
        if texts is None:
            value["grads"] = [self.walk.numbers[each] for each in self.incoming]
        else:
            value["groups"] = texts
        if kept.size < total.size:
            value["known"] = int(kept.size)
        if delta is None:
            self.described["weights"][name] = {"sum": value}
        else:
            self.described["inner"][self.numbers[delta]]["sum"] = value


def choose_columns(total: np.ndarray, most: int) -> np.ndarray:
    """Choose numbers of a gradient, all or the largest ones, in their order."""
    if total.size <= most:
        return np.arange(total.size)
    return np.sort(np.argpartition(-np.abs(total), most - 1)[:most])


def add_up(products: list[Product], size: int) -> np.ndarray:
    """Add up the products of a parameter's gradient."""
    parts = []
    for each in sorted(products, key=lambda each: each.first):
        left = each.left.numbers.reshape(-1, each.left.numbers.shape[-1])
        right = None if each.right is None else each.right.numbers.reshape(-1, each.right.numbers.shape[-1])
        parts.append((left.sum(axis=0) if right is None else left.T @ right).ravel())
    whole = np.concatenate(parts)
    return whole if whole.size == size else np.full(size, np.nan)
