"""Parameters with gradients, buffers and counters of a module: by name, and in one vector for a whole model."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.locks import exclusive
from ..engine.stateful import Stateful, collect_methods, in_plain_python, refuse_modules_in
from ..initializers.initializers import new_key
from .hierarchy import Hierarchy
from .parameter import Buffer, Counter, Parameter, flatten
from .sharing import (
    alias_arrays,
    fill_in_shared,
    iterate_owned,
    refuse_ties_between_nets,
    retie,
    separate_ties,
    tie,
    tie_weights,
)

if TYPE_CHECKING:
    from .module import Module


class ParametersAndBuffers(Hierarchy):
    """The part of `Module` that stores parameters, gradients, buffers and counters, and saves, copies, shares them."""

    framework_base = True

    def __init__(self):
        super().__init__()
        hidden = vars(self)
        hidden["_parameters"] = []
        hidden["_buffers"] = []
        hidden["_counters"] = []
        hidden["_flat"] = None
        hidden["_chooses_dtype"] = False  # whether `to` was called on it
        hidden["_tie"] = None  # with the modules that share its parameters

    # -- attributes -------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        hidden = vars(self)
        refuse_modules_in(self, name, value)
        if isinstance(value, Parameter):
            self._add_parameter(name, value)
        elif isinstance(value, Buffer):
            self._add_buffer(name, value)
        elif isinstance(value, Counter):
            self._counters.append(name)
            super().__setattr__(name, value.value)
        elif isinstance(value, Hierarchy):
            self._add_module(name, value)  # type: ignore[arg-type]
        elif "_parameters" in hidden and self._is_fixed(name):
            self._write_array(name, value)
        elif name in hidden.get("_counters", ()) and not in_plain_python():
            self.write_number(name, int(value))
        else:
            super().__setattr__(name, value)

    def _add_parameter(self, name: str, parameter: Parameter) -> None:
        super().__setattr__(name, None)
        hidden = vars(self)
        hidden[name] = np.array(self._cast_array(name, np.asarray(parameter.data)), order="C")
        if parameter.data.size and (parameter.data == parameter.data.flat[0]).all():
            self.remember_precise(name, parameter.data.flat[:1], hidden[name].flat[:1])
        hidden[f"grad_{name}"] = np.zeros_like(hidden[name])
        if hasattr(self, "jvp"):  # the direction of a derivative: no memory before one is asked for
            hidden[f"v_{name}"] = np.zeros((0,) * hidden[name].ndim, self.dtype)
        if name not in self._parameters:
            self._parameters.append(name)
        for other in self._tie.members if self._tie is not None else ():
            if name in other._parameters and self._tie.shares(name):
                alias_arrays(self, other)
                other.forget_plans()
        self.forget_plans()

    def _add_buffer(self, name: str, buffer: Buffer) -> None:
        super().__setattr__(name, None)
        dtype = self.dtype if buffer.data.dtype.kind == "f" else np.int64
        vars(self)[name] = np.array(buffer.data, dtype, order="C")
        self.remember_precise(name, buffer.data, vars(self)[name])
        if name not in self._buffers:
            self._buffers.append(name)
        self.forget_plans()

    def _write_array(self, name: str, value) -> None:
        """Assign to a parameter or gradient in place."""
        array = vars(self)[name]
        if value is array:
            return
        if np.shape(value) != array.shape:
            raise ValueError(f"{self.label()}: {name} has shape {array.shape}, got {np.shape(value)}")
        array[...] = self._convert(array, name, value)

    def _convert(self, array: np.ndarray, name: str, value) -> np.ndarray:
        """Values in the dtype of `array`, which is of this module or of one inside it."""
        return self._cast_array(name, np.asarray(value)) if array.dtype.kind == "f" else np.asarray(value)

    # -- by name ----------------------------------------------------------------------------------------------------

    def fixed_names(self) -> set[str]:
        """Attributes that are written in place: parameters, their gradients, and buffers."""
        directions = [f"v_{name}" for name in self._parameters if hasattr(self, "jvp")]
        return {*self._parameters, *self.gradient_names(), *directions, *self._buffers}

    def _is_fixed(self, name: str) -> bool:
        """Whether `name` is one of `fixed_names`, without a list of them."""
        if name in self._parameters or name in self._buffers:
            return True
        kind, _, parameter = name.partition("_")
        return parameter in self._parameters and (kind == "grad" or (kind == "v" and hasattr(self, "jvp")))

    def gradient_names(self) -> list[str]:
        return [f"grad_{name}" for name in self._parameters]

    def unshared_gradient_names(self) -> list[str]:
        return [f"grad_{name}" for name in self._parameters if self._tie is None or not self._tie.shares(name)]

    def has_numbers(self) -> bool:
        """Whether this module, or one inside it, has parameters or buffers of real numbers."""
        return any(
            vars(module)[name].dtype.kind == "f"
            for module in self.all_modules()
            for name in (*module._parameters, *module._buffers)
        )

    def overwrites_gradients(self) -> bool:
        """Whether bprop honours `accumulate`, so that gradients need no clearing before it."""
        functions = collect_methods(type(self)).values()
        return not self._parameters or any("accumulate" in function.__code__.co_names for function in functions)

    def _owners(self) -> list[tuple["Module", str]]:
        return [(module, name) for _, module, name in iterate_owned(self)]

    def named_parameters(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, array) for each parameter, the names as in PyTorch: `0.weight`, `2.inner.bias`; shared ones once."""
        for full, module, name in iterate_owned(self):
            yield full, vars(module)[name]

    def named_gradients(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, array) for each parameter's gradient, under the parameter's name."""
        for full, module, name in iterate_owned(self):
            yield full, vars(module)[f"grad_{name}"]

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, array) for each buffer, the names as in PyTorch: `1.running_mean`; shared ones once."""
        for full, module, name in iterate_owned(self, "_buffers"):
            yield full, vars(module)[name]

    def shares_memory_with(self, other: Stateful) -> bool:
        if super().shares_memory_with(other):
            return True
        ties = {module._tie for module in self.root().all_modules() if module._tie is not None}
        return isinstance(other, ParametersAndBuffers) and any(
            module._tie in ties for module in other.root().all_modules()
        )

    @exclusive
    def counters(self) -> dict[str, int]:
        """The counters of this module and all inside it, such as `2.step`; a resumed training needs them."""
        return {
            f"{prefix}.{name}" if prefix else name: getattr(module, name)
            for prefix, module in self.named_modules()
            for name in module._counters
        }

    @exclusive
    def load_counters(self, counters: dict[str, int]) -> None:
        """Set the counters to those of `counters()`; ValueError (and nothing changed) if the names differ."""
        own, values = self.counters(), {name: int(value) for name, value in counters.items()}
        refuse_differences(type(self).__name__, "counters", own, values)
        for prefix, module in self.named_modules():
            for name in module._counters:
                module.write_number(name, values[f"{prefix}.{name}" if prefix else name])

    # -- one vector for a model -------------------------------------------------------------------------------------

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
            self._flatten()
        return self._flat

    @exclusive
    def _flatten(self) -> None:
        root = self.root()
        if root._flat is None:
            refuse_ties_between_nets(root)
            vars(root)["_flat"] = flatten(root._owners(), root.dtype)
            retie(root)
            root.renew_states()
        if root is not self:
            vars(self)["_flat"] = self._slice_of(root)

    def _slice_of(self, root: "Module") -> tuple[np.ndarray, np.ndarray]:
        """This module's slice of the root's vectors."""
        owners, mine = root._owners(), self._owners()
        if not mine:
            return np.empty(0, self.dtype), np.empty(0, self.dtype)
        sizes = [vars(module)[name].size for module, name in owners]
        first = next((k for k in range(len(owners)) if owners[k : k + len(mine)] == mine), None)
        if first is None:
            raise ValueError(f"{self.label()}: shares weights of a module before it, expected {root.label()}'s vectors")
        start, length = sum(sizes[:first]), sum(sizes[first : first + len(mine)])
        values, gradients = root._flat
        return values[start : start + length], gradients[start : start + length]

    def renew_states(self) -> None:
        """Write the present addresses of parameters and gradients into the state blocks of compiled code."""
        for module in self.all_modules():
            for state in module._states.values():
                for name in module.fixed_names():
                    state.write(name, vars(module)[name])

    def zero_grad(self) -> None:
        """Set all gradients to zero."""
        self._vectors()[1].fill(0)

    @property
    def parameter_count(self) -> int:
        """The number of learned values."""
        return sum(array.size for _, array in self.named_parameters())

    # -- saving -----------------------------------------------------------------------------------------------------

    def _collect_arrays(self, once: bool = False) -> dict[str, np.ndarray]:
        """Collect parameters and buffers, module by module, as in PyTorch; `once`: shared ones of the first alone."""
        arrays = {}
        if once:
            owned = {each[1:] for kind in ("_parameters", "_buffers") for each in iterate_owned(self, kind)}
        for prefix, module in self.named_modules():
            for name in (*module._parameters, *module._buffers):
                if not once or (module, name) in owned:
                    arrays[f"{prefix}.{name}" if prefix else name] = vars(module)[name]
        return arrays

    @exclusive
    def state_dict(self, once: bool = False) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers under PyTorch's names and shapes.

        Args: once: shared ones under their first name only, as files of weights have them.
        """
        return {name: array.copy() for name, array in self._collect_arrays(once).items()}

    @exclusive
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copy values in; ValueError (and nothing changed) if names or shapes differ, or numbers are too large.

        Shared weights may stand there once, under their first name.
        """
        own, state = self._collect_arrays(), fill_in_shared(self, state)  # type: ignore[arg-type]
        refuse_differences(type(self).__name__, "state", own, state)
        values = {name: self._convert(array, name, state[name]) for name, array in own.items()}
        for name, array in own.items():
            array[...] = values[name]

    # -- dtype, sharing, copies -------------------------------------------------------------------------------------

    @exclusive
    def to(self, dtype):
        """Convert parameters, gradients, buffers and settings to float32 or float64; returns self.

        Values given in float64 return at full precision where they have not changed since: buffers, arrays of
        settings, and parameters that begin with one number everywhere. Work arrays of compiled code (attributes that
        begin as empty arrays and that methods assign) are dropped and allocated anew.
        Errors: TypeError for another dtype; ValueError (and nothing changed) for a number too large for float32.
        """
        dtype = np.dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"{type(self).__name__}: dtype {dtype}, expected float32 or float64")
        self.take_dtype(dtype)
        vars(self)["_chooses_dtype"] = True
        return self

    def take_dtype(self, dtype: np.dtype) -> None:
        """Convert this module and all inside it to a dtype, without marking it as the user's choice."""
        for module in self.all_modules():
            for name in (*module._parameters, *module._buffers):
                module.refuse_overflow(name, vars(module)[name], dtype)
        for module in self.all_modules():
            module.forget_plans()
            module.convert_arrays(dtype)
        retie(self)

    def share(self, other: "Module | None" = None) -> "Module":
        """A module with the same parameters, gradients and buffers as this one (tied weights); so is all inside it.

        In one model, both add to the same gradients, and an optimizer updates their weights once: a siamese net is
        `ParallelTable(tower, tower.share())`. `state_dict` has them under both names, as PyTorch has.

        Args: other: a module of another kind, which gets those parameters of this one that have the same names as its
            own: `embedding.share(Linear(D, V))` is the Linear, with the embedding's weight and a bias of its own.
        Errors: ValueError where both are trained in different nets, and for an `other` with no such parameter, with one
            of another shape, or that shares weights already.
        """
        if other is not None:
            tie_weights(self, other)  # type: ignore[arg-type]
            return other
        for own in self.all_modules():
            if own._tie is not None and not all(map(own._tie.shares, (*own._parameters, *own._buffers))):
                names = ", ".join(sorted(own._tie.names))
                raise ValueError(f"{own.label()} shares {names} with another module, expected all or nothing shared")
        twin = self.copy()
        for own, other in zip(self.all_modules(), twin.all_modules(), strict=True):
            tie(own, other)
            if "key" in own._counters:
                other.key = new_key()  # of random numbers, which are not shared
        return twin

    def copy(self):
        """A deep copy with its own memory and no parent; modules that share weights inside it still do."""
        copy = super().copy()
        separate_ties(copy)
        return copy

    def __deepcopy__(self, memo):
        copy = self.copy()
        memo.update((id(own), other) for own, other in zip(self.all_modules(), copy.all_modules(), strict=True))
        return copy


def refuse_differences(owner: str, what: str, own: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise ValueError unless two dictionaries have the same names, and arrays of the same shapes."""
    wrong = [f"missing {name}" for name in own if name not in new]
    wrong += [f"unexpected {name}" for name in new if name not in own]
    wrong += [
        f"{name} has shape {np.shape(new[name])}, expected {np.shape(value)}"
        for name, value in own.items()
        if name in new and np.shape(new[name]) != np.shape(value)
    ]
    if wrong:
        raise ValueError(f"{owner}: cannot load the {what}: {'; '.join(wrong)}")
