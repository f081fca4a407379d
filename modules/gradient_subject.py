"""The module under a gradient check: a float64 copy that is run forward and backward, and forward again nearby."""

import numpy as np

from .engine.calls import as_input
from .engine.stateful import stored_names
from .gradient_report import GradientEntry
from .module import Module

STEP = float(np.finfo(np.float64).eps) ** (1 / 3)  # balances the h² of truncation against the eps/h of rounding
STEPS = (STEP, STEP / 32)  # the second one for a kink that the first steps over
FLOOR = 1e-4  # of |y|: a smaller derivative is compared with this, as its differences are mostly rounding


class Subject:
    """The copy under test with its arguments: `pairs` of arrays and gradients, and how y moves with an array."""

    def __init__(self, module: Module, arguments, random: np.random.Generator):
        self.module, self.random = module.copy().to(np.float64), random
        self.module.zero_grad()
        self.arguments = [as_input(self.module, k, value).copy() for k, value in enumerate(arguments)]
        self.x = self.arguments[0].copy()
        self.counters = [
            (inside, name, value)
            for inside in self.module.all_modules()
            for name in stored_names(type(inside))
            if isinstance(value := getattr(inside, name, None), int | float)
        ]
        self.buffers = [(array, array.copy()) for _, array in self.module.named_buffers()]
        self.pairs: list[tuple[str, np.ndarray, np.ndarray]] = []

    def rewind(self) -> None:
        """Set counters (such as the place in a stream of random numbers) and buffers to what they were at first."""
        for module, name, value in self.counters:
            module.write_number(name, value)
        for array, value in self.buffers:
            array[...] = value

    def y(self) -> np.ndarray:
        """y, after a rewind."""
        self.rewind()
        return np.asarray(self.module.fprop(*self.arguments))

    def run(self) -> tuple[list[str], GradientEntry | None]:
        """Forward and backward, twice; fills `pairs`. Returns broken rules, and the entry of a misshapen grad_x."""
        y = self.y()
        self.size = float(np.linalg.norm(y))
        self.grad_y = self.random.standard_normal(y.shape) if y.ndim else np.ones(())
        self.grad_y /= np.linalg.norm(self.grad_y)
        kept = {"x": self.arguments[0], "grad_y": self.grad_y, **dict(self.module.named_parameters())}
        problems = [] if np.isfinite(y).all() else ["y is not finite at this x"]
        problems += [f"fprop changes {name}" for name in self._restore({"x": kept["x"]}, {"x": self.x})]
        before = {name: array.copy() for name, array in kept.items()}
        grad_x = self._backward()
        gradients = {name: gradient.copy() for name, gradient in self.module.named_gradients()}
        problems += [f"bprop changes {name}" for name in self._restore(kept, before)]
        if not np.array_equal(self.y(), y, equal_nan=True):
            problems.append("fprop(x) gives another y in a second run")
        again = self._backward()
        self._restore(kept, before)
        problems += [text for name, g in self.module.named_gradients() for text in added(name, g, gradients[name])]
        return problems, self._fill(grad_x, again, gradients, problems)

    def _restore(self, arrays, before) -> list[str]:
        """Give arrays their values of before; returns the names of those that had changed."""
        changed = [name for name, array in arrays.items() if not np.array_equal(array, before[name], True)]
        for name in changed:
            arrays[name][...] = before[name]
        return changed

    def _backward(self):
        return self.module.bprop(*([self.grad_y] if self.module.takes_gradient else []))

    def _fill(self, grad_x, again, gradients, problems) -> GradientEntry | None:
        """Pair arrays with their gradients; an input gradient of another shape gets an entry that says so."""
        x, wrong = self.arguments[0], None
        name = "x" if self.module.takes_gradient else "y"
        if x.dtype.kind == "f" and np.shape(grad_x) != x.shape:
            got = f"has shape {np.shape(grad_x)}" if isinstance(grad_x, np.ndarray) else f"is {grad_x!r:.40}"
            text = f"(grad_{name} {got}, expected {x.shape})"
            wrong = GradientEntry(name, x.shape, None, np.nan, np.nan, np.inf, False, text)
        elif x.dtype.kind == "f":
            self.pairs.append((name, x, grad_x))
            if not np.allclose(again, grad_x, 1e-9, 0, equal_nan=True):
                problems.append(f"bprop gives another grad_{name} in a second run")
        self.pairs += [(name, array, gradients[name]) for name, array in self.module.named_parameters()]
        return wrong

    def derivatives(self, array, gradient, direction, step) -> tuple[float, float]:
        """The derivative of <grad_y, y> along `direction` as bprop has it, and as differences have it."""
        middle = array.copy()
        array += step * direction
        upper, y = array.copy(), self.y()
        array[...] = middle - step * direction
        moved, change = upper - array, y - self.y()
        array[...] = middle
        length = np.linalg.norm(moved)
        return float(np.vdot(gradient, moved) / length), float(np.vdot(self.grad_y, change) / length)

    def compare(self, array, gradient, direction, tolerance) -> tuple[float, float, float]:
        """(error, analytic, numeric) along a direction, with the better of two steps."""
        scale = max(1.0, float(np.sqrt(np.mean(array**2))))
        tried = []
        for step in STEPS:
            analytic, numeric = self.derivatives(array, gradient, direction, step * scale)
            size = max(abs(analytic), abs(numeric), FLOOR * self.size / scale, 1e-300)
            error = abs(analytic - numeric) / size
            tried.append((error if np.isfinite(error) else np.inf, analytic, numeric))
            if tried[-1][0] <= tolerance:
                break
        return min(tried, key=lambda result: result[0])

    def direction(self, shape, indices=None) -> np.ndarray:
        """A random unit direction, or one among the elements at the flat `indices`."""
        direction = self.random.standard_normal(shape)
        if indices is not None:
            kept = np.zeros(direction.size, bool)
            kept[indices] = True
            direction *= kept.reshape(shape)
        return direction / np.linalg.norm(direction)


def added(name: str, twice: np.ndarray, once: np.ndarray) -> list[str]:
    """What is wrong if a second bprop did not double the gradient."""
    size = np.abs(once[np.isfinite(once)]).max(initial=0)
    if np.allclose(twice, 2 * once, 1e-9, 1e-12 * size, equal_nan=True):
        return []
    overwritten = np.allclose(twice, once, 1e-9, equal_nan=True)
    return [f"bprop {'overwrites' if overwritten else 'does not just add to'} the gradient of {name}, expected +="]
