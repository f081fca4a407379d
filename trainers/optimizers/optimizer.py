"""The base class of optimizers, whose methods are compiled into the step, as modules' are."""

import hashlib
import inspect
import weakref
from typing import Any

import numpy as np

from ...modules.core.aligned_memory import copy_aligned
from ...modules.core.module import Module
from ...modules.core.parameters_and_buffers import refuse_differences
from ...modules.core.text_table import format_table
from ...modules.display.summary import Summary
from ...modules.engine.locks import exclusive, join_locks, locked, refuse_during_fit
from ...modules.engine.operations import Function, Operations
from ...modules.engine.plan import Plan, is_custom
from ...modules.engine.stateful import find_stored_names, jit_disabled
from .extras import IDLE, Extras
from .groups import OWN, make_rules


def compute_state_digest(state: dict[str, Any]) -> bytes:
    """Hash a state, to tell whether it has changed."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value!r}".encode() if not isinstance(value, np.ndarray) else name.encode())
        digest.update(np.ascontiguousarray(value).tobytes() if isinstance(value, np.ndarray) else b"")
    return digest.digest()


class Optimizer(Extras):
    """A rule that changes parameters by their gradients.

    A subclass writes two methods: `start(self, parameters)` makes its arrays, as attributes; and
    `update(self, parameters, gradients)`, compiled, changes the flat vectors (P,) in place. If its `__init__` takes
    `**common` and hands it to `super().__init__`, it has the settings of all optimizers. A step with all of them is, in
    this order:

        g          = ±c clip(gradient) + weight_decay parameter + l1 sign(parameter)      (- with maximize)
        parameter -= lr weight_decay parameter                   (in place of the term above, if decoupled)
        parameter  = update(parameter, g)
        row       *= max_norm / |row|                            (rows of weights that are longer)
        average    = ema average + (1 - ema) parameter

    From outside, `optimizer.update(net)` applies it to a model by hand. An optimizer serves one model at a time; given
    another, or one with more or fewer parameters, it starts anew. A state that was loaded, and that of a copy, serves
    the first model that the optimizer meets after that, which must fit it.

    Args: weight_decay, l1: penalties; decoupled_weight_decay: see above; decay: whether weight_decay is for "weights",
        which have two or more axes, or for "all" parameters, as in PyTorch; clip_value: largest size of an element of
        the gradient; clip_norm: largest norm c |gradient| of the whole gradient; max_norm: of the weights that come in
        at a unit; ema: keeps averaged weights, which evaluation uses; groups: other settings for some parameters;
        maximize: ascend, so that what is called the loss is made as large as possible; sparse_rows: leave the rows of
        an Embedding or EmbeddingBag whose gradient is zero, as of tokens that do not occur, as they are: neither weight
        decay nor l1 moves them, and their averages do not decay. So the work does not grow with the vocabulary, and
        the result is another one; max_norm and ema still look at all rows.
    Errors: ValueError for settings out of range, for groups that do not fit the model, and for sparse_rows of a rule
        that moves more than single parameters.
    Source: Goodfellow et al., Deep Learning, sections 7.1, 7.2 and 10.11.1; Srivastava et al. 2014 (max-norm);
        torch.nn.utils.clip_grad_norm_; torch.optim.swa_utils (averaged weights); torch.optim.SparseAdam (sparse_rows).
    """

    framework_base = True
    entry_points = ("update",)

    @property
    def keeps_gradients(self) -> bool:
        """Whether `update` only reads the gradients; of a custom one nobody knows."""
        return not is_custom(type(self))

    def start(self, parameters: np.ndarray) -> None:
        """Allocate the arrays that `update` keeps between steps."""

    def update(self, parameters, gradients):
        """Update `parameters` in place."""
        raise NotImplementedError(
            f"{type(self).__name__} has no update: write `def update(self, parameters, gradients)`"
        )

    def attach(self, net: Module) -> None:
        """Attach to `net`: reset unless it is the last model, with the same parameters."""
        vector = net.flat_parameters
        if self._vector is not None and self._vector() is vector:
            return
        refuse_during_fit(self, "an update of another model")
        join_locks(net, self)
        state = self._waiting_state()
        parameters = tuple(make_rules(type(self).__name__, net, self._groups, self._decay))
        if self._decoupled and not hasattr(self, "lr"):
            raise ValueError(f"{type(self).__name__}: it has no lr, which decoupled weight decay needs")
        vars(self).update(_dtype=net.dtype, _vector=weakref.ref(vector), _plan=None, _rules=parameters)
        self.forget_plans()
        self._lay_out(vector)
        if self.sparse_rows:
            self.lay_out_spans(net)
        self.start(vector)
        vars(self).update((name, self._laid(value)) for name, value in list(vars(self).items()))
        vars(self).update(_loaded=None, _digest=None)
        if state is not None:
            try:
                self.put_state(state)
            except ValueError:  # which is raised at the next attempt, too, in place of a start without this state
                vars(self).update(_vector=None, _loaded=state)
                raise

    def _waiting_state(self) -> dict[str, Any] | None:
        """The state for the next model: a loaded one, if no step has been taken since."""
        if (
            self._loaded is None
            and self._digest is not None
            and compute_state_digest(self.state_dict()) == self._digest
        ):
            return self.state_dict()
        return self._loaded

    def on_copy(self) -> None:
        """Keep the state for the first model that this copy is attached to, such as a copy of the model."""
        state = self._loaded if self._vector is None else self.state_dict()
        vars(self).update(_vector=None, _plan=None, _loaded=state, _digest=None)

    def reset(self) -> None:
        """Forget the model and the state: the next model starts from zero."""
        vars(self).update(_vector=None, _plan=None, _loaded=None, _digest=None)

    def _laid(self, value):
        """Copy a value with a number for each parameter into aligned memory; other values stay."""
        vector = self._vector() if self._vector is not None else None
        if vector is None or not isinstance(value, np.ndarray) or value.shape != vector.shape:
            return value
        return copy_aligned(value)

    def _enter_update(self, raw, *arguments):
        if len(arguments) == 2:  # from a step in which this class runs as plain Python
            return raw(self, *arguments)
        (net,) = arguments
        if not isinstance(net, Module):
            raise TypeError(f"{type(self).__name__}: update got {type(net).__name__}, expected a Module")
        with locked(net):
            for each in (net, self):
                refuse_during_fit(each, "an update")
            return self._update(net)

    def _update(self, net: Module) -> None:
        self.attach(net)
        vectors = net.flat_parameters, net.flat_gradients
        if self._plan is None or self._plan[0] != (self._version, self._updated):
            made = self._plan_of(*vectors)
            vars(self)["_plan"] = ((self._version, self._updated), *made)
        _, plan, function = self._plan
        if plan is not None:
            plan.call(function, *vectors)
            return
        values = dict(zip(function.inputs, vectors, strict=True))
        for operation in function.operations:
            with np.errstate(all="ignore"):  # compiled code warns of nothing
                result = getattr(self, operation.method)(*[values[name] for name in operation.arguments])
            values[operation.target] = result

    def _plan_of(self, *vectors: np.ndarray) -> tuple[Plan | None, Function]:
        operations = Operations()
        target = self.write_update(operations, "parameters", "gradients")
        function = Function("update", operations.items, ("parameters", "gradients"), (target,))
        if not self.jit or jit_disabled():
            return None, function
        samples = dict(zip(function.inputs, vectors, strict=True))
        return Plan(f"Update by {self.outline()}.", [function], samples), function

    def _state_names(self) -> list[str]:
        own = {name for name in find_stored_names(type(self)) if hasattr(self, name)}
        return sorted(own | ({"averages", "averaged"} if "averages" in vars(self) and self._in_use("ema") else set()))

    @exclusive
    def state_dict(self) -> dict[str, Any]:
        """The state: copies of arrays, and counters, by name. Settings are not part of it."""
        if self._loaded is not None:
            return dict(self._loaded)
        values = {name: getattr(self, name) for name in self._state_names()}
        return {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in values.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; it is for the model that is served, or for another that is met before a
        step.

        Errors: ValueError (and nothing changed) if names or shapes differ; before a model is known, when it is met.
        """
        if self._vector is None or self._vector() is None:  # no model yet, or one that is gone
            vars(self).update(_vector=None, _loaded=dict(state))
            return
        self.put_state(state)
        vars(self)["_digest"] = compute_state_digest(self.state_dict())

    def put_state(self, state: dict[str, Any]) -> None:
        """Restore a state of the attached model; errors as of `load_state_dict`."""
        own = self.state_dict()
        refuse_differences(type(self).__name__, "state", own, state)
        for name, value in own.items():
            if isinstance(value, np.ndarray):
                setattr(self, name, self._laid(np.array(state[name], value.dtype)))
            else:
                setattr(self, name, type(value)(state[name]))

    def extra_repr(self) -> str:
        """lr, and the other settings of the constructor where they are not the default."""
        settings = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            if hasattr(self, name) and name not in IDLE:
                value = getattr(self, name)
                if parameter.default is parameter.empty or name == "lr" or value != parameter.default:
                    settings.append(f"{name}={value}")
        return ", ".join(settings)

    def label(self) -> str:
        common = [f"{name}={getattr(self, name)}" for name, idle in IDLE.items() if getattr(self, name) != idle]
        common += [f"decay={self._decay!r}"] if self._decay != "weights" else []
        common += [f"groups={list(self._groups)}"] if self._groups else []
        common += [f"{name}=True" for name in ("maximize", "sparse_rows") if getattr(self, name)]
        return f"{type(self).__name__}({', '.join(filter(None, [self.extra_repr(), *common]))})"

    def summary(self, net: Module) -> Summary:
        """A table of the settings that hold for each parameter of a model."""
        rows: list[tuple[str, ...]] = [("parameter", "shape", "lr factor", "weight decay", "l1", "max norm")]
        for name, shape, rule in make_rules(type(self).__name__, net, self._groups, self._decay):
            own = [getattr(self, key) if value == OWN else value for key, value in vars(rule).items() if key in IDLE]
            factor = "frozen" if rule.frozen else f"{rule.lr_factor:g}"
            numbers = ["-" if value in (0, np.inf) else f"{value:g}" for value in own]
            rows.append((name, str(shape), factor, *numbers))
        return Summary("\n".join([self.label(), *format_table(rows)]))
