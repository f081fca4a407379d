"""The module under a gradient check: a float64 copy that is run forward and backward, and forward at nearby points."""

from functools import cached_property

import numpy as np

from ..core.module import Module
from ..engine.entry_points import convert_inputs
from ..engine.stateful import find_stored_names
from ..engine.tables import flatten_table, is_table, map_table, name_arrays, shape_of, unflatten_table
from .gradient_report import GradientEntry
from .rounding import estimate_allowances, max_abs, perturb

STEP = float(np.finfo(np.float64).eps) ** (1 / 3)  # balances the h² of truncation against the eps/h of rounding
STEPS = (STEP, STEP / 32)  # the second one for a kink that the first steps over
FLOOR = 1e-4  # of |y|: a smaller derivative is compared with this, as its differences are mostly rounding
NOISE = 10.0  # how many times the rounding error that is measured a difference may be off by


class Subject:
    """A float64 copy of a module with its arguments: `pairs` of arrays and gradients, and derivatives of y."""

    def __init__(self, module: Module, arguments, random: np.random.Generator):
        self.module, self.random = module.copy().to(np.float64), random
        self.module.zero_grad()
        inputs = convert_inputs(self.module, arguments)
        self.arguments = [map_table(np.copy, value) for value in inputs]
        self.x = map_table(np.copy, self.arguments[0])
        self.counters = [
            (inside, name, value)
            for inside in self.module.all_modules()
            for name in find_stored_names(type(inside))
            if isinstance(value := getattr(inside, name, None), int | float)
        ]
        self.buffers = [(array, array.copy()) for _, array in self.module.named_buffers()]
        self.pairs: list[tuple[str, np.ndarray, np.ndarray]] = []

    def rewind(self) -> None:
        """Reset counters (such as the position in a stream of random numbers) and buffers to their initial values."""
        for module, name, value in self.counters:
            module.write_number(name, value)
        for array, value in self.buffers:
            array[...] = value

    def y(self) -> np.ndarray:
        """Compute y after a rewind; all numbers of a table as one vector."""
        self.rewind()
        self.made = y = self.module.fprop(*self.arguments)
        return np.concatenate([array.ravel() for array in flatten_table(y)]) if is_table(y) else np.asarray(y)

    def run(self) -> tuple[list[str], GradientEntry | None]:
        """Forward and backward, twice; fills `pairs`. Returns broken rules, and the entry of a misshapen grad_x."""
        y = self.y()
        self.size = float(np.linalg.norm(y))
        self.grad_y = self.random.standard_normal(y.shape) if y.ndim else np.ones(())
        self.grad_y /= np.linalg.norm(self.grad_y)
        self.seed = split_like(self.grad_y, self.made) if is_table(self.made) else self.grad_y
        inputs = name_arrays("x", self.arguments[0])
        arrays = {**inputs, "grad_y": self.grad_y, **dict(self.module.named_parameters())}
        problems = [] if np.isfinite(y).all() else ["y is not finite at this x"]
        problems += [f"fprop changes {name}" for name in self._restore(inputs, name_arrays("x", self.x))]
        before = {name: array.copy() for name, array in arrays.items()}
        grad_x = self._backward()
        gradients = {name: gradient.copy() for name, gradient in self.module.named_gradients()}
        problems += [f"bprop changes {name}" for name in self._restore(arrays, before)]
        if not np.array_equal(self.y(), y, equal_nan=True):
            problems.append("fprop(x) gives another y in a second run")
        starts = {name: np.full_like(gradient, self._make_start(gradient)) for name, gradient in gradients.items()}
        for name, gradient in self.module.named_gradients():
            gradient[...] = starts[name]
        again = self._backward()
        self._restore(arrays, before)
        twice = {name: gradient.copy() for name, gradient in self.module.named_gradients()}
        problems += [t for n, g in twice.items() for t in self._check_accumulation(n, g, gradients[n], starts[n])]
        return problems, self._pair_gradients(grad_x, again, gradients, problems)

    def _make_start(self, gradient: np.ndarray) -> float:
        """The number that a second bprop adds to: like the gradient, or like y where the gradient is mere rounding."""
        size = max_abs(gradient)
        return (size if size > 1e-6 * self.size or not np.isfinite(self.size) else self.size) or 1.0

    def _check_accumulation(self, name: str, actual: np.ndarray, once: np.ndarray, start: np.ndarray) -> list[str]:
        """Describe what is wrong if a second bprop did not add `once` to `start`."""
        expected, size = start + once, 1e-12 * max_abs(start)
        if is_near(actual, expected, size) or is_near(actual, expected, size + self.estimate_allowance(name)):
            return []
        overwritten = is_near(actual, once, size + self.estimate_allowance(name))
        return [f"bprop {'overwrites' if overwritten else 'does not just add to'} the gradient of {name}, expected +="]

    def _restore(self, arrays, before) -> list[str]:
        """Restore arrays; returns the names of those that had changed."""
        other = [name for name, array in arrays.items() if not np.array_equal(array, before[name], True)]
        for name in other:
            arrays[name][...] = before[name]
        return other

    def _backward(self):
        return self.module.bprop(*([self.seed] if self.module.takes_gradient else []))

    def _pair_gradients(self, grad_x, again, gradients, problems) -> GradientEntry | None:
        """Pair arrays with their gradients; an input gradient of another shape gets an entry that says so."""
        x, wrong = self.arguments[0], None
        name = "x" if self.module.takes_gradient else "y"
        whole = all(array.dtype.kind != "f" for array in flatten_table(x))
        if not whole and shape_of(grad_x) != shape_of(x):
            description = (
                f"has shape {shape_of(grad_x)}" if isinstance(grad_x, np.ndarray | tuple) else f"is {grad_x!r:.40}"
            )
            text = f"(grad_{name} {description}, expected {shape_of(x)})"
            wrong = GradientEntry(name, shape_of(x), None, np.nan, np.nan, np.inf, False, text)
        elif not whole:
            pairs = zip(name_arrays(name, x).items(), flatten_table(grad_x), flatten_table(again), strict=True)
            for (place, array), gradient, second in pairs:
                if array.dtype.kind == "f":
                    self.pairs.append((place, array, gradient))
                    if not np.allclose(second, gradient, 1e-9, 0, equal_nan=True):
                        problems.append(f"bprop gives another grad_{place} in a second run")
        self.pairs += [(name, array, gradients[name]) for name, array in self.module.named_parameters()]
        return wrong

    def derivatives(self, array, gradient, direction, step) -> tuple[float, float]:
        """Compute the derivative of <grad_y, y> along `direction` by bprop, and by differences."""
        middle = array.copy()
        array += step * direction
        upper, y = array.copy(), self.y()
        array[...] = middle - step * direction
        moved, change = upper - array, y - self.y()
        array[...] = middle
        length = np.linalg.norm(moved)
        return float(np.vdot(gradient, moved) / length), float(np.vdot(self.grad_y, change) / length)

    def compare(self, array, gradient, direction, tolerance) -> tuple[float, float, float]:
        """Compare derivatives along a direction: (error, analytic, numeric), with the better of two steps."""
        scale = max(1.0, float(np.sqrt(np.mean(array**2))))
        trials = []
        for step in STEPS:
            analytic, numeric = self.derivatives(array, gradient, direction, step * scale)
            size = max(abs(analytic), abs(numeric), FLOOR * self.size / scale, 1e-300)
            difference = abs(analytic - numeric)
            if difference > tolerance * size:
                difference = max(0.0, difference - NOISE * self.noise / (step * scale))
            error = difference / size
            trials.append((error if np.isfinite(error) else np.inf, analytic, numeric))
            if trials[-1][0] <= tolerance:
                break
        return min(trials, key=lambda result: result[0])

    @cached_property
    def noise(self) -> float:
        """The change of <grad_y, y> by rounding alone, measured only where a difference disagrees with bprop."""
        random, values = np.random.default_rng(29), []
        arrays = [*(a for a in flatten_table(self.arguments[0]) if a.dtype.kind == "f"), self.module.flat_parameters]
        middle = [array.copy() for array in arrays]
        for run in range(4):
            for array, value in zip(arrays, middle, strict=True):
                array[...] = perturb(value, random, run)
            values.append(float(np.vdot(self.grad_y, self.y())))
        for array, value in zip(arrays, middle, strict=True):
            array[...] = value
        return float(np.ptp(values)) if np.isfinite(values).all() else 0.0

    @cached_property
    def _allowances(self) -> dict[str, float]:
        self.rewind()
        return estimate_allowances(
            self.module, tuple(self.arguments), self.seed if self.module.takes_gradient else None
        )

    def estimate_allowance(self, name: str) -> float:
        """Estimate how far rounding may change the gradient of an array, where it is not as expected."""
        return self._allowances.get(f"grad_{name}", self._allowances["grad_x"])

    def direction(self, shape, indices=None) -> np.ndarray:
        """Draw a random unit direction, or one among the elements at the flat `indices`."""
        direction = self.random.standard_normal(shape)
        if indices is not None:
            mask = np.zeros(direction.size, bool)
            mask[indices] = True
            direction *= mask.reshape(shape)
        return direction / np.linalg.norm(direction)


def split_like(numbers: np.ndarray, table):
    """Split a vector into arrays of the shapes of a table."""
    arrays = flatten_table(table)
    parts = np.split(numbers, np.cumsum([array.size for array in arrays])[:-1])
    return unflatten_table(table, [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)])


def is_near(actual: np.ndarray, expected: np.ndarray, size: float) -> bool:
    """Whether two arrays differ by no more than `size`."""
    return np.allclose(actual, expected, 0, size, equal_nan=True)
