"""The training step: forward, loss, backward and update of a model as one compiled function.

After a step the gradients of its minibatch can be read: they are overwritten by the next step, never cleared by this
one. A step whose loss is not finite stops before the backward pass, so the parameters are those that gave the loss.
"""

import math
from functools import partial

import numpy as np

from .index_check import copy_arrays
from .operations import Function, Operations, iterate_with_inside, prune
from .plan import Plan
from .specialization import specialize_often_called
from .tables import flatten_table, unflatten_table

FIRST, LAST, SIZE, TOTAL, OUTPUTS = 9, 10, 11, 12, 15  # places among the arguments of the loop over minibatches
PAUSE = 64  # steps that Python calls one by one, after which small products may be specialised


class StepPlan:
    """The compiled step of `net`, `loss` and `optimizer` for minibatches of these types: (x, target), or with weights.

    x may be a table, such as (x, lengths); `step`, `call` and loops get its arrays one by one. An `accumulator` adds up
    the gradients of several steps before each update, or leaves the update to others; `cut`: see `Function`. A `rule`
    writes another backward pass, by its `write_step`. In its loop over minibatches the `scheduled` settings, (module,
    name) pairs, follow a table; and there `before`, operations on `x`, stand before the model's. `begin` is the place
    of the minibatch in the order.
    """

    def __init__(self, net, loss, optimizer, batch, scheduled=(), before=(), rule=None, accumulator=None, cut=""):
        operations = Operations()
        x, targets = name_inputs(batch[0]), ("target", "weight")[: len(batch) - 1]
        self.inputs = ("parameters", "gradients", *flatten_table(x), *targets)
        value, y = (write_backprop if rule is None else rule.write_step)(operations, net, loss, x, *targets)
        layers = []  # whose gradients nothing else writes: an accumulator does
        if accumulator is None:
            layers = find_row_layers(operations.items) if rule is None and optimizer.keeps_gradients else []
            optimizer.write_update(operations, "parameters", "gradients", layers)
        else:
            operations.call(accumulator, "gather", "gradients")
            if accumulator.updates:
                with operations.repeated(accumulator, "due"):
                    optimizer.write_update(operations, "parameters", "gradients")
        needed, unread = prune(operations.items, {value})
        later = find_late_gradients(needed)
        shards = accumulator is not None and not accumulator.updates
        if shards and rule is None:
            needed = accumulator.insert_sections(needed, net)
        results = value, y
        self.function = Function(
            "step", needed, self.inputs, results, True, scheduled, tuple(before), later, cut, shards
        )
        parameters, gradients = net.flat_parameters, net.flat_gradients
        arrays = (*flatten_table(batch[0]), *batch[1:])
        samples = dict(zip(self.inputs, (parameters, gradients, *arrays), strict=True))
        samples |= {"begin": 0} if before else {}
        who = f"{net.outline()} with {loss.outline()}"
        title = f"Gradient of {who}" if shards else f"Training step of {who} and {optimizer.outline()}"
        title += "." if rule is None else f" by {rule.outline()}."
        self.plan = Plan(title, [self.function], samples)
        self.whole = len(self.function.parts) == 1
        self.vectors = (parameters, gradients)
        self.plan.flags = {(module, "accumulate"): module in later for module in self.plan.modules}
        self.plan.flags |= {(module, "needs_grad_x"): False for module in unread}
        self.plan.flags |= {(module, "others_add"): False for module in layers}
        self._entry = None
        self._steps = 0
        self._unchecked = bool(self.plan.checked)  # whether the loop over minibatches has still to be checked
        self._finite = not self.plan.checked  # else what is not finite may come from an index out of range

    @property
    def name(self) -> str:
        """The plan's name in the folder of plans."""
        return self.plan.module.__name__

    def step(self, *batch: np.ndarray) -> float:
        """Train on one minibatch; returns its loss."""
        self.plan.activate()
        if self._entry is None:
            if not self.whole:
                return float(self.call(*batch)[0])
            entry = self.plan.entry("step", self.plan.address, *self.vectors, *batch)
            self._entry = partial(entry, self.plan.address, *self.vectors)
        value = self._entry(*batch)
        self._steps += 1
        if not self._steps % PAUSE:
            specialize_often_called()
        if not (self._finite or math.isfinite(value)):
            self._finite = True  # it is looked for once
            self.plan.check_indices("step", (self.plan.address, *self.vectors, *batch))
        return value

    def call(self, *batch: np.ndarray):
        """Train on one minibatch, part by part if needed; returns its loss and the model's output."""
        return self.plan.call(self.function, *self.vectors, *batch)

    def find_loop(self, *arguments):
        """Compile the loop over minibatches for arguments of these types; see `steps` in the plan's source."""
        self.plan.activate()
        return partial(self._run_loop, self.plan.entry("steps", self.plan.address, *self.vectors, *arguments))

    def _run_loop(self, entry, *arguments):
        self.plan.activate()
        arguments = (self.plan.address, *self.vectors, *arguments)
        first, last = arguments[FIRST], arguments[LAST]
        if self._unchecked and first < last:
            self._check_steps(arguments, first)
            self._unchecked = False
        total, reached = entry(*arguments)
        specialize_often_called()
        if not (self._finite or math.isfinite(total)):
            self._finite = True
            self._check_steps(arguments, reached)
        return total, reached

    def _check_steps(self, arguments, first: int) -> None:
        """Run the minibatch at position `first` with bounds checks."""
        own = list(arguments)
        own[FIRST], own[LAST] = first, min(first + own[SIZE], own[LAST])
        own[TOTAL] = copy_arrays(own[TOTAL])  # the losses of parts, which are those of the run that is checked
        own[OUTPUTS] = own[OUTPUTS][:0]
        self.plan.check_indices("steps", own, slice(1, 3))


def name_inputs(x):
    """Name the arrays of x: `x`, or of a table `x`, `x_1`, ...; that of (x, lengths) is `lengths`."""
    count = len(flatten_table(x))
    if type(x) is tuple and count == len(x) == 2 and x[1].ndim == 1:
        return "x", "lengths"
    return unflatten_table(x, [f"x_{k}" if k else "x" for k in range(count)])


def write_backprop(operations: Operations, net, loss, x, *targets: str) -> tuple[str, str]:
    """Write the forward pass, the loss and the backward pass; returns the names of the loss and of the output.

    Args: x: the name of the input, or a table of names; targets: the names of the targets and, if there are any, of the
        samples' weights.
    """
    y = operations.fprop(net, x)
    value = operations.call(loss, "fprop", y, *targets)
    operations.bprop(net, operations.call(loss, "bprop"))
    return value, y


def find_row_layers(operations) -> list:
    """Find the modules that know which rows of their gradient they have written, where nothing else writes to it."""
    modules = dict.fromkeys(operation.module for operation in operations if operation.backward)
    return [module for module in modules if "others_add" in module.flags and module._tie is None]


def find_late_gradients(operations) -> frozenset:
    """Find the modules whose gradients another one has begun earlier in the backward pass: they add to them."""
    visited: set = set()
    later: set = set()
    for operation in operations:
        if operation.backward:
            tied = [
                each
                for module in operation.modules
                for each in iterate_with_inside(module)
                if getattr(each, "_tie", None) is not None
            ]
            later.update(module for module in tied if module._tie in visited)
            visited.update(module._tie for module in tied)
    return frozenset(later)
