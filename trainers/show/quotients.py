"""Difference quotients of some weights, by the size of their step, beside the gradient of the recorded step.

    forward (L(w + h) - L(w)) / h,   central (L(w + h) - L(w - h)) / 2 h

in float64, in a copy of the model; only what comes after the weight runs again.
"""

from typing import Any

import numpy as np

from ...modules.engine.operations import Operation, Operations
from ...modules.engine.stateful import plain_python
from ...modules.engine.tables import flatten_table, map_table
from .walk import Walk

STEPS = [10.0**-k for k in range(13)]
EXPENSIVE = 60_000  # numbers that the layers make in the runs of one weight: beyond it, it gets half of the steps
COST = 150_000  # numbers that the layers make in all runs together, about
MOST = 64  # weights


def record_quotients(walk: Walk, copies: tuple[Any, Any], x: Any, target: Any, state: dict) -> list[dict[str, Any]]:
    """Compute the quotients of a recorded step: of the weights with the largest gradients, a few of each parameter.

    Args: copies: model and loss as they were before the step; x, target: of the step; state: the model's counters.
    """
    net, loss = (each.to("float64") for each in copies)
    x, target = (map_table(as_double, each) for each in (x, target))
    operations = Operations()
    y = operations.fprop(net, walk.inputs[0] if len(walk.inputs) == 1 else walk.inputs)
    values = dict(zip(walk.inputs, flatten_table(x), strict=True))
    buffers = [(array, array.copy()) for _, array in net.named_buffers()]  # such as a state that is carried on
    with plain_python(), np.errstate(all="ignore"):
        for operation in operations.items:
            run(operation, values)
    quotients = []
    for place, index, steps in choose_weights(walk, net, operations.items, values):
        owner, name = net._owners()[place]
        array = vars(owner)[name]
        rest = drop_before(operations.items, owner)

        def value_at(weight: float, array=array, index=index, rest=rest) -> float:
            """L with this weight in the place of one."""
            own, array.flat[index] = array.flat[index], weight
            try:
                for buffer, before in buffers:
                    buffer[...] = before
                return run_on(net, loss, rest, values, y, target, state)
            finally:
                array.flat[index] = own

        weight = float(array.flat[index])
        here = value_at(weight)
        above = [value_at(weight + h) for h in steps]
        below = [value_at(weight - h) for h in steps]
        quotients.append({
            "parameter": place,
            "index": index,
            "steps": steps,
            "forward": [(a - here) / h for a, h in zip(above, steps, strict=True)],
            "central": [(a - b) / (2 * h) for a, b, h in zip(above, below, steps, strict=True)],
        })  # fmt: skip
    return quotients


def as_double(value: Any) -> Any:
    """Convert floats to float64; whole numbers stay."""
    return value.astype(np.float64) if value.dtype.kind == "f" else value


def choose_weights(
    walk: Walk, net: Any, operations: list[Operation], values: dict
) -> list[tuple[int, int, list[float]]]:
    """Choose weights, as (parameter, flat index, steps): in turn of each parameter the largest gradient left.

    The first parameter has one in any case; then the last ones come first, after which little has to run again, as far
    as COST allows.
    """
    gradients = dict(walk.net.named_gradients())
    orders = [np.argsort(-np.abs(gradients[each["name"]]), axis=None, kind="stable") for each in walk.parameters]
    sizes = [
        2 * sum(np.size(values[each.target]) for each in drop_before(operations, owner)) for owner, _ in net._owners()
    ]
    steps = [STEPS[::2] if size * len(STEPS) > EXPENSIVE else STEPS for size in sizes]
    chosen: list[tuple[int, int, list[float]]] = []
    left = COST
    for rank in range(max((order.size for order in orders), default=0)):
        before = len(chosen)
        for place in ([0] if rank == 0 else []) + list(range(rank == 0, len(orders)))[::-1]:
            cost = sizes[place] * len(steps[place])
            if rank < orders[place].size and len(chosen) < MOST and (cost <= left or not chosen):
                left -= cost
                chosen.append((place, int(orders[place][rank]), steps[place]))
        if len(chosen) in (before, MOST):
            break
    return sorted(chosen)


def drop_before(operations: list[Operation], owner: Any) -> list[Operation]:
    """The operations from the first one on that reads a module's parameters, which may be shared."""
    tied = owner._tie.members if owner._tie is not None else [owner]
    first = next((k for k, each in enumerate(operations) if any(each.module is other for other in tied)), 0)
    return operations[first:]


def run(operation: Operation, values: dict[str, Any]) -> None:
    """Run an operation on its values."""
    arguments = [values[name] for name in operation.arguments]
    result = getattr(operation.module, operation.method)(*arguments)
    values[operation.target] = result.copy() if isinstance(result, np.ndarray) else result


def run_on(
    net: Any, loss: Any, rest: list[Operation], known: dict[str, Any], y: str, target: Any, state: dict
) -> float:
    """Run the rest of the forward pass and the loss, with the random numbers of the recorded step."""
    values = dict(known)
    net.load_counters(state)
    with plain_python(), np.errstate(all="ignore"):
        for operation in rest:
            run(operation, values)
        return float(loss.fprop(values[y], target))
