"""The base class of every layer, container and loss.

A module's author writes `fprop` and `bprop`; this class gives them parameters with gradients, a place in a net, and the
doors through which Python calls the compiled methods: checked shapes, paired calls, arrays that are the caller's own.
"""

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .engine import calls
from .engine.stateful import Stateful, in_plain_python, method_names, plain_python
from .engine.tables import is_table_of_shapes
from .initializers import new_key
from .parameter import Buffer, Counter, Parameter, flatten
from .sharing import first_of, part, point_at, refuse_ties_between_nets, retie, tie, untied

if TYPE_CHECKING:
    from .drawing import Drawing, Format
    from .summary import Summary

FLAGS = ("accumulate", "needs_grad_x")


class Module(Stateful):
    """A differentiable function with a hand-written backward pass.

        fprop(x) -> y             store on self what bprop needs
        bprop(grad_y) -> grad_x   add to self.grad_<parameter>

    Settings on self that methods may read: `training` (see `train`, `eval`), `needs_grad_x` (false where nobody
    uses grad_x) and `accumulate` (false where bprop may overwrite the gradients; a bprop that never reads it adds).
    Set `jit = False` on a class that numba cannot compile: it then runs as Python between compiled parts.
    Two methods more are welcome, for derivatives beyond the gradient (see `bprop.modules.derivatives`), which else are
    made of differences: `jvp(v) -> J v`, with the parameters' directions in self.v_<parameter>, and
    `rbprop(v, grad_y, r_grad_y) -> R{grad_x}`, the change of bprop along them, which adds R{grad_<parameter>}.
    `check_module(module, x)` tells whether a module keeps this contract, and if not, what is wrong.

    Shapes: the first axis of x, y and their gradients is the minibatch.
    Source: the fprop/bprop contract of Goodfellow et al., Deep Learning, section 6.5.6.
    """

    framework_base = True
    entry_points = ("fprop", "bprop")
    flags = FLAGS
    label_arguments: tuple[int, ...] = ()  # positions of fprop's arguments that stay whole numbers
    takes_gradient = True  # bprop(grad_y); a loss has bprop()
    locally_linear = False  # whether dy/dx is constant near almost all x, and there are no parameters
    estimates = False  # whether bprop is an estimate by design, which no derivative of fprop confirms
    kinks_meet = False  # whether one number of x may stand at several kinks at once

    def __init__(self):
        super().__init__()
        hidden = vars(self)
        hidden["_modules"] = {}
        hidden["_parameters"] = []
        hidden["_buffers"] = []
        hidden["_counters"] = []
        hidden["_flat"] = None
        hidden["_plans"] = {}
        hidden["_pending"] = None
        hidden["_checked"] = {}
        hidden["_tie"] = None  # with the modules that share its parameters
        hidden.update(training=True, accumulate=True, needs_grad_x=True)

    # -- what the author of a module writes ------------------------------------------------------------------------

    def fprop(self, x):
        """y = f(x); stores on self what `bprop` needs."""
        raise NotImplementedError(f"{type(self).__name__} has no fprop: write `def fprop(self, x)`")

    def bprop(self, grad_y):
        """grad_x = (dy/dx)ᵀ grad_y; adds to the gradients of the parameters."""
        raise NotImplementedError(
            f"{type(self).__name__} has no bprop: write `def bprop(self, grad_y)`, "
            "or put @derived of bprop.modules.autodiff above the class until you have"
        )

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of y for an x of shape `input_shape`, both with the batch axis; ValueError if x does not fit.

        A module that does not define it is tried on zeros.
        """
        x = np.zeros(input_shape, self.dtype)
        with plain_python(), np.errstate(all="ignore"):
            y = self.copy().fprop(x)
        if not isinstance(y, np.ndarray):
            raise TypeError(f"{self.label()}: fprop returns {type(y).__name__}, expected one array")
        return y.shape

    def one_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """`output_shape` of a net that is trained or asked for its outputs; ValueError if it makes a table."""
        shape = self.output_shape(tuple(input_shape))
        if is_table_of_shapes(shape):
            said = f"{self.label()}: makes a table of {len(shape)} arrays, expected one"
            raise ValueError(f"{said}; a JoinTable or StackTable after it makes one of them")
        return shape

    def check_arguments(self, *shapes):
        """ValueError unless arguments of these shapes fit; returns the shape of the result."""
        if is_table_of_shapes(shapes[0]):
            said = " and ".join(map(str, shapes[0]))
            raise ValueError(f"{self.label()}: x is a table of arrays of shapes {said}, expected one array")
        return self.output_shape(*shapes)

    # -- calling -------------------------------------------------------------------------------------------------

    def __call__(self, x):
        """`fprop`."""
        return self.fprop(x)

    def _enter_fprop(self, raw, *arguments):
        from .engine.calls import fprop

        owner = self.parent
        while owner is not None:  # run by itself, it overwrites what the net around it has stored
            vars(owner)["_pending"] = None
            owner = owner.parent
        return fprop(self, raw, arguments)

    def _enter_bprop(self, raw, *arguments):
        return calls.bprop(self, raw, arguments)

    def write_fprop(self, operations, *arguments):
        """Append this module's forward pass to a plan; containers append their children's."""
        return operations.call(self, "fprop", *arguments)

    def write_bprop(self, operations, *arguments):
        """Append this module's backward pass to a plan."""
        return operations.call(self, "bprop", *arguments)

    # -- attributes ----------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        hidden = vars(self)
        if isinstance(value, Parameter):
            self._add_parameter(name, value)
        elif isinstance(value, Buffer):
            self._add_buffer(name, value)
        elif isinstance(value, Counter):
            self._counters.append(name)
            super().__setattr__(name, value.value)
        elif isinstance(value, Module):
            self._add_module(name, value)
        elif isinstance(value, list | tuple) and any(isinstance(item, Module) for item in value):
            raise TypeError(f"{self.label()}: self.{name} is a list of modules, expected a Sequential of them")
        elif name in self.fixed_names() if "_parameters" in hidden else False:
            self._write_array(name, value)
        elif name in hidden.get("_counters", ()) and not in_plain_python():
            self.write_number(name, int(value))
        else:
            super().__setattr__(name, value)

    def __getattr__(self, name: str):
        children = vars(self).get("_modules")
        if children is not None and name in children:
            return children[name]
        return super().__getattr__(name)

    def _add_parameter(self, name: str, parameter: Parameter) -> None:
        super().__setattr__(name, None)
        hidden = vars(self)
        hidden[name] = np.array(parameter.data, self.dtype, order="C")
        hidden[f"grad_{name}"] = np.zeros_like(hidden[name])
        if hasattr(self, "jvp"):  # the direction of a derivative: no memory before one is asked for
            hidden[f"v_{name}"] = np.zeros((0,) * hidden[name].ndim, self.dtype)
        if name not in self._parameters:
            self._parameters.append(name)
        for other in self._tie.members if self._tie is not None else ():
            if name in other._parameters:
                point_at(self, other)
                other.changed()
        self.changed()

    def _add_buffer(self, name: str, buffer: Buffer) -> None:
        super().__setattr__(name, None)
        dtype = self.dtype if buffer.data.dtype.kind == "f" else np.int64
        vars(self)[name] = np.array(buffer.data, dtype, order="C")
        if name not in self._buffers:
            self._buffers.append(name)
        self.changed()

    def _write_array(self, name: str, value) -> None:
        """Assign to a parameter or gradient: its memory stays where it is."""
        array = vars(self)[name]
        if value is array:
            return
        if np.shape(value) != array.shape:
            raise ValueError(f"{self.label()}: {name} has shape {array.shape}, got {np.shape(value)}")
        array[...] = value

    def _add_module(self, name: str, module: "Module") -> None:
        """Take a module in as child `name`, once."""
        if module is self or any(self is other for other in module.all_modules()):
            raise ValueError(f"{self.label()}: a module cannot contain itself")
        if module.parent is not None or any(module is other for other in self.all_modules()):
            raise ValueError(
                f"{module.label()} stands in a net already, at {module.path()}: its stored input would be overwritten; "
                "use module.copy() for one like it, module.share() for one with the same weights"
            )
        vars(module)["_parent"] = weakref.ref(self)
        self._modules[name] = module
        if module.dtype != self.dtype:
            module.to(self.dtype)
        retie(self.root())
        self.changed()

    def changed(self) -> None:
        super().changed()
        owner: Module | None = self
        while owner is not None:
            vars(owner).update(_flat=None, _plans={}, _pending=None, _checked={})
            owner = owner.parent  # type: ignore[assignment]

    # -- the tree ------------------------------------------------------------------------------------------------

    def children(self) -> dict[str, "Module"]:
        """The modules directly inside this one, by name."""
        return dict(self._modules)

    def children_inside(self) -> dict[str, "Module"]:
        """Children that this module's own methods call (a container that writes its plan itself has none)."""
        return self._modules

    def all_modules(self) -> Iterator["Module"]:
        """This module and all inside it, parents first."""
        yield self
        for child in self._modules.values():
            yield from child.all_modules()

    def path(self) -> str:
        """Where this module stands: `model`, `model[2]`, `model[2].inner`."""
        parent = self.parent
        if parent is None:
            return "model"
        name = next(name for name, child in parent._modules.items() if child is self)
        return parent.path() + (f"[{name}]" if name.isdigit() else f".{name}")

    def root(self) -> "Module":
        """The whole net that this module stands in."""
        root: Module = self
        while root.parent is not None:
            root = root.parent  # type: ignore[assignment]
        return root

    def outline(self) -> str:
        shown = [child.outline() for name, child in self._modules.items() if not name.startswith("_")]
        inside = ", ".join(shown)
        return f"{type(self).__name__}({inside})" if inside else type(self).__name__

    def add_place(self, error: BaseException) -> None:
        """Note on an error where in the net this module stands."""
        if self.parent is not None:
            error.add_note(f"in {self.path()}")

    def place_once(self, error: BaseException) -> None:
        """The same, unless a module inside this one has noted its own place."""
        if not getattr(error, "__notes__", ()):
            self.add_place(error)

    # -- parameters ----------------------------------------------------------------------------------------------

    def fixed_names(self) -> set[str]:
        """Attributes whose memory never moves: parameters, their gradients, and buffers."""
        directions = [f"v_{name}" for name in self._parameters if hasattr(self, "jvp")]
        return {*self._parameters, *self.gradient_names(), *directions, *self._buffers}

    def gradient_names(self) -> list[str]:
        return [f"grad_{name}" for name in self._parameters]

    def overwrites_gradients(self) -> bool:
        """Whether bprop honours `accumulate`, so that nobody need clear the gradients before it."""
        functions = method_names(type(self)).values()
        return not self._parameters or any("accumulate" in function.__code__.co_names for function in functions)

    def _owners(self) -> list[tuple["Module", str]]:
        return [(module, name) for _, module in untied(self) for name in module._parameters]

    def named_parameters(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, array) for each parameter, the names as in PyTorch: `0.weight`, `2.inner.bias`; shared ones once."""
        for prefix, module in untied(self):
            for name in module._parameters:
                yield f"{prefix}.{name}" if prefix else name, vars(module)[name]

    def named_gradients(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, array) for each parameter's gradient, under the parameter's name."""
        for prefix, module in untied(self):
            for name in module._parameters:
                yield f"{prefix}.{name}" if prefix else name, vars(module)[f"grad_{name}"]

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, array) for each buffer, the names as in PyTorch: `1.running_mean`; shared ones once."""
        for prefix, module in untied(self):
            for name in module._buffers:
                yield f"{prefix}.{name}" if prefix else name, vars(module)[name]

    def counters(self) -> dict[str, int]:
        """The counters of this module and all inside it, such as `2.step`; a resumed training needs them."""
        return {
            f"{prefix}.{name}" if prefix else name: getattr(module, name)
            for prefix, module in self.named_modules()
            for name in module._counters
        }

    def load_counters(self, counters: dict[str, int]) -> None:
        """Set the counters to those of `counters()`; ValueError (and nothing changed) if the names differ."""
        own, given = self.counters(), {name: int(value) for name, value in counters.items()}
        wrong = [f"missing {name}" for name in own if name not in given]
        wrong += [f"unexpected {name}" for name in given if name not in own]
        if wrong:
            raise ValueError(f"{type(self).__name__}: cannot load the counters: {'; '.join(wrong)}")
        for prefix, module in self.named_modules():
            for name in module._counters:
                module.write_number(name, given[f"{prefix}.{name}" if prefix else name])

    def find(self, what: "str | type[Module]") -> dict[str, "Module"]:
        """The modules inside this one, by name, of a class, or whose names match a pattern such as `*.conv?`."""
        from .editing import find

        return find(self, what)

    def replace(self, what: "str | type[Module]", new: "Module | Callable[[Module], Module]") -> "Module":
        """Put a module in the place of the one that `find` finds, or `new(old)` in the place of each; returns self.

        Modules with the same weights are replaced by modules with the same weights. What was compiled is made anew.
        Errors: ValueError where nothing is found, or several for one module; TypeError for what is no module.
        """
        from .editing import replace

        replace(self, what, new)
        return self

    def apply(self, function: "Callable[[Module], object]") -> "Module":
        """Call a function of each module inside, then of this one; returns self."""
        for name, child in self._modules.items():
            if not name.startswith("_"):
                child.apply(function)
        function(self)
        return self

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """(name, module) for this module and all inside it."""
        yield prefix, self
        for name, child in self._modules.items():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    @property
    def flat_parameters(self) -> np.ndarray:
        """All parameters as one vector (P,) that they are views of; twice gives the same memory."""
        return self._vectors()[0]

    @property
    def flat_gradients(self) -> np.ndarray:
        """All gradients as one vector (P,), in the order of `flat_parameters`."""
        return self._vectors()[1]

    def _vectors(self) -> tuple[np.ndarray, np.ndarray]:
        if self._flat is None:
            root = self.root()
            if root._flat is None:
                refuse_ties_between_nets(root)
                vars(root)["_flat"] = flatten(root._owners(), root.dtype)
                retie(root)
                root.renew_states()
            if root is not self:
                vars(self)["_flat"] = self._slice_of(root)
        return self._flat

    def _slice_of(self, root: "Module") -> tuple[np.ndarray, np.ndarray]:
        """This module's stretch of the root's vectors."""
        owners, mine = root._owners(), self._owners()
        if not mine:
            return np.empty(0, self.dtype), np.empty(0, self.dtype)
        sizes = [vars(module)[name].size for module, name in owners]
        first = next(k for k, (module, name) in enumerate(owners) if module is mine[0][0] and name == mine[0][1])
        start, length = sum(sizes[:first]), sum(sizes[first : first + len(mine)])
        values, gradients = root._flat
        return values[start : start + length], gradients[start : start + length]

    def renew_states(self) -> None:
        """Tell the compiled code where parameters and gradients lie now."""
        for module in self.all_modules():
            for state in module._states.values():
                for name in module.fixed_names():
                    state.write(name, vars(module)[name])

    def zero_grad(self) -> None:
        """Set all gradients to zero."""
        self._vectors()[1].fill(0)

    @property
    def parameter_count(self) -> int:
        """How many numbers are learnt."""
        return sum(array.size for _, array in self.named_parameters())

    def _saved(self) -> dict[str, np.ndarray]:
        """Parameters and buffers, those of one module together, as in PyTorch."""
        arrays = {}
        for prefix, module in self.named_modules():
            for name in (*module._parameters, *module._buffers):
                arrays[f"{prefix}.{name}" if prefix else name] = vars(module)[name]
        return arrays

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers under PyTorch's names and shapes."""
        return {name: array.copy() for name, array in self._saved().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copy values in; ValueError (and nothing changed) if names or shapes differ."""
        own = self._saved()
        wrong = [f"missing {name}" for name in own if name not in state]
        wrong += [f"unexpected {name}" for name in state if name not in own]
        wrong += [
            f"{name} has shape {np.shape(state[name])}, expected {array.shape}"
            for name, array in own.items()
            if name in state and np.shape(state[name]) != array.shape
        ]
        if wrong:
            raise ValueError(f"{type(self).__name__}: cannot load the state: {'; '.join(wrong)}")
        for name, array in own.items():
            array[...] = np.asarray(state[name])

    # -- modes ---------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True):
        """Set `training` on this module and all inside it; returns self."""
        for module in self.all_modules():
            if module.training != mode:
                module.training = mode
        return self

    def eval(self):
        """`train(False)`."""
        return self.train(False)

    def to(self, dtype):
        """Convert parameters, gradients and floating arrays to float32 or float64; returns self."""
        dtype = np.dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"{type(self).__name__}: dtype {dtype}, expected float32 or float64")
        for module in self.all_modules():
            module.changed()
            hidden = vars(module)
            hidden["_dtype"] = dtype
            for name, value in hidden.items():
                if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not name.startswith("_"):
                    hidden[name] = value.astype(dtype)
        retie(self)
        return self

    def share(self) -> "Module":
        """A module like this one, and so is all inside it, with the same parameters, gradients and buffers.

        In one net, both add to the same gradients, and an optimizer updates their weights once: a siamese net is
        `ParallelTable(tower, tower.share())`. `state_dict` has them under both names, as PyTorch has.
        Errors: ValueError where both are trained in different nets.
        """
        twin = self.copy()
        for own, other in zip(self.all_modules(), twin.all_modules(), strict=True):
            tie(own, other)
            if "key" in own._counters:
                other.key = new_key()  # of random numbers, which are not shared
        return twin

    def copy(self):
        """A module like this one with memory of its own, outside any net; what shares weights inside it still does."""
        copy = super().copy()
        part(copy)
        return copy

    def __deepcopy__(self, memo):
        return self.copy()

    def overtaken(self) -> None:
        vars(self)["_pending"] = None

    def copied(self) -> None:
        vars(self).update(_flat=None, _plans={}, _pending=None, _checked={})

    # -- showing -------------------------------------------------------------------------------------------------

    def summary(self, input_shape: tuple[int, ...], optimizer=None) -> "Summary":
        """A table of path, module, output shape, parameters and memory for inputs of this shape (batch axis too)."""
        from .summary import summary

        return summary(self, input_shape, optimizer)

    def graph(self, format: "Format" = "svg", input_shape=None) -> "Drawing":
        """A picture of the net, forward and backward, as the text of an SVG, or of dot or mermaid.

        Args: input_shape: with the batch axis; the shapes of all arrays then stand on the arrows.
        `net.graph("svg", (32, 1, 28, 28)).save("net.svg")` writes it; a notebook shows it.
        Errors: ValueError for another format, and where the modules do not fit each other.
        """
        from .drawing import draw

        return draw(self, format, input_shape)

    def comment_on(self, name: str) -> list[str]:
        """What the repr says of a child beside its own."""
        child = self._modules[name]
        if child._modules or not child.parameter_count:
            return []
        first = first_of(child)
        return [f"the weights of {first.path()}" if first else f"{child.parameter_count:,} parameters"]

    def __repr__(self) -> str:
        shown = {name: child for name, child in self._modules.items() if not name.startswith("_")}
        if not shown:
            return self.label()
        lines = [f"{type(self).__name__}({self.extra_repr()}"]
        for name, child in shown.items():
            text = repr(child).replace("\n", "\n  ")
            comment = ", ".join(self.comment_on(name))
            first, *rest = text.split("\n") if child._modules else [text]
            lines += [f"  ({name}): {first}" + (f"  # {comment}" if comment else ""), *rest]
        return "\n".join([*lines, f")  # {self.parameter_count:,} parameters"])
