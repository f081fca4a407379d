"""The last step of a page: an update by an optimizer, or one iteration of a full-batch one on the sample alone."""

from typing import Any

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.stateful import get_raw_method, uncompiled
from ...modules.losses.loss import Loss
from ..optimizers import Optimizer
from ..optimizers.full_batch import FullBatch
from .arrays import Arrays
from .sources import describe_function, find_equations, find_sentence
from .updates import UpdateTracer, describe_loops, trace_update


def run_update(net: Module, optimizer: Optimizer, arrays: Arrays) -> tuple[dict[str, Any], str]:
    """Run the update of an optimizer as plain Python; returns the step for JSON and the script of its loops."""
    optimizer.attach(net)
    state, size = optimizer.state_dict(), net.flat_parameters.size
    kept = {name: value for name, value in state.items() if isinstance(value, np.ndarray) and value.shape == (size,)}
    kept = {name: value for name, value in kept.items() if name not in ("adjusted", "before")}
    vectors = {"parameters": net.flat_parameters, "gradients": net.flat_gradients}
    tracer = UpdateTracer(optimizer, vectors, set(kept))
    raw = get_raw_method(type(optimizer), "update")
    with uncompiled():
        trace_update(lambda: optimizer._enter_update(raw, net), tracer)
    loops, script = describe_loops(tracer.loops)
    after = optimizer.state_dict()
    described = describe_optimizer(optimizer, tracer) | {
        "before": {name: arrays.add(f"{name} before", value) for name, value in kept.items()},
        "after": {} if tracer.runs else {name: arrays.add(f"{name} after", after[name]) for name in kept},
        "loops": loops,
        "runs": tracer.encode(arrays),
    }
    return {"method": "update", "lines": tracer.encode_lines(arrays), "optimizer": described}, script


def record_iteration(
    net: Module, loss: Loss, optimizer: FullBatch, minibatch: tuple[Any, Any, Any], arrays: Arrays
) -> dict[str, Any]:
    """Run one iteration of a full-batch optimizer on a minibatch alone; returns the step for JSON."""
    x, target, counters = minibatch
    optimizer.attach(net)
    optimizer.max_iter = 1
    before, tried, directions = net.flat_parameters.copy(), [], []
    find_direction = optimizer.direction

    def closure() -> float:
        net.load_counters(counters)
        net.zero_grad()
        tried.append(float(loss(net(x), target)))
        net.bprop(loss.bprop())  # type: ignore[call-arg]
        return tried[-1]

    def direction(gradient: np.ndarray) -> np.ndarray:
        directions.append(find_direction(gradient).copy())
        return directions[-1]

    vectors = {"parameters": net.flat_parameters, "gradients": net.flat_gradients}
    tracer = UpdateTracer(optimizer, vectors, set())
    vars(optimizer)["direction"] = direction
    try:
        with uncompiled():
            trace_update(lambda: optimizer.minimize(net, closure), tracer)
    finally:
        del vars(optimizer)["direction"]
    described = describe_optimizer(optimizer, tracer) | {"before": {}, "after": {}, "loops": [], "runs": []}
    if directions:
        change, last = net.flat_parameters - before, directions[-1]
        described["direction"] = arrays.add("direction", last)
        described["length"] = float(np.dot(change, last) / max(float(np.dot(last, last)), 1e-300))
        described["tried"] = tried
    return {"method": "direction", "lines": tracer.encode_lines(arrays), "optimizer": described}


def describe_optimizer(optimizer: Optimizer, tracer: UpdateTracer) -> dict[str, Any]:
    """Describe an optimizer: label, equations, and the source of the functions that have run."""
    return {
        "label": optimizer.label(),
        "class": type(optimizer).__name__,
        "equations": find_equations(optimizer),
        "sentence": find_sentence(optimizer),
        "source": [source for source in map(describe_function, tracer.sources) if source is not None],
    }
