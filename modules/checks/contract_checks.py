"""The contract checks of a module, each a function of a Trial that returns what is wrong, or an empty string.

They run copies of the module. `check_module` runs all but the last, `check_compiled`, as plain Python. Their docstrings
are the rows of its report.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..core.module import Module
from ..engine.stateful import jit_disabled, plain_python, reads_attribute, uncompiled
from ..engine.tables import flatten_table, map_table
from ..losses.loss import Loss
from .gradient_check import compare_excusing_kinks
from .gradient_report import GradientReport
from .rounding import estimate_allowances, scale_to_precision


@dataclass(frozen=True)
class Trial:
    """A module and arguments to check it with: x (N, ...), and for a loss y and a target."""

    module: Module
    arguments: tuple[np.ndarray, ...]
    seed: int = 0
    tolerance: float = 1e-6

    @property
    def x(self) -> np.ndarray:
        """The first argument."""
        return self.arguments[0]

    @property
    def samples(self) -> int:
        """The number of samples of x, which may be a table."""
        return len(flatten_table(self.x)[0])

    def copy(self, dtype="float64") -> Module:
        """Make a copy of the module."""
        return self.module.copy().to(dtype)

    def rows(self, chosen) -> tuple[np.ndarray, ...]:
        """Select the arguments of some samples."""
        return map_table(lambda array: np.ascontiguousarray(array[chosen]), self.arguments)

    def cast_arguments(self, dtype) -> tuple[np.ndarray, ...]:
        """Cast the arguments to a floating type; whole numbers stay."""
        return map_table(lambda array: array.astype(dtype) if array.dtype.kind == "f" else array, self.arguments)

    def permute_rows(self) -> tuple[np.ndarray, ...]:
        """Permute the samples of the arguments, and repeat one of them."""
        return self.rows([*range(self.samples)[::-1], 0])

    def gradients(self, arguments=None) -> GradientReport:
        """The gradient check."""
        arguments = self.arguments if arguments is None else arguments
        return compare_excusing_kinks(self.module, arguments, seed=self.seed, tolerance=self.tolerance)

    def run(self, module: Module, arguments=None) -> dict[str, np.ndarray]:
        """Run forward and backward; returns y, grad_x and the gradients of parameters."""
        module.zero_grad()
        y = module.fprop(*(self.arguments if arguments is None else arguments))
        grad_x = module.bprop(*([self.grad_y(y)] if module.takes_gradient else []))
        gradients = {f"grad_{name}": gradient.copy() for name, gradient in module.named_gradients()}
        return {"y": np.array(y), "grad_x": np.array(grad_x, copy=True)} | gradients

    def grad_y(self, y: np.ndarray) -> np.ndarray:
        """A random gradient for an output, of its dtype."""
        return np.random.default_rng((9, self.seed)).standard_normal(y.shape).astype(y.dtype)

    @cached_property
    def allowances(self) -> dict[str, float]:
        """Estimate how far rounding in float64 may change the results of `run`."""
        with np.errstate(all="ignore"):
            y = np.asarray(self.copy().fprop(*self.arguments))
            return estimate_allowances(
                self.copy(), self.arguments, self.grad_y(y) if self.module.takes_gradient else None
            )

    def list_differing(self, actual: dict, expected: dict, tolerance: float, dtype="float64") -> str:
        """The names of arrays that differ by more than `tolerance` of their largest element, and than by rounding."""
        wrong = [name for name in expected if not is_close(actual[name], expected[name], tolerance)]
        if wrong and tolerance:
            allowed = scale_to_precision(self.allowances, dtype)
            wrong = [
                name for name in wrong if not is_close(actual[name], expected[name], tolerance, allowed.get(name, 0.0))
            ]
        return ", ".join(wrong)


ContractCheck = Callable[[Trial], str]


def is_close(a: np.ndarray, b: np.ndarray, tolerance: float, allowance: float = 0.0) -> bool:
    """Whether two arrays agree in shape and, up to `tolerance` of the largest element, in value."""
    if a.shape != b.shape:
        return False
    if a.dtype == object:  # no gradient at all
        return bool((a == b).all())
    size = float(np.abs(b[np.isfinite(b)]).max(initial=0.0))
    return np.allclose(a, b, rtol=tolerance, atol=tolerance * size + allowance, equal_nan=True)


# -- the checks --------------------------------------------------------------------------------------------------


def check_earlier_runs(trial: Trial) -> str:
    """other minibatches leave nothing behind"""
    expected = trial.run(trial.copy())
    for earlier in (trial.permute_rows(), trial.rows(slice(None, None, -1))):
        module = trial.copy()
        start, state = module.counters(), module.state_dict()
        trial.run(module, earlier)
        module.load_counters(start)
        module.load_state_dict(state)
        if wrong := trial.list_differing(trial.run(module), expected, 1e-9):
            return f"after another minibatch: {wrong} as if of that one (stored once and kept?)"
    return ""


def check_independence(trial: Trial) -> str:
    """what another module of its class does, changes nothing"""
    expected = trial.run(trial.copy())
    module, other = trial.copy(), trial.copy()
    module.zero_grad()
    y = np.array(module.fprop(*trial.arguments))
    trial.run(other, trial.rows(slice(None, None, -1)))
    grad_x = module.bprop(*([trial.grad_y(y)] if module.takes_gradient else []))
    actual = {"y": y, "grad_x": np.array(grad_x)} | {f"grad_{name}": g for name, g in module.named_gradients()}
    wrong = trial.list_differing(actual, expected, 1e-9)
    return (
        f"{wrong} as if of another module's minibatch (kept in a global or in the class, not on self?)" if wrong else ""
    )


def check_float32(trial: Trial) -> str:
    """float32 in gives float32 out, which is float64 rounded"""
    arguments = trial.cast_arguments("float32")
    with np.errstate(all="ignore"):
        single, double = trial.run(trial.copy("float32"), arguments), trial.run(trial.copy(), arguments)
    leaks = [name for name, a in single.items() if a.dtype == np.float64 and (a.ndim or trial.module.takes_gradient)]
    if leaks:
        return f"{' and '.join(leaks)} in float64 for an x in float32: a constant or an array in float64 widens it"
    wrong = trial.list_differing(single, double, 1e-3, "float32")
    return f"{wrong} in float32 is far from that in float64" if wrong else ""


def check_memory_layout(trial: Trial) -> str:
    """how the input lies in memory does not matter"""
    expected, (x, *more) = trial.run(trial.copy()), trial.arguments
    strided = np.repeat(x, 2, axis=-1)[..., ::2]
    for name, other in (("strided", strided), ("Fortran-ordered", np.asfortranarray(x))):
        wrong = trial.list_differing(trial.run(trial.copy(), (other, *more)), expected, 1e-9)
        if wrong:
            return f"with a {name} x: other {wrong}"
    return ""


def check_output_shape(trial: Trial) -> str:
    """output_shape says what fprop gives"""
    if isinstance(trial.module, Loss):
        return ""
    for arguments in (trial.arguments, trial.permute_rows()):
        expected, actual = trial.copy().output_shape(arguments[0].shape), trial.copy().fprop(*arguments).shape
        if tuple(expected) != actual:
            return f"output_shape({arguments[0].shape}) is {tuple(expected)}, fprop gives {actual}"
    return ""


def check_reproducibility(trial: Trial) -> str:
    """copies give the same: randomness comes from counters alone"""
    wrong = trial.list_differing(trial.run(trial.copy()), trial.run(trial.copy()), 0)
    return f"two copies give different {wrong} (random numbers from no counter? see Noise)" if wrong else ""


def check_saved_state(trial: Trial) -> str:
    """state_dict contains all that was learned"""
    used, fresh = trial.copy(), trial.copy()
    for arguments in (trial.permute_rows(), trial.arguments):
        trial.run(used, arguments)
    used.flat_parameters[...] *= 1.25
    fresh.load_state_dict(used.state_dict())
    fresh.load_counters(used.counters())
    if is_close(
        np.asarray(fresh.eval().fprop(*trial.arguments)), np.asarray(used.eval().fprop(*trial.arguments)), 1e-12
    ):
        return ""
    return "a module that loads the state_dict of a used one gives another y (keep in a Buffer what runs change)"


def check_needs_grad_x(trial: Trial) -> str:
    """without needs_grad_x, the gradients of parameters stay"""
    module = trial.copy()
    if module.children() or isinstance(module, Loss):
        return ""
    expected = trial.run(module.copy())
    module.needs_grad_x = False
    with plain_python():
        actual = trial.run(module)
    wrong = trial.list_differing(actual | {"grad_x": expected["grad_x"]}, expected, 1e-9)
    return f"other {wrong} where needs_grad_x is False" if wrong else ""


def check_needs_grad_parameters(trial: Trial) -> str:
    """without needs_grad_parameters, grad_x stays, and so do the gradients if the module reads the flag"""
    module = trial.copy()
    if module.children() or isinstance(module, Loss) or not module._parameters:
        return ""
    expected = trial.run(module.copy())
    module.needs_grad_parameters = False
    with plain_python():
        actual = trial.run(module)
    wrong = trial.list_differing({"grad_x": actual["grad_x"]}, {"grad_x": expected["grad_x"]}, 1e-9)
    if wrong:
        return "another grad_x where needs_grad_parameters is False"
    written = [name for name in actual if name not in ("y", "grad_x") and actual[name].any()]
    if written and reads_attribute(type(module), "needs_grad_parameters"):
        return f"bprop writes {', '.join(written)} where needs_grad_parameters is False"
    return ""


def check_accumulate(trial: Trial) -> str:
    """without accumulate, nothing of earlier gradients is left"""
    module = trial.copy()
    if module.children() or not module.overwrites_gradients() or not module._parameters:
        return ""
    expected = trial.run(module.copy())
    module.accumulate = False
    with plain_python():
        y = module.fprop(*trial.arguments)
        module.flat_gradients[...] = 7
        module.bprop(trial.grad_y(y))
    actual = {f"grad_{name}": gradient for name, gradient in module.named_gradients()}
    wrong = trial.list_differing(actual, {name: expected[name] for name in actual}, 1e-9)
    return f"{wrong} keeps what was there before, where accumulate is False" if wrong else ""


def check_sample_weights(trial: Trial) -> str:
    """equal weights of samples change nothing, and a weight of 0 leaves a sample out"""
    if not (isinstance(trial.module, Loss) and trial.module.takes_sample_weight) or trial.samples < 2:
        return ""
    ones, most = np.ones(trial.samples), np.arange(trial.samples) > 0
    with plain_python():
        wrong = trial.list_differing(trial.run(trial.copy(), (*trial.arguments, ones)), trial.run(trial.copy()), 1e-9)
        if wrong:
            return f"{wrong} with weights of 1 is not that without weights"
        actual = trial.run(trial.copy(), (*trial.arguments, ones * most))
        expected = trial.run(trial.copy(), trial.rows(most))
        if trial.module.each:  # a value for each sample, with its own gradient: of another sample, nothing changes it
            expected = {name: array[1:] for name, array in trial.run(trial.copy()).items()}
            actual |= {"y": actual["y"][1:] + abs(actual["y"][0]).max()}
    left_out = not actual["grad_x"][0].any()
    wrong = trial.list_differing(actual | {"grad_x": actual["grad_x"][1:]}, expected, 1e-9) or (
        "" if left_out else "grad_x"
    )
    return f"{wrong} is not that without the sample whose weight is 0" if wrong else ""


def check_directions(trial: Trial) -> str:
    """jvp, rbprop and hessian_times, where they are written, belong to fprop and bprop"""
    from ..derivatives.checks import check_hessian_times, check_jvp_and_rbprop

    module = trial.copy()
    if isinstance(module, Loss):
        y, target = trial.arguments
        return "" if module.each else check_hessian_times(module, y, target, trial.seed)
    return check_jvp_and_rbprop(module, trial.arguments[0], trial.seed)


def check_compiled(trial: Trial) -> str:
    """compiled equals plain Python, in float64 and in float32"""
    if jit_disabled():
        return ""
    return compare_compiled(trial, "float64") or compare_compiled(trial, "float32")


def compare_compiled(trial: Trial, dtype: str) -> str:
    """Compare the compiled code of a floating type with plain Python; describes what differs, or ""."""
    arguments, module = trial.cast_arguments(dtype), trial.copy(dtype)
    start, state = module.counters(), module.state_dict()
    trial.run(module, trial.permute_rows())
    module.load_counters(start)
    module.load_state_dict(state)
    actual = trial.run(module, arguments)  # where memory of another minibatch is used again
    with uncompiled():
        expected = trial.run(trial.copy(dtype), arguments)
    wrong = trial.list_differing(actual, expected, 1e-9 if dtype == "float64" else 1e-3, dtype)
    return f"{wrong} compiled is not that of plain Python in {dtype}" if wrong else ""


CONTRACT_CHECKS: tuple[ContractCheck, ...] = (
    check_earlier_runs,
    check_independence,
    check_float32,
    check_memory_layout,
    check_output_shape,
    check_reproducibility,
    check_saved_state,
    check_needs_grad_x,
    check_needs_grad_parameters,
    check_accumulate,
    check_sample_weights,
    check_directions,
    check_compiled,
)
