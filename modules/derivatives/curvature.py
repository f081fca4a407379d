"""Products of vectors with the second derivatives of a loss in a model's parameters, without storing a matrix.

The change of a gradient along a direction costs three gradients, whatever the number of parameters: each operation of
the forward and backward pass is followed by its own change (see passes.py).
"""

import numpy as np

from ..core.module import Module
from ..engine.entry_points import convert_input
from ..engine.locks import join_locks, locked
from ..losses.loss import Loss
from .passes import Passes
from .tangent import Program, check_direction, get_program, place_direction, prepare_input


class Curvature:
    """The curvature of a loss in a model's parameters w, on given samples.

        gradient()        g = ∂L/∂w
        hvp(v)            H v,   H = ∂²L/∂w²
        gauss_newton(v)   Jᵀ H_L J v,   J = ∂y/∂w, H_L = ∂²L/∂y²
        fisher(v)         Σₙ gₙ (gₙᵀ v) / N,   gₙ the gradient of N times sample n's share of L

    It works on copies of model and loss in float64; `at(parameters)` moves it. Random numbers, such as dropout's masks,
    are the same in each product; a model in training mode is taken as it trains, else `net.eval()` first.

    Shapes: x and target as in training; vectors (P,) as `net.flat_parameters`.
    Args: net, loss: left as they are; x, target: the samples.
    Errors: ValueError for shapes that do not fit, and for a module whose bprop is an estimate (`estimates`).
    Numerics: hvp is exact to rounding where each module has `rbprop` or is locally linear, and the loss has
        `hessian_times`, as all of this package do; the part of a custom one that has neither is made of differences of
        its own bprop, to about 1e-9. At a kink, as of ReLU, the second derivative counts 0, as in PyTorch.
    Source: Pearlmutter, Fast exact multiplication by the Hessian (1994); Bishop and Bishop, Deep Learning, section
        8.1.6 (eq. 8.38 to 8.41); Schraudolph, Fast curvature matrix-vector products (2002).
    """

    def __init__(self, net: Module, loss: Loss, x, target):
        for module in (*net.all_modules(), *loss.all_modules()):
            if module.estimates:
                raise ValueError(f"Curvature: {module.label()} estimates the gradient, whose changes mean nothing")
        self.net, self.loss = net.copy().to("float64"), loss.copy().to("float64")
        join_locks(self.net, self.loss)
        self.x = prepare_input(self.net, x)
        y_shape = self.net.output_shape(self.x.shape)
        self.target = convert_input(self.loss, 1, target, len(y_shape))
        self.loss.check_arguments(y_shape, self.target.shape)
        self._start = self.net.counters()
        self.value = float("nan")

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return self.net.flat_parameters.size

    def at(self, parameters) -> "Curvature":
        """Move to other parameters (P,); returns self."""
        parameters = check_direction(self.net, "parameters", parameters, (self.size,))
        with locked(self.net):
            self.net.flat_parameters[...] = parameters
        return self

    def gradient(self) -> np.ndarray:
        """∂L/∂w (P,); `value` is then the loss."""
        return self._run("gradient", None)

    def hvp(self, v) -> np.ndarray:
        """H v (P,)."""
        return self._run("hvp", v)

    def gauss_newton(self, v) -> np.ndarray:
        """Jᵀ H_L J v (P,): H without the model's own second derivatives; never negative where the loss is convex."""
        return self._run("gauss_newton", v)

    def fisher(self, v) -> np.ndarray:
        """Σₙ gₙ (gₙᵀ v) / N (P,), the empirical Fisher matrix times v."""
        v = check_direction(self.net, "v", v, (self.size,))
        gradients = self.sample_gradients()
        return gradients.T @ (gradients @ v) / len(gradients)

    def sample_gradients(self) -> np.ndarray:
        """Each sample's gradient (N, P): that of the loss of it alone, as if it were the whole minibatch."""
        with locked(self.net):
            x, target, rows = self.x, self.target, np.empty((len(self.x), self.size))
            try:
                for n in range(len(x)):
                    self.x, self.target = x[n : n + 1], target[n : n + 1]
                    rows[n] = self.gradient()
            finally:
                self.x, self.target = x, target
            return rows

    def _run(self, name: str, v) -> np.ndarray:
        with locked(self.net):
            self.net.load_counters(self._start)
            self.value = run(name, self.net, self.loss, self.x, self.target, v)
            return self.net.flat_gradients.copy()


def run(name: str, net: Module, loss: Loss, x: np.ndarray, target: np.ndarray, v=None) -> float:
    """Run a program; returns the loss. The gradients of the model become its result, in the model's dtype."""
    if name not in PROGRAMS:
        raise ValueError(f"Curvature: got {name!r}, expected one of {', '.join(PROGRAMS)}")
    if name != "gradient":
        place_direction(net, check_direction(net, "v", v, (net.flat_parameters.size,)))
    data = (x, target) if name == "gradient" else (x, target, np.zeros_like(x), net.flat_gradients)
    net.zero_grad()
    return float(
        get_program(net, (name, loss, loss._version), data, lambda net, *data: PROGRAMS[name](net, loss, data))(*data)
    )


def gradient_program(net: Module, loss: Loss, data) -> Program:
    """Make the program of the gradient: fprop, the loss, bprop."""
    passes = Passes(net, loss)
    items = [*passes.fprop, *passes.loss_passes(), *passes.backward("loss_grad")]
    return program("Gradient", net, loss, items, data)


def hvp_program(net: Module, loss: Loss, data) -> Program:
    """Make the program of Hessian products: fprop and its tangent, the loss, bprop and its tangent."""
    passes = Passes(net, loss)
    tangents, v_y = passes.tangents()
    items = [*passes.fprop, *tangents, *passes.loss_passes(), passes.loss_curvature(v_y), *passes.changes()]
    return program("Product with the Hessian", net, loss, items, data)


def gauss_newton_program(net: Module, loss: Loss, data) -> Program:
    """Make the program of Gauss-Newton products: fprop and its tangent, the Hessian of the loss, bprop."""
    passes = Passes(net, loss)
    tangents, v_y = passes.tangents()
    items = [*passes.fprop, *tangents, *passes.loss_passes(), passes.loss_curvature(v_y)]
    items += passes.backward("loss_change")
    return program("Product with the Gauss-Newton matrix", net, loss, items, data)


def program(title: str, net: Module, loss: Loss, items, data) -> Program:
    """Make a program of operations, with the loss as its result."""
    samples = dict(zip(("x", "target", "v", "gradients"), data, strict=False))
    return Program(f"{title} of {net.outline()} with {loss.outline()}.", items, samples, "value")


PROGRAMS = {"gradient": gradient_program, "hvp": hvp_program, "gauss_newton": gauss_newton_program}


def hvp(net: Module, loss: Loss, x, target, v) -> np.ndarray:
    """The Hessian of a loss in a model's parameters, times v (P,): `Curvature(net, loss, x, target).hvp(v)`."""
    return Curvature(net, loss, x, target).hvp(v)
