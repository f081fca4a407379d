"""The base class of learning rules: what travels backward through a net, in the place of the gradient."""

import inspect
import weakref
from typing import Any

import numpy as np

from ...modules.core.aligned_memory import copy_aligned
from ...modules.core.module import Module
from ...modules.core.parameters_and_buffers import refuse_differences
from ...modules.engine.locks import join_locks
from ...modules.engine.operations import Function, Operation, Operations, run_function
from ...modules.engine.plan import Plan
from ...modules.engine.stateful import Stateful, collect_methods, jit_disabled, reads_attribute
from ..optimizers import Optimizer
from ..optimizers.full_batch import FullBatch


class Rule(Stateful):
    """A learning rule: what goes backward through a net, and so how its weights change.

    A copy of the rule stands at each layer with a weight matrix. There, as `self.weight`, it sees the layer's weight
    and as `self.grad_weight` its gradient, by whatever names the layer calls them. A subclass writes

        start(self, layer, input_shape, output_shape, outputs)   makes the arrays of the copy at one layer
        bprop(self, layer, ...) -> grad_x                        compiled; in the place of the layer's bprop
        fprop(self, layer, x) -> y                               compiled; only if the rule changes the forward pass

    `bprop` asks for what it needs by the names of its arguments: x and y of the layer, grad_y, what arrives from above;
    error, the gradient of the loss by the net's output; target. It leaves in the layer's gradients what the optimizer
    then uses as if it were the gradient of the loss, and returns what goes on to the layer before.
    `compute_parameter_gradients(layer, grad_y)` and `compute_grad_x(self, layer, grad_y, matrix)` are a layer's own
    backward pass in two halves, the second with another matrix in the place of the weight.

    A rule serves one model at a time; given another, it starts anew.

    Args: seed: of the random numbers of `self.random()`.
    Errors: TypeError for a `bprop` that asks for an unknown argument; ValueError for a full-batch optimizer.
    `claims_gradient` says whether what the rule makes is the gradient of the loss; then checks compare the two.
    `kept` names the attributes that a resumed training needs.
    """

    framework_base = True
    flags = ("needs_grad_x", "training")
    claims_gradient = False
    kept: tuple[str, ...] = ()
    not_copied = Stateful.not_copied | {"_copies", "_attached", "_loaded", "_answers"}

    def __init__(self, seed: int = 0):
        super().__init__()
        self.seed = seed
        vars(self).update(needs_grad_x=True, training=True, index=0)
        self.on_copy()

    def on_copy(self) -> None:
        vars(self).update(_copies={}, _attached=None, _loaded=None, _answers={})

    # -- what the author of a rule writes ----------------------------------------------------------------------------

    def start(self, layer: Module, input_shape: tuple, output_shape: tuple, outputs: int) -> None:
        """Make the arrays of the copy at a layer.

        Args: input_shape, output_shape: of the layer, without the batch axis; outputs: how many numbers the net makes
            of a sample.
        """

    def random(self) -> np.random.Generator:
        """Random numbers that depend on the seed and on the place of the layer alone."""
        return np.random.default_rng([self.seed, self.index])

    def check_target(self, target: np.ndarray) -> None:
        """Raise ValueError for targets that the rule cannot learn from."""

    # -- attaching ---------------------------------------------------------------------------------------------------

    def attach(self, net: Module, x_shape: tuple[int, ...]) -> None:
        """Make the copies for the layers of a net and inputs of this shape (N, ...), unless they are there already.

        Errors: ValueError for a net that the rule cannot train.
        """
        net.flat_parameters  # noqa: B018 - from now on the parameters stay where they are
        key = (weakref.ref(net), net._version, tuple(x_shape[1:]), net.dtype)
        if self._attached == key and all(copy.fits() for copy in self._copies.values()):
            return
        state = self.state_dict() if self._loaded is None and self._attached and self._attached[0]() is net else None
        state = self._loaded or state
        vars(self).update(_copies={}, _answers={})
        self.forget_plans()
        self.make_copies(net, tuple(x_shape))
        vars(self).update(_attached=key, _loaded=None)
        if state and state.keys() == self.state_dict().keys():
            self.load_state_dict(state)

    def check_optimizer(self, optimizer: Optimizer) -> None:
        """Raise ValueError for an optimizer that needs the gradient itself."""
        if isinstance(optimizer, FullBatch):
            problem = f"{type(optimizer).__name__} searches along the gradient of the loss"
            raise ValueError(f"{self.label()}: {problem}, expected an optimizer of minibatches, such as SGD")

    def make_copies(self, net: Module, x_shape: tuple[int, ...]) -> None:
        """Make a copy for each layer with a weight matrix."""
        operations = Operations()
        y = operations.fprop(net, "x")
        shapes = infer_shapes(operations.items, x_shape)
        for operation in operations.items:
            layer = operation.module
            if operation.method == "fprop" and isinstance(layer, Module) and has_matrix(self, layer):
                copy = self.make_copy(net, layer)
                outputs = int(np.prod(shapes[y][1:]))
                copy.start(layer, shapes[operation.arguments[0]][1:], shapes[operation.target][1:], outputs)
                align_arrays(copy)

    def make_copy(self, net: Module, layer: Module) -> "Rule":
        """Make the copy that stands at a layer."""
        copy = self.copy()
        vars(copy).update(_dtype=net.dtype, index=len(self._copies), needs_grad_x=True, training=True)
        names = list_matrices(layer)
        if len(names) == 1:
            slices = layer.flat_parameters, layer.flat_gradients
            vars(copy).update(
                _layer=weakref.ref(layer),
                _name=names[0],
                weight=vars(layer)[names[0]],
                grad_weight=vars(layer)[f"grad_{names[0]}"],
                gradients=slices[1],
                kept_gradients=np.zeros_like(slices[1]),
                layer_leaves_gradients=reads_attribute(type(layer), "needs_grad_parameters"),
            )
        join_locks(net, copy)
        self._copies[layer] = copy
        return copy

    def fits(self) -> bool:
        """Whether the weight of the layer where this copy stands is where it was."""
        layer = vars(self)["_layer"]() if "_layer" in vars(self) else None
        return "_layer" not in vars(self) or (layer is not None and vars(layer)[self._name] is self.weight)

    def copy_at(self, layer: Module) -> "Rule":
        """The copy that stands at a layer of the net that is trained; KeyError if there is none."""
        return self._copies[layer]

    def list_copies(self) -> list[tuple[Module, "Rule"]]:
        """List the layers of the net that is trained and the copies that stand at them, in order."""
        return list(self._copies.items())

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        for copy in vars(self).get("_copies", {}).values():  # a setting holds at all layers
            setattr(copy, name, value)

    # -- plans -------------------------------------------------------------------------------------------------------

    def write_step(self, operations: Operations, net: Module, loss: Module, x: str, *targets: str) -> tuple[str, str]:
        """Write the forward pass, the loss and the backward pass; returns the names of the loss and of the output."""
        y = self.write_outputs(operations, net, x)
        value = operations.call(loss, "fprop", y, *targets)
        error = operations.call(loss, "bprop")
        begin = len(operations.items)
        forward = {operation.other or operation.module: operation for operation in operations.items}
        operations.bprop(net, error)
        for k, operation in enumerate(operations.items[begin:], start=begin):
            if operation.method == "bprop" and operation.module in self._copies and self.writes("bprop"):
                passed = forward[operation.module]
                known = {"x": passed.arguments[0], "y": passed.target, "grad_y": operation.arguments[0]}
                known |= {"error": error, "target": targets[0]}
                operations.items[k] = self._redirect(operation, known)
        return value, y

    def write_outputs(self, operations: Operations, net: Module, x: str) -> str:
        """Write how the net answers to x; returns the name of the output."""
        begin = len(operations.items)
        y = operations.fprop(net, x)
        for k, operation in enumerate(operations.items[begin:], start=begin):
            if operation.method == "fprop" and operation.module in self._copies and self.writes("fprop"):
                operations.items[k] = self._redirect(operation, {"x": operation.arguments[0]})
        return y

    def _redirect(self, operation: Operation, known: dict[str, str]) -> Operation:
        """Put the method of the copy at a layer in the place of the layer's own."""
        copy: Any = self._copies[operation.module]  # type: ignore[index]
        asked = list(inspect.signature(getattr(type(self), operation.method)).parameters)[2:]
        for name in asked:
            if name not in known:
                listed = ", ".join(known)
                raise TypeError(f"{self.label()}: {operation.method} asks for {name!r}, expected some of {listed}")
        arguments = tuple(known[name] for name in asked)
        return Operation(operation.target, copy, operation.method, arguments, other=operation.module)

    def writes(self, method: str) -> bool:
        """Whether the class has a method of its own of this name."""
        return method in collect_methods(type(self))

    @property
    def changes_outputs(self) -> bool:
        """Whether a net that was trained by this rule answers in another way than by its fprop."""
        return self.writes("fprop")

    def answer(self, net: Module, x: np.ndarray) -> np.ndarray:
        """The output (N, ...) of a net in evaluation mode for inputs (N, ...), as this rule understands it."""
        if not self.changes_outputs:
            return net.fprop(x)
        self.attach(net, x.shape)
        key = (x.ndim, x.dtype.char, jit_disabled())
        if key not in self._answers:
            operations = Operations()
            y = self.write_outputs(operations, net, "x")
            function = Function("outputs", operations.items, ("x",), (y,))
            plan = None
            if not jit_disabled():
                plan = Plan(f"Outputs of {net.outline()} by {self.outline()}.", [function], {"x": x})
                plan.flags = {(copy, "training"): False for copy in self._copies.values()}
            self._answers[key] = plan, function
        plan, function = self._answers[key]
        if plan is not None:
            return np.array(plan.call(function, x))
        for copy in self._copies.values():
            vars(copy)["training"] = False
        try:
            return np.array(run_function(function, {"x": x}))
        finally:
            for copy in self._copies.values():
                vars(copy)["training"] = True

    # -- state -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed training needs, by the layer's number and name: copies of arrays, and numbers."""
        if self._loaded is not None:
            return dict(self._loaded)
        state = {}
        for copy in self._copies.values():
            for name in copy.kept:
                value = getattr(copy, name)
                state[f"{copy.index}.{name}"] = np.array(value) if isinstance(value, np.ndarray) else value
        return state

    def list_counters(self) -> list[tuple["Rule", str]]:
        """List the copies and the names of the numbers that they keep, which count how often something has run."""
        names = [(copy, name) for copy in self._copies.values() for name in copy.kept]
        return [(copy, name) for copy, name in names if not isinstance(getattr(copy, name), np.ndarray)]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; before a net is known, when it is met.

        Errors: ValueError, and nothing changed, if names or shapes differ.
        """
        if self._attached is None:
            vars(self)["_loaded"] = dict(state)
            return
        refuse_differences(type(self).__name__, "state", self.state_dict(), state)
        for copy in self._copies.values():
            for name in copy.kept:
                value, own = state[f"{copy.index}.{name}"], getattr(copy, name)
                if isinstance(own, np.ndarray):
                    (vars(copy) if name in vars(copy) else copy._initial)[name][...] = value
                else:
                    copy.write_number(name, type(own)(value))

    def extra_repr(self) -> str:
        settings = inspect.signature(type(self)).parameters.values()
        values = {each.name: getattr(self, each.name, each.default) for each in settings}
        return ", ".join(f"{each.name}={values[each.name]!r}" for each in settings if values[each.name] != each.default)


def align_arrays(copy: Rule) -> None:
    """Move the arrays that `start` has made into aligned memory."""
    shared = {"weight", "grad_weight", "gradients"}
    for name, value in list(vars(copy).items()):
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size and name not in shared:
            vars(copy)[name] = copy_aligned(value.ravel()).reshape(value.shape)


def list_matrices(layer: Module) -> list[str]:
    """List the names of a layer's own weights that have two axes or more."""
    return [name for name in layer._parameters if vars(layer)[name].ndim > 1]


def has_matrix(rule: Rule, layer: Module) -> bool:
    """Whether a layer has a weight matrix of its own; ValueError if it has several."""
    names = list_matrices(layer)
    if len(names) > 1:
        listed = ", ".join(names)
        raise ValueError(f"{rule.label()}: {layer.path()} {layer.label()} has the matrices {listed}, expected one")
    return bool(names)


def infer_shapes(operations: list[Operation], x_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Infer the shapes of all values of a forward pass, by name."""
    shapes: dict[str, Any] = {"x": tuple(x_shape)}
    for operation in operations:
        module: Any = operation.module
        shapes[operation.target] = module.check_arguments(*[shapes[name] for name in operation.arguments])
    return shapes
