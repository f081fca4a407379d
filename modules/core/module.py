"""The base class of every layer, container and loss.

A module's author writes `fprop` and `bprop`; this class gives them the entry points through which Python calls the
compiled methods: checked shapes, paired calls, arrays that are the caller's own. Its bases are the module hierarchy
(hierarchy.py) and its parameters with gradients (parameters_and_buffers.py).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import entry_points
from ..engine.errors import explain_index
from ..engine.locks import locked, refuse_during_fit
from ..engine.stateful import plain_python
from ..engine.tables import is_table_of_shapes, map_table
from .modes import Mode, reads_training
from .parameters_and_buffers import ParametersAndBuffers
from .sharing import find_weight_owner
from .tokens import TokenReader, refuse_tokens

if TYPE_CHECKING:
    from ..display.draw import Drawing, Format
    from ..display.summary import Summary

FLAGS = ("accumulate", "needs_grad_x", "needs_grad_parameters")


class Module(ParametersAndBuffers):
    """A differentiable function with a hand-written backward pass.

        fprop(x) -> y             store on self what bprop needs
        bprop(grad_y) -> grad_x   add to self.grad_<parameter>

    What fprop stores of x is x itself: who changes x before bprop changes the gradient. Arguments that are read-only
    (`array.flags.writeable` is False) are never written into: a custom module gets copies of them.

    Settings on self that methods may read: `training` (see `train`, `eval`), `needs_grad_x` (false where nobody
    uses grad_x), `needs_grad_parameters` (false where grad_x alone is asked for, as some learning rules do) and
    `accumulate` (false where bprop may overwrite the gradients; a bprop that never reads it adds).
    Set `jit = False` on a class that numba cannot compile: it then runs as Python between compiled parts.
    Two methods more are welcome, for derivatives beyond the gradient (see `bprop.modules.derivatives`), which else are
    made of differences: `jvp(v) -> J v`, with the parameters' directions in self.v_<parameter>, and
    `rbprop(v, grad_y, r_grad_y) -> R{grad_x}`, the change of bprop along them, which adds R{grad_<parameter>}.
    `check_module(module, x)` tells whether a module keeps this contract, and if not, what is wrong.

    Shapes: the first axis of x, y and their gradients is the minibatch.
    Errors: ValueError for shapes that `output_shape` refuses, and for a parameter set to an array of another shape;
        RuntimeError for `bprop` without its `fprop`, and while another thread trains the model.
    Source: the fprop/bprop contract of Goodfellow et al., Deep Learning, section 6.5.6, in the draft 6.4.3.
    """

    framework_base = True
    entry_points = ("fprop", "bprop")
    flags: tuple[str, ...] = FLAGS
    label_arguments: tuple[int, ...] = ()  # positions of fprop's arguments that are whole numbers, int64
    vocabulary_size: int | None = None  # an x of whole numbers is 0 to this number - 1; None: any
    passes_labels = False  # whether y is a part of x, so that labels stay labels
    takes_lengths = False  # whether fprop(x, lengths) takes the number of real steps of each sample, see sequences.py
    takes_distributions = False  # whether a label argument may be floats of the shape of the first one
    takes_gradient = True  # bprop(grad_y); a loss has bprop()
    locally_linear = False  # whether dy/dx is constant near almost all x, and there are no parameters
    multiplies_by_weight = True  # whether a `weight` of two or more axes is a factor of a matrix product
    estimates = False  # whether bprop is an estimate by design, which no derivative of fprop confirms
    needs_y = True  # whether a method after fprop may read self.y: where False, large ones are not copied
    kinks_meet = False  # whether one number of x may stand at several kinks at once
    training = Mode()
    not_copied = ParametersAndBuffers.not_copied | {
        "_flat",
        "_plans",
        "_pending",
        "_checked",
        "_labels",
        "_readers",
    }  # see `on_copy`

    def __init__(self):
        super().__init__()
        vars(self).update(_plans={}, _pending=None, _checked={}, _labels=None, _readers=None)
        vars(self).update(training=True, **dict.fromkeys(FLAGS, True))

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
        """Infer the shape of y for an x of shape `input_shape`, both with the batch axis; ValueError if x does not fit.

        A module that does not define it is tried on zeros.
        """
        x = np.zeros(input_shape, np.int64 if 0 in self.label_arguments else self.dtype)
        try:
            with plain_python(), np.errstate(all="ignore"):
                y = self.copy().fprop(x)
        except IndexError as error:
            raise explain_index(self, error, x) from None
        if not isinstance(y, np.ndarray):
            raise TypeError(f"{self.label()}: fprop returns {type(y).__name__}, expected one array")
        return y.shape

    def one_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[int, ...]:
        """`output_shape` of a model that is trained or asked for its outputs; ValueError if it makes a table.

        Errors: also ValueError for an axis of size 0.
        """
        if 0 in input_shape:
            raise ValueError(f"{self.label()}: x has shape {tuple(input_shape)}, expected no axis of size 0")
        shape = self.output_shape(tuple(input_shape))
        if is_table_of_shapes(shape):
            problem = f"{self.label()}: makes a table of {len(shape)} arrays, expected one"
            raise ValueError(f"{problem}; a JoinTable or StackTable after it makes one of them")
        return shape

    def check_arguments(self, *shapes):
        """Raise ValueError unless arguments of these shapes fit; returns the shape of the result."""
        if is_table_of_shapes(shapes[0]):
            listed = " and ".join(map(str, shapes[0]))
            raise ValueError(f"{self.label()}: x is a table of arrays of shapes {listed}, expected one array")
        return self.output_shape(*shapes)

    def check_minibatch(self, input_shape: tuple[int, ...]) -> None:
        """Raise ValueError if a minibatch of this shape is too small in the current mode; called before a training."""

    def which_are_labels(self, x):
        """For an array, or each array of a table: whether it is to be whole numbers."""
        return map_table(lambda _: 0 in self.label_arguments, x)

    def find_token_readers(self, x) -> tuple[TokenReader, ...]:
        """The modules that read tokens from x, an array or a table, and how many tokens each knows."""
        if self.vocabulary_size is None or 0 not in self.label_arguments:
            return ()
        return (TokenReader(self, self.vocabulary_size),)

    def check_tokens(self, x, first_row: int = 0) -> None:
        """Raise ValueError that names row and token if x, converted for fprop, has a token that no module knows.

        fprop, compiled steps, trainings and predictions do so. Args: first_row: the number of x's first row.
        """
        readers = vars(self)["_readers"]
        if readers is None:
            readers = vars(self)["_readers"] = self.find_token_readers(x)
        if readers:
            refuse_tokens(readers, x, first_row)

    # -- calling -------------------------------------------------------------------------------------------------

    def __call__(self, x):
        """`fprop`."""
        return self.fprop(x)

    def _enter_fprop(self, raw, *arguments):
        owner = self.parent
        while owner is not None:  # run by itself, it overwrites what the model around it has stored
            vars(owner)["_pending"] = None
            owner = owner.parent
        return entry_points.fprop(self, raw, arguments)

    def _enter_bprop(self, raw, *arguments):
        return entry_points.bprop(self, raw, arguments)

    def write_fprop(self, operations, *arguments):
        """Append this module's forward pass to a plan; containers append their children's."""
        return operations.call(self, "fprop", *arguments)

    def write_bprop(self, operations, *arguments):
        """Append this module's backward pass to a plan."""
        return operations.call(self, "bprop", *arguments)

    # -- what is compiled and stored --------------------------------------------------------------------------------

    def forget_plans(self) -> None:
        refuse_during_fit(self, "a change of its structure")
        super().forget_plans()
        owner: Module | None = self
        while owner is not None:
            vars(owner).update(_flat=None, _plans={}, _pending=None, _checked={}, _labels=None, _readers=None)
            owner = owner.parent  # type: ignore[assignment]

    def on_plan_change(self) -> None:
        vars(self)["_pending"] = None

    def get_setting(self, name: str):
        return self.training if name == "training" else super().get_setting(name)

    def on_copy(self) -> None:
        vars(self).update(_flat=None, _plans={}, _pending=None, _checked={}, _labels=None, _readers=None)

    # -- modes ---------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True):
        """Set `training` on this module and all inside it, for all threads; returns self.

        Errors: RuntimeError while a Trainer's fit in another thread trains it.
        """
        with locked(self):
            for module in self.all_modules():
                if module.training != mode:
                    refuse_during_fit(self, "a change of its mode")
                    module.training = mode
        return self

    def eval(self):
        """`train(False)`."""
        return self.train(False)

    def changes_in_training(self) -> bool:
        """Whether an fprop in training mode may change this module's state: statistics or random counters."""
        return self.training and (bool(self._counters) or reads_training(self))

    # -- editing ----------------------------------------------------------------------------------------------------

    def find(self, what: "str | type[Module]") -> dict[str, "Module"]:
        """The modules inside this one, by name, of a class, or whose names match a pattern such as `*.conv?`."""
        from .editing import find

        return find(self, what)

    def replace(self, what: "str | type[Module]", new: "Module | Callable[[Module], Module]") -> "Module":
        """Replace the module that `find` finds, or each of several by `new(old)`; returns self.

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

    # -- showing -------------------------------------------------------------------------------------------------

    def summary(self, input_shape: tuple[int, ...], optimizer=None) -> "Summary":
        """A table of path, module, output shape, parameters and memory for inputs of this shape (batch axis too)."""
        from ..display.summary import summary

        return summary(self, input_shape, optimizer)

    def graph(self, format: "Format" = "svg", input_shape=None, loss=None, target_shape=None) -> "Drawing":
        """A drawing of the model, forward and backward, as the text of an SVG, or of dot or mermaid.

        Args: input_shape: with the batch axis; the shapes of all arrays then stand on the arrows; loss: drawn after the
            net, each part of a MultiLoss by itself; target_shape: of its targets, with the batch axis.
        `net.graph("svg", (32, 1, 28, 28)).save("net.svg")` writes it; a notebook shows it.
        Errors: ValueError for another format, and where the modules, or net and loss, do not fit each other.
        """
        from ..display.draw import draw

        return draw(self, format, input_shape, loss, target_shape)

    def _repr_html_(self) -> str:
        """For notebooks: the drawing, and the parameters as a table."""
        from ..display.html import as_html

        return as_html(self)

    def comment_on(self, name: str) -> list[str]:
        """A comment on a child in the repr."""
        child = self._modules[name]
        if child._modules or not child.parameter_count:
            return []
        first = find_weight_owner(child)
        return [f"the weights of {first.path()}" if first else f"{child.parameter_count:,} parameters"]

    def __repr__(self) -> str:
        children = {name: child for name, child in self._modules.items() if not name.startswith("_")}
        if not children:
            return self.label()
        lines = [f"{type(self).__name__}({self.extra_repr()}"]
        for name, child in children.items():
            text = repr(child).replace("\n", "\n  ")
            comment = ", ".join(self.comment_on(name))
            first, *rest = text.split("\n") if child._modules else [text]
            lines += [f"  ({name}): {first}" + (f"  # {comment}" if comment else ""), *rest]
        return "\n".join([*lines, f")  # {self.parameter_count:,} parameters"])
