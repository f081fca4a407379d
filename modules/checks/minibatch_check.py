"""Check that a model accepts the sizes of all minibatches: the last of an epoch is often smaller.

Modules of this package define `check_minibatch`; custom modules are tried on zeros, alone and as plain Python.
"""

from collections.abc import Callable

import numpy as np

from ..core.module import Module
from ..engine.sources import is_internal
from ..engine.stateful import plain_python
from ..engine.tables import is_table_of_shapes
from ..losses.loss import Loss


def check_minibatch_sizes(
    net: Module, loss: Loss, input_shape: Callable[[int], tuple], targets: np.ndarray, size: int, last: int
) -> None:
    """ValueError if training does not take minibatches of `size` samples, or the last one of `last`; names the module.

    Args: input_shape: of so many samples, or of their table; targets: at least `size` of them.
    """
    try:
        check_minibatch(net, loss, input_shape(size), targets[:size], trial=False)
    except MinibatchError as error:
        raise make_error(f"Trainer: minibatches of {size}: {error}", error) from None
    except Exception:  # that is no matter of sizes: the first step tells it
        return
    if last == size:
        return
    try:
        check_minibatch(net, loss, input_shape(last), targets[:last], trial=True)
    except Exception as error:  # of a module of the user's own, anything
        if not isinstance(error, MinibatchError):
            try:
                check_minibatch(net, loss, input_shape(size), targets[:size], trial=True)
            except Exception:
                return
        many = f"{last} sample{'s' if last > 1 else ''}, not {size}"
        way_out = "drop_last=True leaves it out, or take another batch_size"
        raise make_error(f"Trainer: the last minibatch has {many}: {error}; {way_out}", error) from None


def make_error(text: str, error: Exception) -> ValueError:
    """Make a ValueError with this text and the path notes of another error."""
    result = ValueError(text)
    for note in getattr(error, "__notes__", ()):
        if note.startswith("in "):
            result.add_note(note)
    return result


class MinibatchError(ValueError):
    """A module does not accept minibatches of this size."""


def check_minibatch(net: Module, loss: Loss, shape: tuple[int, ...], targets: np.ndarray, *, trial: bool) -> None:
    """Find a module that rejects a minibatch of this shape in training; `trial` runs user-defined ones."""
    copy = net.copy().train()
    for module in copy.all_modules():
        wrap_output_shape(module, trial)
    y_shape = copy.one_output_shape(shape)
    loss.check_arguments(y_shape, targets.shape)
    if trial and not is_internal(type(loss).__module__):
        run_copy(loss, np.zeros(y_shape, loss.dtype), targets)


def wrap_output_shape(module: Module, trial: bool) -> None:
    """Wrap a module's `output_shape`, on a copy, so that it checks each minibatch whose shape it gets."""
    output_shape = module.output_shape
    own = trial and not is_internal(type(module).__module__) and type(module).output_shape is not Module.output_shape

    def checked_shape(input_shape, *others):
        if not is_table_of_shapes(input_shape):
            try:
                check_module_minibatch(module, tuple(input_shape))
                if own:
                    labels = 0 in module.label_arguments
                    run_copy(module, np.zeros(input_shape, np.int64 if labels else module.dtype))
            except Exception as error:
                module.place_once(error)
                raise
        return output_shape(input_shape, *others)

    vars(module)["output_shape"] = checked_shape


def check_module_minibatch(module: Module, input_shape: tuple[int, ...]) -> None:
    """Raise MinibatchError if a module rejects such a minibatch as too small."""
    try:
        module.check_minibatch(input_shape)
    except ValueError as error:
        raise MinibatchError(str(error)) from None


def run_copy(module: Module, *arguments) -> None:
    """Run a copy of a module as plain Python."""
    alone = module.copy()
    for inside in alone.all_modules():
        vars(inside).pop("output_shape", None)
    with plain_python(), np.errstate(all="ignore"):
        alone.fprop(*arguments)
